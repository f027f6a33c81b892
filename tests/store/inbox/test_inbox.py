"""Group commit: deliveries that arrive together share a commit, and nothing else."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import Connection, Engine, event, text
from sqlalchemy.exc import DBAPIError

from app.domain.audit import AuditEntry
from app.domain.delivery import Delivery, DeliveryState, Receipt
from app.domain.errors import StoreUnavailable
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.system import SystemClock, SystemIds
from app.store.engine import make_engine
from app.store.inbox.inbox import BATCH, SqlInbox
from app.store.reads import Reads
from tests.ports import free_port
from tests.waiting import until

CLOCK, IDS = SystemClock(), SystemIds()
PUSH = Event(
    EventKind.PUSH,
    Repository("gogs", 1, "acme/shop", "acme", 7),
    "refs/heads/main",
    "a" * 40,
    "b" * 40,
    Account("gogs", "2", "alice"),
)


def delivery(forge_delivery_id: str | None = None, **over: object) -> Delivery:
    new_id = IDS.new()
    body = f'{{"delivery": "{new_id}"}}\x00\xff'.encode("latin-1")
    made = Delivery(new_id, "gogs", forge_delivery_id or new_id, "push", body, PUSH, None, CLOCK.now(), DeliveryState.PENDING)
    return replace(made, **over)  # type: ignore[arg-type]


def entry_for(of: Delivery) -> AuditEntry:
    detail = {"forge_delivery_id": of.forge_delivery_id}
    return AuditEntry(IDS.new(), of.received_at, "delivery:received", "gogs:2", None, of.id, of.id, detail)


Result = Receipt | BaseException


def put_all(inboxes: Sequence[SqlInbox], deliveries: Sequence[Delivery], threads: int) -> list[Result]:
    """Put deliveries from many threads that begin together; return each caller's result. No caller may hang."""
    together = threading.Barrier(threads)
    chunks = [range(start, len(deliveries), threads) for start in range(threads)]

    def put(chunk: range) -> list[tuple[int, Result]]:
        together.wait(timeout=30)
        return [(n, outcome(lambda n=n: inboxes[n % len(inboxes)].put(deliveries[n]).result(30))) for n in chunk]  # type: ignore[misc]

    with ThreadPoolExecutor(threads) as pool:
        running = [pool.submit(put, chunk) for chunk in chunks]
        found = dict(pair for future in running for pair in future.result(timeout=60))
    return [found[n] for n in range(len(deliveries))]


def outcome(act: Callable[[], Receipt]) -> Result:
    try:
        return act()
    except Exception as fault:
        return fault


@dataclass
class Group:
    """Makes one group of exactly these deliveries: a first one is held back until all others wait."""

    engine: Engine
    asked: list[str] = field(default_factory=list)
    _all_wait: threading.Event = field(default_factory=threading.Event)
    _first_is_in: threading.Event = field(default_factory=threading.Event)

    def put(self, deliveries: Sequence[Delivery], *, inside: Callable[[Delivery], None] = lambda _: None) -> list[Result]:
        first = delivery()

        def entry(of: Delivery) -> AuditEntry:
            self.asked.append(of.id)
            if of.id == first.id:
                self._first_is_in.set()
                assert self._all_wait.wait(timeout=30)
            else:
                inside(of)
            return entry_for(of)

        inbox = SqlInbox(self.engine, entry)
        with ThreadPoolExecutor(len(deliveries) + 1) as pool:
            leading = pool.submit(lambda: inbox.put(first).result(30))
            assert self._first_is_in.wait(timeout=30)
            running: list[Future[Result]] = [pool.submit(outcome, lambda d=d: inbox.put(d).result(30)) for d in deliveries]  # type: ignore[misc]
            until(lambda: inbox._queue.qsize() == len(deliveries), "all others wait")
            self._all_wait.set()
            assert leading.result(timeout=60) == Receipt(first.id, is_duplicate=False, reason=None)
            return [future.result(timeout=60) for future in running]

    def commits(self) -> int:
        """Count the transactions that wrote the present rows."""
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(DISTINCT xmin::text) FROM deliveries")).scalar_one())


def stored(engine: Engine) -> dict[str, Delivery]:
    return {d.id: d for d in Reads(engine).deliveries(1000)}


def audited(engine: Engine) -> list[str]:
    """List the delivery ids that have an audit entry, once per entry."""
    return sorted(str(e.delivery_id) for e in Reads(engine).audit(limit=1000))


