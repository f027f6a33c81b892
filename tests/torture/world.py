"""The stage: scratch repositories, servers behind proxies, the counting target, and the gate's real processes."""

from __future__ import annotations

import json
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

import redis

from app.integrations.system import write_private
from app.stack.postgres import APP, OWNER, EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.stack.secrets import load_or_make_secret
from app.stack.server import answers
from tests.ports import free_port
from tests.programs import Program, said
from tests.torture import cast
from tests.torture.forge import Forge
from tests.torture.plan import Plan
from tests.torture.processes import Generation
from tests.torture.proxy import Proxy
from tests.torture.requests import Requests
from tests.torture.schedule import LEASE_SECONDS, SWEEP_SECONDS

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).resolve().parent
VERSION_PARTS = ("app", "workers", "migrations", "Procfile", "pyproject.toml")
READY_SECONDS = 120.0
DISK = "2m"
POLICY = """\
@id("deployers-deploy")
@reason("members of deployers may deploy")
permit (principal in Group::"deployers", action == Action::"deploy", resource);

@id("operators-roll-back")
@reason("members of operators may roll back")
permit (principal in Group::"operators", action == Action::"rollback", resource);

@id("gate-restores-last-good-release")
@reason("the gate itself brings the last good release back")
permit (principal == Principal::"tidegate", action == Action::"rollback", resource)
when { context.event == "failure" };
"""


