"""A day of a real Gogs 0.14, delivery by delivery: exact bytes over HTTP, real git, Postgres, Cedar and a folder as target.

The recordings stand in `gogs-0.14/`. `INDEX.json` lists them in order; the bundles hold every commit that one of them names.
Before each delivery the forge's refs are set as the delivery says, so the gate sees the repository as it was then.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flask import Flask
from sqlalchemy import Engine

from app.bootstrap import Process
from app.domain.deployment import Deployment
from app.integrations.system import write_private
from app.settings import load_settings
from app.store.queue.wakes import make_celery
from app.web.factory import create_app
from tests.configurations import table
from tests.pipeline.conftest import VERBS, plan_and_resolve

RECORDED = Path(__file__).parent / "gogs-0.14"
INDEX = json.loads((RECORDED / "INDEX.json").read_text())
NOWHERE = "redis://127.0.0.1:1/0"
# The repositories by their numbers: the bundle, and all names of that day (renamed, transferred; 2 is carol's fork).
REPOSITORIES = {
    1: ("store.bundle", ("alice/shop", "alice/store", "acme/store")),
    3: ("web.bundle", ("acme/web",)),
    5: ("empty1.bundle", ("acme/empty1",)),
}
ZERO = "0" * 40


@dataclass(frozen=True)
class Recorded:
    """One delivery of that day."""

    seq: int
    event: str
    repository: str
    repository_id: int
    label: str
    headers: dict[str, str]
    body: bytes
    is_old: bool = False

    def sent_again(self) -> Recorded:
        """Return the same body under another delivery id, as who has captured it may send it."""
        new = {"X-Gogs-Delivery": f"again-{self.seq}", "X-Github-Delivery": f"again-{self.seq}"}
        return replace(self, headers={**self.headers, **new}, is_old=True)

    @property
    def json(self) -> dict[str, Any]:
        """The parsed body."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


def recorded() -> list[Recorded]:
    """Read the deliveries, in their order."""
    return [_recorded(row) for row in INDEX["deliveries"]]


def _recorded(row: dict[str, Any]) -> Recorded:
    headers = {
        "Content-Type": "application/json",
        "X-Gogs-Event": row["event"],
        "X-Gogs-Delivery": row["delivery"],
        "X-Gogs-Signature": row["signature"],
        "X-Github-Event": row["event"],
        "X-Github-Delivery": row["delivery"],
        "User-Agent": "GogsServer",
    }
    body = (RECORDED / row["body"]).read_bytes()
    return Recorded(row["seq"], row["event"], row["repository"], row["repository_id"], row["label"], headers, body)