def test_two_hundred_at_once_are_all_stored_with_one_audit_entry_each(engine: Engine) -> None:
    deliveries = [delivery() for _ in range(200)]
    results = put_all([SqlInbox(engine, entry_for)], deliveries, threads=32)
    assert results == [Receipt(d.id, is_duplicate=False, reason=None) for d in deliveries]
    found = stored(engine)
    assert audited(engine) == sorted(found)
    assert {d.id: replace(d, position=0) for d in found.values()} == {d.id: d for d in deliveries}
    assert len({d.position for d in found.values()}) == 200


def test_what_is_committed_is_there_when_put_returns(engine: Engine) -> None:
    inbox = SqlInbox(engine, entry_for)
    for _ in range(3):
        mine = delivery()
        inbox.put(mine).result(30)
        assert Reads(engine).delivery(mine.id).body == mine.body


def test_those_who_wait_together_share_one_commit(engine: Engine) -> None:
    group = Group(engine)
    deliveries = [delivery() for _ in range(40)]
    results = group.put(deliveries)
    assert all(isinstance(r, Receipt) and not r.is_duplicate for r in results)
    assert group.commits() == 2
    assert set(stored(engine)) >= {d.id for d in deliveries}


def test_more_than_a_batch_takes_more_commits_and_loses_nobody(engine: Engine) -> None:
    group = Group(engine)
    deliveries = [delivery() for _ in range(BATCH + 10)]
    assert group.put(deliveries) == [Receipt(d.id, is_duplicate=False, reason=None) for d in deliveries]
    assert group.commits() == 3
    assert len(stored(engine)) == BATCH + 11


def test_what_is_put_before_it_is_handed_over_is_one_group(engine: Engine) -> None:
    asked: list[str] = []
    inbox = SqlInbox(engine, lambda of: (asked.append(of.id), entry_for(of))[1])
    handed_over: list[Callable[[], None]] = []
    inbox.hand_over_by(handed_over.append)
    for turn in (1, 2):
        deliveries = [delivery() for _ in range(20)]
        receipts = [inbox.put(d) for d in deliveries]
        assert not asked
        (hand_over,) = handed_over  # once for all of them, and again for the next ones
        hand_over()
        assert [r.result(30).delivery_id for r in receipts] == [d.id for d in deliveries] == asked
        assert Group(engine).commits() == turn
        handed_over.clear()
        asked.clear()


@pytest.mark.parametrize("processes", [1, 4])
def test_the_same_delivery_at_the_same_moment_is_new_to_exactly_one(engine: Engine, processes: int) -> None:
    inboxes = [SqlInbox(engine, entry_for) for _ in range(processes)]
    for round_ in range(5):
        same = [delivery(f"same-{round_}", reason="why", state=DeliveryState.IGNORED, event=None) for _ in range(24)]
        receipts = [r for r in put_all(inboxes, same, threads=24) if isinstance(r, Receipt)]
        assert len(receipts) == 24
        (new,) = [r for r in receipts if not r.is_duplicate]
        assert {(r.delivery_id, r.reason) for r in receipts} == {(new.delivery_id, "why")}
        (kept,) = [d for d in stored(engine).values() if d.forge_delivery_id == f"same-{round_}"]
        assert kept.id == new.delivery_id and audited(engine).count(kept.id) == 1
    assert len(stored(engine)) == len(audited(engine)) == 5


def test_the_same_delivery_twice_in_one_group_is_new_to_exactly_one(engine: Engine) -> None:
    same = [delivery("same") for _ in range(6)]
    others = [delivery() for _ in range(3)]
    results = Group(engine).put([*same, *others])
    receipts = [r for r in results if isinstance(r, Receipt)]
    assert sorted(r.is_duplicate for r in receipts) == [False] * 4 + [True] * 5
    assert len({r.delivery_id for r in receipts[:6]}) == 1
    assert len(stored(engine)) == len(audited(engine)) == 5


def test_the_same_delivery_id_of_another_forge_is_another_delivery(engine: Engine) -> None:
    inbox = SqlInbox(engine, entry_for)
    assert not inbox.put(delivery("same")).result(30).is_duplicate
    assert not inbox.put(delivery("same", forge="gitea")).result(30).is_duplicate
    assert inbox.put(delivery("same")).result(30).is_duplicate


