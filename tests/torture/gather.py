"""Wait for the end, then read what there is to read into a `History`: tables, targets, logs, memory; and look for leaks."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.torture.cast import PLACES
from tests.torture.history import DeliveryRow, DeploymentRow, DispatchRow, Entry, History, Mark, StageRow
from tests.torture.world import World, descendants

UNENDED = """SELECT (SELECT count(*) FROM deliveries WHERE state = 'pending'),
                   (SELECT count(*) FROM deployments WHERE due_at IS NOT NULL)"""
ALARMS = re.compile(r"Traceback|unexpected|Unrecoverable|CRITICAL|\"level\": \"(?:error|critical)\"|panicked")
EXPLAINED = re.compile(  # Celery's words for a broker that is away: what was not sent comes back with the sweeper
    r"consumer: Cannot connect to redis|Couldn't apply scheduled task|beat: Connection error|Couldn't ack '[^']*', reason:network"
    r"|raised unexpected: \w+\(.*kombu/(?:connection|transport)"
)
BEAT_ENDS = "invalid operation on closed shelf"  # asked to end in the middle of a tick, it does so with this
TOKEN = re.compile(rb"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")

SIGNATURE = re.compile(rb"[A-Za-z0-9_-]{342}")  # of RS256 with 2048 bits, in base64url


class Watch:
    """Looks at the process list while the run goes on: command lines for leaks, and how much memory each process uses."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.megabytes: dict[str, float] = {}
        self.seen: set[bytes] = set()
        self._thread.start()

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.5):
            for each in os.listdir("/proc"):
                if each.isdigit():
                    self.seen.add(_read(Path("/proc") / each / "cmdline"))
            for generation in list(self._world.generations):
                for name, pid in generation.pids().items():
                    self.megabytes[name] = max(self.megabytes.get(name, 0.0), sum(map(_megabytes, descendants(pid))))


def _megabytes(pid: int) -> float:
    found = re.search(rb"VmRSS:\s+(\d+)", _read(Path(f"/proc/{pid}/status")))
    return int(found[1]) / 1024 if found else 0.0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def under_way(world: World) -> int | None:
    """Count what has not ended; None while the database is away."""
    try:
        with _connected(world) as connection:
            return sum(connection.execute(UNENDED).fetchone() or ())
    except psycopg.Error:
        return None


def wait_for_the_end(world: World, seconds: float, say: Callable[[str], None]) -> bool:
    """Wait until nothing waits any more; False if it does not come to that."""
    until, told = time.monotonic() + seconds, 0.0
    while time.monotonic() < until:
        with _connected(world) as connection:
            pending, unended = connection.execute(UNENDED).fetchone() or (0, 0)
        if not pending and not unended:
            return True
        if time.monotonic() - told > 10:
            told = time.monotonic()
            say(f"{pending} deliveries and {unended} deployments are under way")
        time.sleep(0.5)
    return False


def gather(world: World, history: History, watch: Watch) -> None:
    """Fill in all that is known after the end."""
    with _connected(world) as connection:
        _tables(connection, history)
        dump = _dump(connection)
    history.marks = sorted(_marks(world), key=lambda m: m.at)
    for place in PLACES.values():
        _shown(world, history, place.name, place.kind)
    history.megabytes = watch.megabytes
    logs = list(_logs(world))
    history.log_lines = [f"{p.name}: {line}" for p in logs if world.logs in p.parents for line in _alarming(p)]
    history.leaks = sorted(set(_leaks(world, [("Postgres", dump), *_redis(world), *_files(logs)], watch)))


def _connected(world: World) -> psycopg.Connection[Any]:
    return psycopg.connect(world.owner_url.replace("postgresql+psycopg", "postgresql"), autocommit=True, connect_timeout=3)