@dataclass
class Forge:
    """The repositories of that day on disk, with their refs as they were at a moment."""

    folder: Path

    def make(self) -> None:
        """Unpack the bundles, and take every ref away but those that keep the commits."""
        for number, (bundle, names) in REPOSITORIES.items():
            bare = self.folder / f"{number}.git"
            self.git("init", "-q", "--bare", str(bare), cwd=self.folder)
            self.git("fetch", "-q", str(RECORDED / bundle), "refs/*:refs/keep/all/*", cwd=bare)
            for name in names:
                (self.folder / name).parent.mkdir(exist_ok=True)
                (self.folder / f"{name}.git").symlink_to(bare)

    def become(self, delivery: Recorded) -> None:
        """Set the refs as they are when this delivery is sent."""
        if delivery.repository_id not in REPOSITORIES:
            return
        for ref, commit in _refs_of(delivery):
            wanted = commit or self._at_the_end(delivery, ref)
            if wanted == ZERO:
                self.git("update-ref", "-d", ref, cwd=self._bare(delivery))
            elif wanted is not None:
                self.git("update-ref", ref, wanted, cwd=self._bare(delivery))

    def git(self, *arguments: str, cwd: Path) -> str:
        """Run git."""
        done = subprocess.run(["git", *arguments], cwd=cwd, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def _bare(self, delivery: Recorded) -> Path:
        return self.folder / f"{delivery.repository_id}.git"

    def _at_the_end(self, delivery: Recorded, ref: str) -> str | None:
        """Return what the ref was when the bundle was made, for the tag of a release, of which Gogs tells no commit."""
        kept = f"refs/keep/all/{ref.removeprefix('refs/')}"
        known = self.git("for-each-ref", "--format=%(objectname)", kept, cwd=self._bare(delivery))
        head = self.git("for-each-ref", "--format=%(objectname)", "refs/heads/main", cwd=self._bare(delivery))
        there = self.git("for-each-ref", "--format=%(objectname)", ref, cwd=self._bare(delivery))
        return there or known or head or None


def _refs_of(delivery: Recorded) -> Iterator[tuple[str, str | None]]:
    """List the refs that a delivery tells of, with their objects; None: it does not tell."""
    body = delivery.json
    match delivery.event:
        case "push" if body["ref"].startswith("refs/"):
            yield body["ref"], body["after"]
        case "create" if body["ref_type"] == "tag":
            yield f"refs/tags/{body['ref']}", body["sha"]
        case "delete":
            yield f"refs/{'tags' if body['ref_type'] == 'tag' else 'heads'}/{body['ref']}", ZERO
        case "release":
            yield f"refs/tags/{body['release']['tag_name']}", None


@dataclass
class Day:
    """The gate of that day: its receiver, its line, and the site that it deploys to."""

    app: Flask
    process: Process
    forge: Forge
    folder: Path

    def deliver(self, delivery: Recorded) -> list[Deployment]:
        """Send one delivery and run what follows from it to its end; return its deployments."""
        if not delivery.is_old:
            self.forge.become(delivery)
        answer = self.app.test_client().post("/hooks/gogs", data=delivery.body, headers=delivery.headers)
        assert answer.status_code in (200, 202), (delivery.seq, answer.get_data(as_text=True))
        for deployment in plan_and_resolve(self.process.services):
            self._run(deployment.id)
        deliveries = self.process.reads.deliveries(1)
        return self.process.reads.deployments(20, delivery_id=deliveries[0].id)

    def reason(self) -> str:
        """Return why nothing followed from the last delivery, or an empty text."""
        return self.process.reads.deliveries(1)[0].reason or ""

    def current(self, environment: str) -> str | None:
        """Return the commit that an environment's site serves."""
        link = self.folder / environment / "current"
        return link.readlink().name if link.is_symlink() else None

    def _run(self, deployment_id: str) -> None:
        for verb in VERBS.values():
            outcome = verb(self.process.services, deployment_id)
            for wake in outcome.wakes:
                self._run(wake.deployment_id)
            if not outcome.goes_on:
                return


def a_day(engine: Engine, folder: Path, *, people: str, policies: str, environments: dict[str, dict[str, object]]) -> Day:
    """Make the gate: `environments` names each environment's repository and what it deploys."""
    forge = Forge(folder / "forge")
    forge.folder.mkdir()
    forge.make()
    (folder / "policies").mkdir()
    (folder / "policies" / "all.cedar").write_text(policies)
    (folder / "people.toml").write_text(people)
    write_private(folder / "hook", INDEX["secret"])
    (folder / "tidegate.toml").write_text(_configuration(folder, environments))
    needed = {
        "DATABASE_URL": "postgresql+psycopg://x@127.0.0.1:1/none",
        "REDIS_URL": NOWHERE,
        "CONFIG": str(folder / "tidegate.toml"),
        "STATE_DIR": str(folder / "state"),
        "MASTER_KEY": "QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUE=",
        "SPOOL_BYTES": "0",
    }
    settings = load_settings({f"TIDEGATE_{name}": value for name, value in needed.items()})
    process = Process(settings, engine, make_celery(NOWHERE))
    return Day(create_app(process), process, forge, folder)


def _configuration(folder: Path, environments: dict[str, dict[str, object]]) -> str:
    forge = {
        "kind": "gogs",
        "url": "http://127.0.0.1:3000",
        "clone": f"file://{folder}/forge/{{repository}}.git",
        "webhook_secrets": [f"file:{folder}/hook"],
    }
    tables = [table("forges.gogs", forge), table("zones.local", {"kind": "compute", "region": "local"})]
    for name, keys in environments.items():
        tables.append(table(f"targets.{name}", {"kind": "directory", "zone": "local", "path": str(folder / name), "keep": 100}))
        whole = {"name": name, "targets": [name], "audience": f"https://{name}.example", **keys}
        tables.append(table("[environments]", whole))
    return "\n".join(['people = "people.toml"\npolicies = "policies"\n', *tables])