class World:
    """Everything that runs, in one folder. `start`, then `stop`; `canaries` are the secrets that must be found nowhere."""

    def __init__(self, plan: Plan, folder: Path, say: Callable[[str], None], *, old: str | None = None) -> None:
        self.folder = folder
        self.state = folder / "state"
        self.logs = folder / "logs"
        self._say = say
        self._plan = plan
        self._old = old
        names = ("webhook-secret", "target-secret", "postgres-password", "redis-password")
        self.canaries = {name: f"canary{secrets.token_hex(16)}" for name in names}
        self.ports = {n: free_port() for n in ("web", "postgres", "redis-a", "redis-b", "database", "redis", "target")}
        self.forge = Forge(folder / "forge", plan)
        self.generations: list[Generation] = []
        self.target: Program | None = None
        self.proxy: Proxy | None = None
        self.has_disk = False
        self.env: dict[str, str] = {}
        self._servers()

    def _servers(self) -> None:
        """Prepare Postgres and a pair of Redis; their passwords are canaries."""
        for role in (APP, OWNER, "postgres"):
            write_private(self.state / "secrets" / f"postgres-{role}", self.canaries["postgres-password"] + "\n")
        self.postgres = EmbeddedPostgres(self.state, self.ports["postgres"])
        self.redis = {}
        for name in ("redis-a", "redis-b"):
            write_private(self.folder / name / "secrets" / "redis", self.canaries["redis-password"] + "\n")
            self.redis[name] = EmbeddedRedis(self.folder / name, self.ports[name])
        self.active = "redis-a"

    @property
    def web_url(self) -> str:
        """Where the receiver is."""
        return f"http://127.0.0.1:{self.ports['web']}"

    @property
    def owner_url(self) -> str:
        """Postgres, past the proxy, as the owner of the tables."""
        return self.postgres.url(OWNER)

    @property
    def standby(self) -> str:
        """The Redis that is not in use."""
        return "redis-b" if self.active == "redis-a" else "redis-a"

    def start(self) -> Requests:
        """Start all of it; return what makes the requests."""
        self._say("making repositories")
        self.forge.make()
        requests = Requests(self._plan, self.forge.shas, self.canaries["webhook-secret"])
        self._configure()
        self._say("starting Postgres and Redis")
        self.postgres.start()
        for server in self.redis.values():
            server.start()
        self.follow()
        ports = self.ports
        links = {"database": (ports["database"], ports["postgres"]), "redis": (ports["redis"], ports[self.active])}
        self.proxy = Proxy(links)
        self.env = self._environment()
        self._migrate()
        self._say("starting the gate's processes")
        first = Generation(self._version(0), 0, self.env, self.logs)
        self.generations.append(first)
        first.start(*first.names)
        self.until_ready()
        self._start_target()
        return requests

    def stop(self) -> None:
        """Stop everything that was started, and nothing else."""
        for generation in self.generations:
            generation.stop(*generation.names)
        if self.target is not None:
            self.target.stop(signal.SIGKILL)
        if self.proxy is not None:
            self.proxy.stop()
        for server in self.redis.values():
            server.stop()
        self.postgres.stop()
        if self.has_disk:
            subprocess.run(["umount", "-l", str(self.folder / "disk")], check=False)

    def follow(self) -> None:
        """Make the standby Redis a replica of the active one."""
        with self.client(self.standby) as client:
            client.config_set("masterauth", self.canaries["redis-password"])
            client.replicaof("127.0.0.1", str(self.ports[self.active]))

    def client(self, name: str) -> redis.Redis:
        """Connect to a Redis past the proxy."""
        return redis.Redis(
            port=self.ports[name], password=self.canaries["redis-password"], socket_timeout=5, decode_responses=False
        )

    def until_ready(self) -> None:
        """Wait until the receiver says that it is ready."""
        until = time.monotonic() + READY_SECONDS
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{self.web_url}/readyz", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as refusal:
                if self._old is not None and _lacks_only_migrations(refusal.read()):
                    return
                time.sleep(0.2)
            except OSError:
                time.sleep(0.2)
        raise RuntimeError("the receiver is not ready:\n" + "".join(map(said, self.logs.glob("web-*.log"))))

    def next_generation(self) -> Generation:
        """Put a newer version of the code beside the running one; it is the working tree, copied."""
        number = len(self.generations)
        generation = Generation(self._version(number), number, self.env, self.logs)
        self.generations.append(generation)
        return generation

    def tell_target(self, mode: str) -> None:
        """Set how the counting target behaves."""
        url = f"http://127.0.0.1:{self.ports['target']}/mode"
        with urllib.request.urlopen(urllib.request.Request(url, mode.encode(), method="PUT"), timeout=10):
            pass

    def _version(self, number: int) -> Path:
        """Return the folder of a version: the older revision first where one was named, else always the working tree."""
        folder = self.folder / f"version-{number}"
        folder.mkdir()
        if number == 0 and self._old:
            archive = subprocess.run(["git", "archive", self._old, *VERSION_PARTS], cwd=ROOT, capture_output=True, check=True)
            subprocess.run(["tar", "-x"], cwd=folder, input=archive.stdout, check=True)
            return folder
        for part in VERSION_PARTS:
            source = ROOT / part
            if source.is_dir():
                shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, folder / part)
        return folder

    def _environment(self) -> dict[str, str]:
        load_or_make_secret(self.state / "secrets" / "master.key", size=32, urlsafe=False)
        given = {k: v for k, v in os.environ.items() if not k.startswith(("TIDEGATE_", "PYTHON"))}
        database = self.postgres.url(APP).replace(f":{self.ports['postgres']}/", f":{self.ports['database']}/")
        return {
            **given,
            "PYTHONPATH": str(HERE / "clock"),
            "TIDEGATE_DATABASE_URL": database,
            "TIDEGATE_REDIS_URL": f"redis://:{self.canaries['redis-password']}@127.0.0.1:{self.ports['redis']}/0",
            "TIDEGATE_MASTER_KEY": f"file:{self.state}/secrets/master.key",
            "TIDEGATE_STATE_DIR": str(self.state),
            "TIDEGATE_CONFIG": str(self.folder / "tidegate.toml"),
            "TIDEGATE_PUBLIC_URL": cast.ISSUER,
            "TIDEGATE_WEB_PORT": str(self.ports["web"]),
            "TIDEGATE_SWEEP_AFTER": str(SWEEP_SECONDS),
            "TIDEGATE_LEASE_SECONDS": str(LEASE_SECONDS),
            "TIDEGATE_POLL_EVERY": "0.5",
            "TIDEGATE_DELIVERY_RATE": "1e9",  # four repositories send what thousands would
            "TIDEGATE_DELIVERY_BURST": "1000000000",
            "TORTURE_WEBHOOK_SECRET": self.canaries["webhook-secret"],
            "TORTURE_TARGET_SECRET": self.canaries["target-secret"],
        }

    def _migrate(self) -> None:
        env = {**self.env, "TIDEGATE_OWNER_DATABASE_URL": self.owner_url, "TIDEGATE_DATABASE_URL": self.postgres.url(APP)}
        subprocess.run([sys.executable, "-m", "app.store.migrate"], cwd=ROOT, env=env, check=True)

    def _configure(self) -> None:
        for name in ("logs", "target", "disk", "sites", "policies"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(self.folder / "disk")]
        self.has_disk = subprocess.run(mount, capture_output=True, check=False).returncode == 0
        if not self.has_disk:
            self._say("no small file system can be mounted here: the fault disk-full is left out")
        (self.folder / "people.toml").write_text(cast.PEOPLE_TOML.format(user=pwd.getpwuid(os.getuid()).pw_name))
        (self.folder / "policies" / "torture.cedar").write_text(POLICY)
        (self.folder / "tidegate.toml").write_text("\n".join(self._toml()))

    def _toml(self) -> list[str]:
        facts = {"folder": self.folder, "port": self.ports["target"], "python": sys.executable, "script": HERE / "script.py"}
        lines = ['[forges.gogs]\nkind = "gogs"\nurl = "http://127.0.0.1:3000"']
        lines += [f'clone = "file://{self.forge.address}/{{repository}}.git"', 'webhook_secrets = ["env:TORTURE_WEBHOOK_SECRET"]']
        lines += ['[zones.here]\nkind = "compute"\nregion = "local"']
        for place in cast.PLACES.values():
            lines.append(f'[targets.{place.name}]\nkind = "{place.kind}"\nzone = "here"\n{place.options.format(**facts)}')
        for each in cast.ENVIRONMENTS.values():
            lines.append(f'[[environments]]\nname = "{each.name}"\nrepository = "gogs:{each.repository}"')
            lines.append(
                f'deploys = {json.dumps(each.deploys)}\ntargets = {json.dumps(each.targets)}\naudience = "{each.audience}"'
            )
        return lines

    def _start_target(self) -> None:
        with urllib.request.urlopen(f"{self.web_url}/.well-known/jwks.json", timeout=30) as answer:
            keys = json.load(answer)["keys"]
        good = {self.forge.shas[f"{a.repository} {_commit(self._plan, a.after)}"] for a in self._plan.endings if a.after}
        bad = {tuple(each.split(" ")) for each in self._plan.bad}
        refused = [f"{t} {self.forge.shas[f'{r} {c}']}" for r, c in bad for t in cast.PLACES]
        settings = {
            "port": self.ports["target"],
            "secret": self.canaries["target-secret"],
            "seed": self._plan.seed,
            "issuer": cast.ISSUER,
            "keys": keys,
            "good": sorted(good),
            "bad": refused,
            "environments": {
                e.name: {"audience": e.audience, "subject": cast.subject_of(e.name)} for e in cast.ENVIRONMENTS.values()
            },
        }
        write_private(self.folder / "target" / "target.json", json.dumps(settings))
        command = [sys.executable, "-m", "tests.torture.target", str(self.folder / "target")]
        self.target = Program(command, self.folder / "target" / "said", cwd=ROOT)
        self.target.until(lambda: answers(self.ports["target"]))
        self.tell_target("well")


def _commit(plan: Plan, name: str) -> str:
    tag = plan.tags.get(name)
    return tag[1] if tag else name


def descendants(pid: int) -> list[int]:
    """List a process and all that came of it."""
    parents: dict[int, list[int]] = {}
    for each in os.listdir("/proc"):
        if each.isdigit():
            try:
                stat = Path(f"/proc/{each}/stat").read_text()
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(each))
    found, waiting = [], [pid]
    while waiting:
        found.append(waiting.pop())
        waiting += parents.get(found[-1], [])
    return found


def signal_tree(pid: int | None, how: signal.Signals) -> None:
    """Signal a server with its children (Postgres' backends have sessions of their own)."""
    for each in descendants(pid) if pid else ():
        try:
            os.kill(each, how)
        except ProcessLookupError:
            continue


def _lacks_only_migrations(body: bytes) -> bool:
    """Tell whether a process only finds that the database is newer than itself, which earlier releases call not ready."""
    checks = json.loads(body).get("checks", {})
    return {name for name, status in checks.items() if status != "ok"} == {"migrations"}