def _tables(connection: psycopg.Connection[Any], history: History) -> None:
    cursor = connection.cursor(row_factory=dict_row)
    behind = time.time() - time.monotonic()  # from the database's clock to the monotonic one: it is one machine

    def rows(query: str) -> list[dict[str, Any]]:
        return cursor.execute(query).fetchall()

    history.deliveries = [
        DeliveryRow(
            str(r["id"]), r["position"], r["forge_delivery_id"], r["event_header"],
            hashlib.sha256(r["body"]).hexdigest(), r["state"], r["reason"],
        )
        for r in rows("SELECT * FROM deliveries ORDER BY position")
    ]  # fmt: skip
    history.deployments = [
        DeploymentRow(
            str(r["id"]), r["position"], _text(r["delivery_id"]), r["environment"], r["ref"], r["sha"],
            f"{r['actor_forge']}:{r['actor_id']}", r["trigger"], _text(r["release_id"]), r["state"], r["reason"],
            r["created_at"].timestamp() - behind, r["updated_at"].timestamp() - behind,
        )
        for r in rows("SELECT * FROM deployments ORDER BY position, created_at")
    ]  # fmt: skip
    history.stages = [
        StageRow(str(r["deployment_id"]), r["stage"], r["outcome"]) for r in rows("SELECT * FROM stages ORDER BY finished_at")
    ]
    history.dispatches = [
        DispatchRow(
            str(r["id"]), str(r["deployment_id"]), r["environment"], r["target"], r["position"], r["attempts"],
            r["progress"], r["detail"],
        )
        for r in rows("SELECT * FROM dispatches ORDER BY id")
    ]  # fmt: skip
    history.entries = [
        Entry(r["seq"], r["action"], r["actor"], _text(r["deployment_id"]), _text(r["delivery_id"]), r["detail"])
        for r in rows("SELECT * FROM audit_entries ORDER BY seq")
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _dump(connection: psycopg.Connection[Any]) -> bytes:
    """Spell every table as text."""
    names = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
    parts = []
    for (name,) in names:
        with connection.cursor().copy(f'COPY "{name}" TO STDOUT') as copy:
            parts += [bytes(piece) for piece in copy]
    bodies = connection.execute("SELECT body FROM deliveries").fetchall()
    return b"".join([*parts, *(bytes(body) for (body,) in bodies)])


def _marks(world: World) -> Iterator[Mark]:
    for name in ("record.jsonl", "script.jsonl"):
        path = world.folder / "target" / name
        for line in path.read_text().splitlines() if path.exists() else ():
            yield Mark(**{"note": "", **json.loads(line)})


def _shown(world: World, history: History, name: str, kind: str) -> None:
    if kind != "directory":
        done = [m.sha for m in history.marks if m.target == name and m.what == "done"]
        history.shown[name] = done[-1] if done else None
        return
    path = world.folder / ("disk/site" if name == "disk" else f"sites/{name}")
    link = path / "current"
    history.shown[name] = Path(os.readlink(link)).name if link.is_symlink() else None
    markers = (path / ".tidegate" / "dispatches").glob("*.json")
    history.markers[name] = {m.stem: json.loads(m.read_text())["sha"] for m in markers}


def _logs(world: World) -> Iterator[Path]:
    yield from sorted(world.logs.glob("*.log"))
    yield from (p for p in (world.state, world.folder / "redis-a", world.folder / "redis-b") for p in sorted(p.glob("*.log")))


def _alarming(path: Path) -> Iterator[str]:
    kept: list[str] = []
    for line in path.read_text(errors="replace").splitlines():
        if BEAT_ENDS in line:  # and the traceback before it, which stands between two JSON lines
            while kept and "| {" not in kept[-1]:
                kept.pop()
        else:
            kept.append(line)
    return (line[:1500] for line in kept if ALARMS.search(line) and not EXPLAINED.search(line))


def _redis(world: World) -> Iterator[tuple[str, bytes]]:
    for name in world.redis:
        for path in (world.folder / name / "redis").rglob("*"):
            if path.is_file():
                yield f"{name}/{path.name}", path.read_bytes()
    with world.client(world.active) as client:
        for key in client.scan_iter():
            yield "a key of Redis", bytes(key) + (client.dump(key) or b"")


def _files(paths: list[Path]) -> Iterator[tuple[str, bytes]]:
    for path in paths:
        yield path.name, path.read_bytes()


def _leaks(world: World, places: list[tuple[str, bytes]], watch: Watch) -> Iterator[str]:
    """Look for every secret and every token that a target was given; and for anything that looks like a token."""
    tokens = (world.folder / "target" / "tokens").read_bytes().split()
    signatures = {token.rpartition(b".")[2] for token in tokens}
    needles = {**{name: value.encode() for name, value in world.canaries.items()}}
    places = [*places, ("a process list", b"\n".join(watch.seen))]
    for where, text in places:
        for name, value in needles.items():
            if value in text:
                yield f"the {name} stands in {where}"
        if TOKEN.search(text) or not signatures.isdisjoint(SIGNATURE.findall(text)):
            yield f"a token stands in {where}"
