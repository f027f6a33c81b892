"""The spool: whole files in the order of receipt, bounded, private, and emptied by one process at a time."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from app.domain.delivery import Delivery, DeliveryState, Receipt
from app.domain.errors import StoreUnavailable
from app.stack.postgres import EmbeddedPostgres
from app.store.engine import make_engine
from app.store.inbox.inbox import SqlInbox
from app.store.inbox.spool import REFUSED, Spool
from app.store.reads import Reads
from tests.ports import free_port
from tests.store.inbox.test_inbox import audited, delivery, entry_for, put_all, stored
from tests.waiting import until

MEGABYTE = 1024 * 1024


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder / "spool", MEGABYTE)


def nowhere() -> Engine:
    return make_engine(f"postgresql+psycopg://tidegate_app:x@127.0.0.1:{free_port()}/tidegate")


@pytest.mark.parametrize(
    "over",
    [{}, {"event": None, "reason": "why", "state": DeliveryState.IGNORED}, {"body": b""}, {"body": bytes(range(256)) * 40}],
    ids=["a push", "an ignored one", "no body", "every byte"],
)
def test_a_delivery_is_read_back_as_it_was_put(spool: Spool, over: dict[str, object]) -> None:
    mine = delivery(**over)  # type: ignore[arg-type]
    spool.put(mine)
    (path,) = spool.oldest(10)
    assert spool.read(path) == mine


def test_the_oldest_come_first_and_a_group_is_bounded_in_bytes(folder: Path) -> None:
    spool = Spool(folder / "spool", 100 * MEGABYTE)
    deliveries = [delivery(body=b"x" * 9 * MEGABYTE) for _ in range(4)]
    for d in deliveries:
        spool.put(d)
    assert [spool.read(p).id for p in spool.oldest(10)] == [deliveries[0].id]
    small = Spool(folder / "small", MEGABYTE)
    for d in [delivery() for _ in range(5)]:
        small.put(d)
    assert [p.name for p in small.oldest(3)] == sorted(p.name for p in small.oldest(5))[:3]


def test_what_lies_there_is_for_its_owner_only(spool: Spool) -> None:
    spool.put(delivery())
    (path,) = spool.oldest(1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_full_spool_refuses_and_takes_again_once_it_was_emptied(spool: Spool) -> None:
    half = delivery(body=b"x" * 600_000)
    spool.put(half)
    with pytest.raises(StoreUnavailable, match="full"):
        spool.put(delivery(body=b"x" * 600_000))
    spool.remove(spool.oldest(10))
    spool.put(delivery(body=b"x" * 600_000))


def test_a_spool_that_cannot_be_written_refuses(folder: Path) -> None:
    (folder / "file").write_text("")
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        Spool(folder / "file" / "spool", MEGABYTE).put(delivery())


def test_a_write_that_was_cut_off_is_no_delivery(spool: Spool, folder: Path) -> None:
    spool.put(delivery())
    (folder / "spool" / "0199.new").write_bytes(b'{"id": "half')
    assert len(spool.oldest(10)) == 1


def test_only_one_process_empties_it_at_a_time(spool: Spool, folder: Path) -> None:
    spool.put(delivery())
    with spool.emptying() as first, Spool(folder / "spool", MEGABYTE).emptying() as second:
        assert (first, second) == (True, False)
    with spool.emptying() as again:
        assert again


def test_without_postgres_a_delivery_is_kept_on_disk_before_it_is_answered(spool: Spool) -> None:
    inbox = SqlInbox(nowhere(), entry_for, spool)
    deliveries = [delivery() for _ in range(64)]
    assert put_all([inbox], deliveries, threads=16) == [Receipt(d.id, is_duplicate=False, reason=None) for d in deliveries]
    assert {spool.read(p).id for p in spool.oldest(100)} == {d.id for d in deliveries}


def test_what_lies_in_the_spool_comes_to_the_database_in_order_and_with_its_audit_entry(engine: Engine, spool: Spool) -> None:
    deliveries = [delivery() for _ in range(250)]
    for d in deliveries:
        spool.put(d)
    inbox = SqlInbox(engine, entry_for, spool)
    last = delivery()
    assert inbox.put(last).result(30) == Receipt(last.id, is_duplicate=False, reason=None)
    until(lambda: not spool.oldest(1), "the spool is empty")
    rows = stored(engine)
    assert sorted(rows, key=lambda i: rows[i].position) == [d.id for d in (*deliveries, last)]
    assert audited(engine) == sorted(rows)
    assert {d.id: replace(d, position=0) for d in rows.values()} == {d.id: d for d in (*deliveries, last)}


def test_what_the_database_has_already_ends_as_a_duplicate(engine: Engine, spool: Spool) -> None:
    first = delivery("same")
    SqlInbox(engine, entry_for).put(first).result(30)
    for d in (first, delivery("same"), delivery("other")):
        spool.put(d)
    SqlInbox(engine, entry_for, spool).put(delivery()).result(30)
    until(lambda: not spool.oldest(1), "the spool is empty")
    assert sorted(d.forge_delivery_id for d in stored(engine).values())[-2:] == ["other", "same"]
    assert len(audited(engine)) == len(stored(engine)) == 3


def test_a_file_that_no_database_takes_is_set_aside_and_its_neighbours_come_in(
    engine: Engine, spool: Spool, folder: Path
) -> None:
    deliveries = [delivery(), delivery(event_header="\x00"), delivery()]
    for d in deliveries:
        spool.put(d)
    (folder / "spool" / "0000-garbage.delivery").write_bytes(b"no delivery at all")
    SqlInbox(engine, entry_for, spool).put(delivery()).result(30)
    until(lambda: not spool.oldest(1), "the spool is empty")
    assert set(stored(engine)) >= {deliveries[0].id, deliveries[2].id}
    aside = sorted(p.name for p in (folder / "spool" / REFUSED).iterdir())
    assert aside == ["0000-garbage.delivery", f"{deliveries[1].id}.delivery"]


def test_when_postgres_comes_back_everything_comes_in_by_itself(postgres: EmbeddedPostgres, engine: Engine, spool: Spool) -> None:
    inbox = SqlInbox(engine, entry_for, spool)
    deliveries = [delivery() for _ in range(30)]
    for n, d in enumerate(deliveries):
        if n == 10:
            postgres.kill()
        if n == 20:
            postgres.start()
        assert inbox.put(d).result(30).delivery_id == d.id
    until(lambda: not spool.oldest(1) and len(_stored(engine)) == 30, "everything is in the database")
    rows = stored(engine)
    assert sorted(rows, key=lambda i: rows[i].position) == [d.id for d in deliveries]


def test_a_database_that_falls_silent_makes_nobody_wait_long(engine: Engine, spool: Spool) -> None:
    """Another transaction holds the table, as a stopped Postgres would hold everything."""
    inbox = SqlInbox(engine, entry_for, spool)
    inbox.put(delivery()).result(30)
    with engine.connect() as other:
        other.execute(text("LOCK TABLE deliveries IN EXCLUSIVE MODE"))
        deliveries = [delivery() for _ in range(40)]
        assert put_all([inbox], deliveries[:20], threads=20) == [
            Receipt(d.id, is_duplicate=False, reason=None) for d in deliveries[:20]
        ]
        began = time.monotonic()
        put_all([inbox], deliveries[20:], threads=20)
        assert time.monotonic() - began < 2  # the silent database is not tried again
        assert len(spool.oldest(100)) == 40
        other.rollback()
    until(lambda: not spool.oldest(1), "the spool is empty")
    assert set(stored(engine)) >= {d.id for d in deliveries}
    assert audited(engine) == sorted(stored(engine))


def _stored(engine: Engine) -> list[Delivery]:
    try:
        return Reads(engine).deliveries(100)
    except StoreUnavailable:
        return []


def test_a_disk_that_is_full_is_an_error_and_leaves_nothing_behind(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk itself: /dev/full answers every write with ENOSPC (full(4))."""
    opened: Callable[..., int] = os.open
    monkeypatch.setattr(os, "open", lambda path, *more: opened("/dev/full" if str(path).endswith(".new") else path, *more))
    spool = Spool(folder / "spool", MEGABYTE)
    with pytest.raises(StoreUnavailable, match="cannot be written"):
        spool.put(delivery())
    assert spool.oldest(10) == []
