"""The whole application with two SCIM sources, on a real database, and clients that speak SCIM to it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from app.bootstrap import Process
from app.config.example import write_example
from app.domain.clock import Clock
from app.domain.principal import Principal
from app.domain.scim import ScimToken, digest_of
from app.integrations.system import SystemClock
from app.settings import load_settings
from app.store.queue.wakes import make_celery
from app.store.unit import SqlStore
from app.web.factory import create_app

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
SOURCES = '\n[identity.directory]\nkind = "scim"\n\n[identity.other]\nkind = "scim"\ngroup_prefix = "other/"\n'


@dataclass
class World:
    """A receiver and its database."""

    app: Flask
    process: Process
    engine: Engine

    def token(self, secret: str = "secret-of-okta", *, source: str = "directory", client: str = "okta") -> str:
        """Make a token known; return its id."""
        made = ScimToken(self.process.ids.new(), source, client, self.process.clock.now(), "os:me")
        with SqlStore(self.engine).unit() as unit:
            unit.scim_tokens.add(made, digest_of(secret))
        return made.id

    def client(self, secret: str = "secret-of-okta") -> Client:
        """Make a client that presents this token."""
        return Client(self.app, {"Authorization": f"Bearer {secret}"})

    def principal(self, subject: str) -> Principal | None:
        """Ask the access map."""
        return self.process.services.guard().identity.principal(subject)

    def audit(self) -> list[tuple[str, str]]:
        """List actions and actors of the access map's entries."""
        query = "SELECT action, actor FROM audit_entries WHERE action LIKE 'access:%' ORDER BY seq"
        with self.engine.connect() as connection:
            return [(row.action, row.actor) for row in connection.execute(text(query))]


@dataclass
class Client:
    """Speaks SCIM."""

    app: Flask
    headers: dict[str, str]

    def send(self, method: str, path: str, document: Any = None, **headers: str) -> TestResponse:
        """Send a request; `document` is JSON, or bytes as they are."""
        data = document if isinstance(document, bytes | None) else json.dumps(document).encode()
        sent = self.headers | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.app.test_client().open(
            f"/scim/v2{path}", method=method, data=data, headers=sent, content_type="application/scim+json"
        )

    def user(self, name: str, /, **more: Any) -> str:
        """Create a user; return its id."""
        answer = self.send("POST", "/Users", {"schemas": [USER], "userName": name, "active": True} | more)
        assert answer.status_code == 201, answer.json
        return str(answer.json["id"])

    def group(self, name: str, *members: str) -> str:
        """Create a group; return its id."""
        document = {"schemas": [GROUP], "displayName": name, "members": [{"value": member} for member in members]}
        answer = self.send("POST", "/Groups", document)
        assert answer.status_code == 201, answer.json
        return str(answer.json["id"])

    def patch(self, path: str, *operations: dict[str, Any], **headers: str) -> TestResponse:
        """Send a PATCH."""
        return self.send("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, **headers)

    def found(self, kind: str, asked: str) -> list[dict[str, Any]]:
        """Return what a filter finds."""
        answer = self.app.test_client().get(f"/scim/v2/{kind}", query_string={"filter": asked}, headers=self.headers)
        assert answer.status_code == 200, answer.json
        assert answer.json["totalResults"] == len(answer.json.get("Resources", []))
        return list(answer.json.get("Resources", []))

    def members(self, group: str) -> set[str]:
        """Return whom a group has."""
        return {member["value"] for member in self.send("GET", f"/Groups/{group}").json.get("members", [])}


def make_world(engine: Engine, folder: Path, clock: Clock | None = None) -> World:
    """Put the application together in an empty folder that is the working one."""
    write_example(folder)
    configuration = folder / "tidegate.toml"
    lines = [line for line in configuration.read_text().splitlines() if not line.startswith("people")]
    configuration.write_text("\n".join(lines) + SOURCES)
    urls = {"TIDEGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    celery = make_celery(urls["TIDEGATE_REDIS_URL"])
    process = Process(load_settings(urls), engine, celery, clock=clock or SystemClock())
    return World(create_app(process), process, engine)
