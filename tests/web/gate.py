"""A gate that serves on 127.0.0.1, a forge that knows tokens, and a browser without a screen: for the tests of sign-in."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import httpx
from flask import Flask
from sqlalchemy import Engine, text
from werkzeug.serving import make_server

from app.bootstrap import Process
from app.integrations.system import write_private
from app.settings import load_settings
from app.store.queue.wakes import make_celery
from app.web.factory import create_app
from tests.configurations import PEOPLE as PEOPLE_FILE
from tests.configurations import table, toml
from tests.fakes import FakeClock
from tests.integrations.targets.cast import Request, Service, says
from tests.oidc.cast import Provider

NOWHERE = "redis://127.0.0.1:1/0"
CORP = {"kind": "oidc", "audience": "urn:gate", "client_id": "gate", "scopes": ["openid", "profile", "email", "groups"]}
PEOPLE = """\
[[people]]
subject = "alice"
groups = ["deployers", "staff"]
accounts = ["gogs:71"]

[[people]]
subject = "bob"
active = false

[[people]]
subject = "robot"
kind = "machine"
groups = ["robots"]
"""
POLICIES = Path(__file__).parents[2] / "examples" / "policies"
# gogs: GET /user gives the same object as a payload's `sender` (reference: internal/route/api/v1/user, apiv1types.User)
CAROL = {
    "id": 72,
    "login": "carol",
    "username": "carol",
    "full_name": "",
    "email": "carol@example.com",
    "avatar_url": "https://secure.gravatar.com/avatar/0",
}


@dataclass
class Gate:
    """The gate under test and all that it talks to."""

    app: Flask
    process: Process
    clock: FakeClock
    url: str
    folder: Path
    provider: Provider
    forge: Service
    engine: Engine
    close: Callable[[], None]
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def configure(self, *, top: str = "", corp: str = "", more: str = "", people: str = PEOPLE) -> None:
        """Write the configuration; the gate takes it with the next request."""
        (self.folder / "people.toml").write_text(people)
        issuer = table("issuers.corp", CORP, {"issuer": self.provider.url, "client_secret": f"file:{self.folder}/client"})
        forge = {"url": self.forge.url, "webhook_secrets": [f"file:{self.folder}/hook"]}
        text = toml(issuer + corp, top=f"{PEOPLE_FILE}{top}\n", forge=forge, site={"path": f"{self.folder}/site"})
        (self.folder / "tidegate.toml").write_text(f"{text}\n{more}")

    def audit(self, like: str = "%") -> list[dict[str, Any]]:
        """Return the audit entries of these actions, oldest first."""
        query = text("SELECT action, actor, detail FROM audit_entries WHERE action LIKE :like ORDER BY seq")
        with self.engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(query, {"like": like})]

    def rows(self, query: str) -> list[Any]:
        """Ask the database."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]

    def answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        """Be the forge: say whose a token is."""
        user = self.tokens.get(request.headers.get("authorization", "").removeprefix("token "))
        if request.path != "/api/v1/user" or user is None:
            says(401, b"")(handler, request)
        else:
            says(200, json.dumps(user).encode(), content_type="application/json")(handler, request)


@contextmanager
def a_gate(engine: Engine, folder: Path, provider: Provider, forge: Service, *, port: int, **env: str) -> Iterator[Gate]:
    """Serve a gate until the test is over."""
    (folder / "policies").mkdir()
    for policy in POLICIES.glob("*.cedar"):
        (folder / "policies" / policy.name).write_text(policy.read_text())
    write_private(folder / "hook", "webhook-secret")
    write_private(folder / "client", "gate-secret")
    url = f"http://127.0.0.1:{port}"
    needed = {"DATABASE_URL": "postgresql+psycopg://x@127.0.0.1:1/none", "REDIS_URL": NOWHERE, "PUBLIC_URL": url}
    needed |= {"CONFIG": str(folder / "tidegate.toml"), "STATE_DIR": str(folder / "state"), **env}
    clock = FakeClock()
    settings = load_settings({f"TIDEGATE_{name}": value for name, value in needed.items()})
    process = Process(settings, engine, make_celery(NOWHERE), clock=clock)
    with ExitStack() as serving:
        gate = Gate(Flask(__name__), process, clock, url, folder, provider, forge, engine, serving.close)
        forge.answer = gate.answer
        gate.configure()
        gate.app = create_app(process)
        server = make_server("127.0.0.1", port, gate.app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        for end in (thread.join, server.server_close, server.shutdown):  # the last is the first
            serving.callback(end)
        yield gate


class Browser:
    """Follows redirects as a browser does, with cookies, and fills in the provider's form."""

    def __init__(self, gate: Gate, **headers: str) -> None:
        self.gate = gate
        self.http = httpx.Client(headers=headers, timeout=20)

    def get(self, url: str) -> httpx.Response:
        """Get one page, without following where it leads."""
        return self.http.get(self._full(url))

    def post(self, url: str, *, origin: str | None = None, **form: str) -> httpx.Response:
        """Send a form, as a page of the gate would."""
        return self.http.post(self._full(url), data=form, headers={"origin": origin or self.gate.url})

    def follow(self, answer: httpx.Response, *, login: str = "alice", until: str = "\n") -> httpx.Response | str:
        """Go on until a page comes that leads nowhere, or return the place that begins with `until`, unvisited."""
        for _ in range(12):
            if answer.status_code == 200 and "/interaction/" in str(answer.url):
                answer = self.http.post(str(answer.url), data={"login": login})
            if not answer.is_redirect:
                return answer
            place = str(answer.url.join(answer.headers["location"]))
            if place.startswith(until):
                return place
            answer = self.http.get(place)
        raise AssertionError("it leads round in circles")

    def sign_in(self, login: str = "alice", *, next_path: str = "") -> httpx.Response:
        """Sign in with the one issuer there is; return the page that it ends at."""
        found = self.follow(self.get(f"/login/corp?next={next_path}"), login=login)
        assert isinstance(found, httpx.Response)
        return found

    def callback(self, login: str = "alice") -> str:
        """Sign in at the provider, and return where it sends the browser back to, unvisited."""
        found = self.follow(self.get("/login/corp"), login=login, until=f"{self.gate.url}/login/corp/callback")
        assert isinstance(found, str)
        return found

    @property
    def cookie(self) -> str | None:
        """The gate's cookie."""
        return self.http.cookies.get("tidegate")

    def csrf(self) -> str:
        """Read the token from the account page's forms."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/account").text)
        assert found is not None
        return found[1]

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Call the API as a script of one of the gate's own pages would."""
        return self.http.request(method, self._full(f"/api/v1{path}"), json=body, headers={"origin": self.gate.url, **headers})

    def _full(self, url: str) -> str:
        return url if url.startswith("http") else self.gate.url + url
