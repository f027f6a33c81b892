"""`tidegate notice …`: notices to sinks, delivered or not, and a test of one sink."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.notice import notice_json, sent_json
from app.cli.output import JSON, LIMIT, command, console, listing, print_json, process, short, when
from app.domain.errors import NotFound
from app.domain.notice import Notice, NoticeEvent, StoredNotice
from app.integrations.system import operator

app = typer.Typer(no_args_is_help=True, help="Notices to sinks.")


@app.command("list")
@command
def list_(
    undelivered: Annotated[
        bool, typer.Option("--undelivered", help="Only notices that were not delivered: waiting or given up.")
    ] = False,
    limit: LIMIT = 100,
    as_json: JSON = False,
) -> None:
    """List notices, newest first, and what became of them."""
    with process().services.store.reading() as unit:
        stored = unit.notices.newest(limit, undelivered=undelivered)
    if as_json:
        return print_json([notice_json(entry) for entry in stored])
    table = listing("id", "at", "sink", "event", "state", "tries", "subject or fault")
    for entry in stored:
        notice = entry.notice
        row = (short(notice.id), when(notice.at), entry.sink, notice.event, _state(entry), str(entry.tries))
        table.add_row(*row, entry.fault or notice.subject)
    console.print(table)


@app.command("test")
@command
def try_(sink: str, as_json: JSON = False) -> None:
    """Send a test notice to a sink now, and show the result."""
    running = process()
    binding = running.services.guard().sinks.get(sink)
    if binding is None:
        raise NotFound(f"there is no [sinks.{sink}] in the configuration")
    sender = operator().key
    notice = Notice(
        id=running.ids.new(),
        at=running.clock.now(),
        event=NoticeEvent.NOTICE_TEST,
        subject="Tidegate: a test",
        text=f"{sender} tests whether the sink {sink} accepts notices.\nNothing has happened.",
        detail={"sink": sink, "by": sender},
    )
    binding.sink().emit(notice)
    if as_json:
        return print_json(sent_json(sink, notice))
    console.print(f"{sink} accepted notice {notice.id}")


def _state(stored: StoredNotice) -> str:
    if stored.sent_at is not None:
        return f"sent {when(stored.sent_at)}"
    if stored.given_up_at is not None:
        return f"given up {when(stored.given_up_at)}"
    assert stored.due_at is not None
    return f"due {when(stored.due_at)}"