POISON: dict[str, dict[str, object]] = {
    "a NUL byte in a text": {"event_header": "pu\x00sh"},
    "a NUL byte inside the event": {"event": replace(PUSH, actor=Account("gogs", "2", "al\x00ice"))},
    "half a surrogate pair": {"forge_delivery_id": "\ud800"},
    "half a surrogate pair inside the event": {"event": replace(PUSH, actor=Account("gogs", "2", "\ud800"))},
    "an id that is not a UUID": {"id": "not-a-uuid"},
    "a key that no index can hold": {"forge_delivery_id": "".join(IDS.new() for _ in range(2000))},
}


@pytest.mark.parametrize("over", POISON.values(), ids=POISON.keys())
def test_a_row_that_postgres_refuses_fails_its_own_caller_only(engine: Engine, over: dict[str, object]) -> None:
    poisoned = delivery(**over)  # type: ignore[arg-type]
    before, after = [delivery() for _ in range(6)], [delivery() for _ in range(6)]
    group = Group(engine)
    results = group.put([*before, poisoned, *after])
    assert [*results[:6], *results[7:]] == [Receipt(d.id, is_duplicate=False, reason=None) for d in (*before, *after)]
    assert isinstance(results[6], Exception) and not isinstance(results[6], StoreUnavailable)
    assert audited(engine) == sorted(stored(engine)) and len(stored(engine)) == 13
    assert poisoned.id not in stored(engine)


def test_a_delivery_that_cannot_be_audited_is_not_stored_and_fails_alone(engine: Engine) -> None:
    deliveries = [delivery() for _ in range(8)]

    def inside(of: Delivery) -> None:
        if of.id == deliveries[3].id:
            raise ZeroDivisionError

    results = Group(engine).put(deliveries, inside=inside)
    assert [type(r) for r in results] == [Receipt] * 3 + [ZeroDivisionError] + [Receipt] * 4
    assert set(audited(engine)) == set(stored(engine)) and deliveries[3].id not in stored(engine)


def test_a_poisoned_row_alone_fails_and_the_next_one_is_taken(engine: Engine) -> None:
    inbox = SqlInbox(engine, entry_for)
    with pytest.raises(DBAPIError):
        inbox.put(delivery(event_header="\x00")).result(30)
    assert not inbox.put(delivery()).result(30).is_duplicate


def test_a_connection_lost_inside_a_group_fails_all_of_it_and_the_next_group_is_taken(engine: Engine) -> None:
    """No row of the lost transaction may be stored, and no caller may be told that it was."""
    deliveries = [delivery() for _ in range(8)]
    inside, killed = threading.Event(), threading.Event()

    def kill_the_connection(connection: Connection, *_: object) -> None:
        if inside.is_set() and not killed.is_set():
            killed.set()
            pid = connection.connection.driver_connection.info.backend_pid
            with engine.connect() as other:
                assert other.execute(text(f"SELECT pg_terminate_backend({pid}, 5000)")).scalar_one()

    event.listen(engine, "before_cursor_execute", kill_the_connection)
    try:
        results = Group(engine).put(deliveries, inside=lambda _: inside.set())
    finally:
        event.remove(engine, "before_cursor_execute", kill_the_connection)
    assert killed.is_set()
    assert [type(r) for r in results] == [StoreUnavailable] * 8
    assert not set(stored(engine)) & {d.id for d in deliveries}
    assert len(audited(engine)) == 1
    again = put_all([SqlInbox(engine, entry_for)], deliveries, threads=8)
    assert again == [Receipt(d.id, is_duplicate=False, reason=None) for d in deliveries]


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as server:
        yield int(server.getsockname()[1])


@pytest.mark.parametrize("kind", ["nobody listens", "nobody answers"])
def test_without_postgres_everybody_is_told_so_and_nobody_hangs(kind: str, silent_port: int) -> None:
    port = free_port() if kind == "nobody listens" else silent_port
    engine = make_engine(f"postgresql+psycopg://tidegate_app:x@127.0.0.1:{port}/tidegate")
    inbox = SqlInbox(engine, entry_for)
    began = time.monotonic()
    results = put_all([inbox], [delivery() for _ in range(32)], threads=32)
    assert [type(r) for r in results] == [StoreUnavailable] * 32
    assert time.monotonic() - began < 30


def test_everybody_gets_an_error_of_their_own(engine: Engine) -> None:
    """One exception object in many threads would collect the tracebacks of all of them."""
    away = make_engine(f"postgresql+psycopg://tidegate_app:x@127.0.0.1:{free_port()}/tidegate")
    results = put_all([SqlInbox(away, entry_for)], [delivery() for _ in range(16)], threads=16)
    assert len({id(r) for r in results}) == 16
