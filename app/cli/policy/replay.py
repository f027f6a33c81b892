"""`tidegate policy replay`: make recorded decisions again, as they were and by other policies."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from app.answers.policy import replay_json
from app.cli.options import ago, moment
from app.cli.output import FAILED, JSON, command, console, listing, print_json, process, short
from app.cli.policy.versions import policy_named
from app.cli.policy.workers import Versions, decider
from app.domain.errors import BadRequest
from app.pipeline.ask.replay_decisions import Difference, ReplayResult, replay_decisions
from app.store.decisions import Decisions

_TIME = "90d, 12h, or a time: 2026-09-01"


@command
def replay(
    since: Annotated[str, typer.Option(help=f"How far back: {_TIME}.")] = "90d",
    until: Annotated[str | None, typer.Option(help="Until when; by default, now.")] = None,
    environment: Annotated[str | None, typer.Option(help="Only decisions about this environment.")] = None,
    policies: Annotated[str | None, typer.Option(help="Other policies: a folder, or the digest of a kept version.")] = None,
    examples: Annotated[int, typer.Option(min=0, max=1000, help="How many examples to list of each kind of change.")] = 10,
    as_json: JSON = False,
) -> None:
    """Make every recorded decision again under its own policies, and show what other policies would change.

    Exit status 1 if a decision differs from its record.
    """
    running = process()
    decisions = Decisions(running.engine)
    other = policy_named(decisions, policies).files if policies is not None else None
    versions = Versions(decisions.versions(), other)
    now = running.clock.now()
    began = time.monotonic()
    result = replay_decisions(
        decisions.batches(_moment(since, now), _moment(until, now) if until else now, environment),
        decider(versions),
        progress=_progress if sys.stderr.isatty() and not as_json else lambda _: None,
        examples=examples,
    )
    seconds = time.monotonic() - began
    if as_json:
        print_json(replay_json(result, seconds))
    else:
        _print(result, seconds, is_compared=policies is not None)
    if not result.is_faithful:
        raise typer.Exit(FAILED)


def _moment(text: str, now: datetime) -> datetime:
    try:
        length = ago(text)
    except BadRequest:
        since = moment(text, "UTC")
    else:
        since = now - length if length is not None else now
    assert since is not None
    return since.astimezone(UTC)


def _progress(done: int) -> None:
    sys.stderr.write(f"\r{done} decisions")
    sys.stderr.flush()


def _print(result: ReplayResult, seconds: float, *, is_compared: bool) -> None:
    effects = ", ".join(f"{count} {effect or 'without an answer'}" for effect, count in sorted(result.effects.items()))
    console.print(f"{result.decisions} decisions ({effects or 'none'}) in {seconds:.1f} s")
    console.print(f"{result.reproduced} came out as they were recorded, {result.not_reproduced} did not")
    for digest, count in sorted(result.unkept.items()):
        console.print(f"{count} were not made again: version {digest[:12]} was kept without its schema")
    _print_differences("these differ from their record; the log or a kept version was changed:", result.differences)
    if not is_compared:
        return
    console.print(f"\nother policies change {result.changed} answers, and the policies behind {result.by_other_policies} more")
    table = listing("count", "was", "would be", "environment", "policy")
    for (before, after, environment, policy), count in result.changes.most_common():
        table.add_row(str(count), before, after, environment, policy)
    if result.changes:
        console.print(table)
    _print_differences("examples:", result.examples)
    if result.completed:
        console.print(f"{result.completed} were recorded without some of today's facts; those facts were taken as unknown")


def _print_differences(title: str, differences: list[Difference]) -> None:
    if not differences:
        return
    console.print(f"\n{title}")
    table = listing("entry", "at", "deployment", "environment", "action", "was", "would be")
    for difference in differences:
        was, is_now = (f"{side.effect} {', '.join(side.policies)}" for side in (difference.before, difference.after))
        what = (short(difference.deployment_id or ""), difference.environment, difference.action)
        table.add_row(str(difference.seq), difference.at[:19], *what, was, is_now)
    console.print(table)
