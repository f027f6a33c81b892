"""The demo's scene: a stack of its own on free ports, a scratch repository, and a small service with a health page."""

from __future__ import annotations

import hmac
import json
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any

from app.bootstrap import build
from app.domain.errors import GateError
from app.integrations.http import HttpClient, NotSent, Unanswered
from app.integrations.system import SystemIds, operator, random_bytes
from app.settings import environ, load_settings
from app.stack.server import free_port
from app.stack.up import ROOT, Running, Stack

SECRET = random_bytes(24).hex()
START_SECONDS = 40

CONFIGURATION = """\
people = "people.toml"
policies = "policies"

[forges.gogs]
kind = "gogs"
url = "http://127.0.0.1:3000"
clone = "file://{folder}/forge/{{repository}}.git"
webhook_secrets = ["env:DEMO_WEBHOOK_SECRET"]

[zones.here]
kind = "compute"
region = "local"

[targets.site]
kind = "directory"
zone = "here"
path = "{folder}/site"

[[environments]]
name = "production"
repository = "gogs:acme/shop"
deploys = ["branch:main", "tag:v*"]
targets = ["site"]
audience = "https://shop.example/deploy"
health = {{ url = "http://127.0.0.1:{health_port}/healthz", within = "2s" }}
"""

PEOPLE = """\
[[people]]
subject = "alice"
emails = ["alice@example.com"]
accounts = ["gogs:2"]
groups = ["deployers"]

[[people]]
subject = "operator"
accounts = ["os:{user}"]
groups = ["operators"]
"""


class Scene:
    """Everything that the demo needs; it is gone when the block ends."""

    environment = "production"
    alice = (2, "alice")
    mallory = (66, "mallory")

    def __init__(self, say: Callable[[str], None], **settings: str) -> None:
        self._say = say
        self._ids = SystemIds()
        self.folder = Path(mkdtemp(prefix="tidegate-demo-"))
        self._work = self.folder / "work"
        self._health = ThreadingHTTPServer(("127.0.0.1", 0), _health_page(self.folder / "site" / "current"))
        ports = {name: str(free_port()) for name in ("WEB", "FLOWER", "POSTGRES", "REDIS")}
        inherited = {name: value for name, value in environ().items() if not name.startswith("TIDEGATE_")}
        self.env = {
            **inherited,
            **{f"TIDEGATE_{name}_PORT": port for name, port in ports.items()},
            "TIDEGATE_STATE_DIR": str(self.folder / "state"),
            "TIDEGATE_CONFIG": str(self.folder / "tidegate.toml"),
            "DEMO_WEBHOOK_SECRET": SECRET,
            **settings,
        }
        self.stack = Stack(self.env, log=self.folder / "processes.log")
        self.running: Running

    def __enter__(self) -> Scene:
        try:
            self._prepare()
            self.running = self.stack.start(self._say)
            self.env = dict(self.stack.env)
            self.until_ready()
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None) -> None:
        self._say("stopping")
        self._end()

    def push(self, message: str, *, account: tuple[int, str], healthy: bool = True) -> str:
        """Commit, push, and send the delivery that Gogs would send; return the deployment that follows."""
        return self.deployment_of(self.deliver(self.commit(message, account=account, healthy=healthy)))

    def commit(self, message: str, *, account: tuple[int, str], healthy: bool = True) -> dict[str, Any]:
        """Commit and push; return the event that Gogs would send."""
        before = self._git("rev-parse", "--verify", "--quiet", "HEAD", check=False) or "0" * 40
        (self._work / "index.html").write_text(f"<h1>{message}</h1>\n")
        (self._work / "health").write_text("well\n" if healthy else "broken\n")
        self._git("add", "-A")
        self._git("commit", "--quiet", "-m", message)
        self._git("push", "--quiet", "origin", "HEAD:refs/heads/main")
        return _gogs_push(before, self._git("rev-parse", "HEAD"), account)

    def tag(self, name: str, *, account: tuple[int, str]) -> dict[str, Any]:
        """Push an annotated tag of the newest commit; return the event that Gogs would send."""
        self._git("tag", "-a", "-m", name, name)
        self._git("push", "--quiet", "origin", name)
        push = _gogs_push("", "", account)
        common = {key: push[key] for key in ("repository", "sender")}
        return {"ref": name, "ref_type": "tag", "sha": self._git("rev-parse", name), "default_branch": "main"} | common

    def head(self) -> str:
        """Return the newest commit."""
        return self._git("rev-parse", "HEAD")

    def branch(self, name: str) -> None:
        """Push the newest commit to another branch as well; no delivery is sent."""
        self._git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")

    def deployed(self) -> str:
        """Return the commit that the target's `current` link points to."""
        return Path(os.readlink(self.folder / "site" / "current")).name

    def deliver(self, payload: dict[str, Any]) -> str:
        """Send a signed delivery; return its id at the gate. Raises GateError unless it is accepted."""
        body = json.dumps(payload, indent=2).encode()
        delivery = self._ids.new()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "GogsServer",
            "X-Gogs-Delivery": delivery,
            "X-Gogs-Event": "create" if "ref_type" in payload else "push",
            "X-Gogs-Signature": hmac.digest(SECRET.encode(), body, "sha256").hex(),
        }
        answer = _client().post(f"{self.running.web_url}/hooks/gogs", content=body, headers=headers)
        self._say(f"the receiver answers {answer.status} {answer.body.decode().splitlines()[0]}")
        if answer.status != 202:
            raise GateError(f"the delivery was not accepted: {answer.status}")
        return answer.body.decode().split()[-1]

    def deployment_of(self, delivery_id: str) -> str:
        """Wait for the deployment that is planned for a delivery."""
        reads, pause = build(load_settings(self.env), pool_size=1).reads, threading.Event()
        for _ in range(400):
            if deployments := reads.deployments(1, delivery_id=delivery_id):
                return deployments[0].id
            pause.wait(0.05)
        raise GateError(f"nothing was planned for delivery {delivery_id}")

    def _prepare(self) -> None:
        user = operator().id
        port = self._health.server_address[1]
        (self.folder / "tidegate.toml").write_text(CONFIGURATION.format(folder=self.folder, health_port=port))
        (self.folder / "people.toml").write_text(PEOPLE.format(user=user))
        shutil.copytree(ROOT / "examples" / "policies", self.folder / "policies")
        threading.Thread(target=self._health.serve_forever, daemon=True).start()
        self._work.mkdir()
        bare = self.folder / "forge" / "acme" / "shop.git"
        bare.parent.mkdir(parents=True)
        self._git("init", "--quiet", "--bare", str(bare))
        self._git("init", "--quiet")
        self._git("remote", "add", "origin", str(bare))

    def _git(self, *arguments: str, check: bool = True) -> str:
        settings = ("-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-c", "init.defaultBranch=main")
        command = ["git", *settings, *arguments]
        done = subprocess.run(command, cwd=self._work, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise GateError(f"git {arguments[0]}: {done.stderr.strip()}")
        return done.stdout.strip()

    def until_ready(self) -> None:
        """Wait until the receiver says that it is ready; raises GateError."""
        self._say("waiting for receiver and workers")
        pause = threading.Event()
        for _ in range(START_SECONDS * 10):
            try:
                if _client().get(f"{self.running.web_url}/readyz").status == 200:
                    return
            except (NotSent, Unanswered):
                pass
            pause.wait(0.1)
        raise GateError(f"the receiver is not ready; see {self.folder}/processes.log")

    def _end(self) -> None:
        self.stack.stop()
        self._health.shutdown()
        self._health.server_close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _health_page(current: Path) -> type[BaseHTTPRequestHandler]:
    class Page(BaseHTTPRequestHandler):
        """Answers 200 as long as the deployed file `health` says so."""

        def do_GET(self) -> None:
            try:
                healthy = (current / "health").read_text() == "well\n"
            except OSError:
                healthy = False
            self.send_response(200 if healthy else 500)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    return Page


def _gogs_push(before: str, after: str, account: tuple[int, str]) -> dict[str, Any]:
    """Make a push event in the shape that Gogs sends (internal/route/api/v1/types/webhook.go)."""
    number, login = account
    user = {"id": number, "login": login, "username": login, "full_name": "", "email": f"{login}@example.com"}
    owner = {"id": 1, "login": "acme", "username": "acme", "full_name": "", "email": ""}
    repository = {"id": 1, "owner": owner, "name": "shop", "full_name": "acme/shop", "fork": False, "mirror": False}
    return {
        "ref": "refs/heads/main",
        "before": before,
        "after": after,
        "compare_url": "",
        "commits": [],
        "repository": repository,
        "pusher": user,
        "sender": user,
    }


def _client() -> HttpClient:
    return HttpClient(connect_timeout=2.0, read_timeout=10.0)
