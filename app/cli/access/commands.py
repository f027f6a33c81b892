"""`tidegate access …`: who people are, according to whom, and who may do what."""

from __future__ import annotations

from typing import Annotated

import typer

from app.bootstrap import Process
from app.cli.access import key as access_key
from app.cli.options import AT, POLICIES, moment, zone_of
from app.cli.output import JSON, LIMIT, command, console, listing, plain, print_json, process, when
from app.domain.access import SourceState, Standing, why_no_principal
from app.domain.decision import Effect
from app.domain.errors import BadRequest, NotFound
from app.domain.event import Account
from app.integrations.policy.cedar import load
from app.integrations.system import operator
from app.pipeline.ask.who_can import who_can as ask_who_can
from app.pipeline.people.link_by_admin import link_by_admin, unlink_by_admin
from app.pipeline.people.sync import sync as read_source

app = typer.Typer(no_args_is_help=True, help="Who people are, according to whom, and who may do what.")
app.add_typer(access_key.app, name="key")

_MAY = {Effect.ALLOW: "yes", Effect.HOLD: "approved", Effect.DENY: "no"}
SUBJECT = Annotated[str, typer.Argument(help="How the identity sources call the person.")]
ACCOUNT = Annotated[str, typer.Argument(help="FORGE:ID, with the forge's stable number of the user; or os:NAME.")]


@app.command("list")
@command
def list_(limit: LIMIT = 1000, inactive: bool = False, as_json: JSON = False) -> None:
    """List people, machines and agents; --inactive: only those who may do nothing, and why."""
    found = [each for each in process().services.guard().identity.everybody() if not (inactive and each.principal.active)]
    if as_json:
        return print_json(found[:limit])
    table = listing("subject", "kind", "active", "groups", "accounts", "sources", "remarks")
    for standing in found[:limit]:
        who = standing.principal
        sources = sorted({s.source for s in standing.statements})
        row = (who.subject, who.kind.value, "yes" if who.active else "no", *map(_joined, (who.groups, who.accounts, sources)))
        table.add_row(*row, "; ".join(filter(None, (who.why_inactive, *standing.conflicts))))
    console.print(table)
    if len(found) > limit:
        console.print(f"and {len(found) - limit} more (--limit)")


@app.command()
@command
def show(subject: SUBJECT, as_json: JSON = False) -> None:
    """Show one principal: what each source says, since when, and what the sources do not agree about."""
    standing = _standing(process(), subject)
    if as_json:
        return print_json(standing)
    who = standing.principal
    console.print(f"subject    {who.subject} ({who.kind.value})" + (f", answered for by {who.owner}" if who.owner else ""))
    console.print("active    ", "yes" if who.active else f"no: {who.why_inactive}")
    console.print(f"groups     {_joined(who.groups)}\ne-mails    {_joined(who.emails)}")
    for link in standing.links:
        console.print(f"account    {link.key}, by {link.how.value} ({link.by}) since {when(link.at)}")
    table = listing("source", "its id", "login", "says", "groups", "said", "confirmed")
    for said in standing.statements:
        word = "gone" if said.is_gone else "active" if said.identity.is_active else "inactive"
        row = (said.source, said.identity.external_id, said.identity.login, word, _joined(said.groups), when(said.said_at))
        table.add_row(*row, when(said.confirmed_at) if said.confirmed_at else "")
    console.print(table)
    for conflict in standing.conflicts:
        console.print(f"conflict   {conflict}")


@app.command("who-can")
@command
def who_can(
    environment: str,
    ref: Annotated[str | None, typer.Option(help="The full ref; else what the environment deploys first.")] = None,
    action: Annotated[str, typer.Option(help="deploy, rollback, approve or override")] = "deploy",
    explain: Annotated[bool, typer.Option(help="List also those who may not, with the reason.")] = False,
    at: AT = None,
    policies: POLICIES = None,
    as_json: JSON = False,
) -> None:
    """List who may deploy to an environment now: everybody's rights, asked of the policies in force."""
    running = process()
    zone = zone_of(running.services.guard(), environment)
    asked_of = load(policies) if policies is not None else None
    answer = ask_who_can(running.services, environment, ref=ref, action=action, at=moment(at, zone), policy=asked_of)
    shown = [each for each in answer.answers if explain or each.effect is not Effect.DENY]
    if as_json:
        return print_json(plain(answer) | {"answers": [plain(each) | {"allowed": each.allowed} for each in shown]})
    table = listing("subject", "kind", "accounts", "may", "because")
    for each in shown:
        table.add_row(each.subject, each.kind, _joined(each.accounts), _MAY[each.effect], each.reason)
    console.print(table)
    console.print(f"{sum(each.allowed for each in answer.answers)} of {len(answer.answers)}. Assumed: {answer.assumed}")


@app.command()
@command
def link(account: ACCOUNT, subject: SUBJECT, as_json: JSON = False) -> None:
    """Say for whom an account stands; audited in your name."""
    made = link_by_admin(process().services, _account(account), subject, operator())
    if as_json:
        return print_json(made)
    console.print(f"{made.key} stands for {made.subject}")


@app.command()
@command
def unlink(account: ACCOUNT, as_json: JSON = False) -> None:
    """Take back for whom an account stands; what people.toml says is changed there."""
    gone = unlink_by_admin(process().services, _account(account), operator())
    if as_json:
        return print_json(gone)
    for each in gone:
        console.print(f"{each.key} does not stand for {each.subject} any more")


@app.command()
@command
def sync(
    source: str,
    whole: Annotated[bool, typer.Option(help="Read all of it, not what changed.")] = False,
    force: Annotated[bool, typer.Option(help="All of it, and take also a great loss of people for true.")] = False,
    as_json: JSON = False,
) -> None:
    """Read an identity source now."""
    reading = read_source(process().services, source, whole=whole, force=force)
    if as_json:
        return print_json(reading)
    if reading.is_taken:
        return console.print(f"{source} is being read by somebody else")
    how = "whole" if reading.is_whole else "as far as was due"
    console.print(f"{source} was read {how}: {reading.identities} identities, {reading.groups} groups, {reading.changes} changes")


@app.command()
@command
def sources(as_json: JSON = False) -> None:
    """List the identity sources, when each was heard, and what is the matter."""
    running = process()
    rules = running.services.guard().identity.rules
    with running.services.store.reading() as unit:
        states = {state.name: state for state in unit.statements.states()}
    if as_json:
        return print_json({name: {"rule": plain(rule), "state": plain(states.get(name))} for name, rule in rules.items()})
    table = listing("source", "kind", "heard", "read whole", "stale after", "fault")
    for name, rule in rules.items():
        state = states.get(name)
        row = (name, rule.kind.value, _heard(state), when(state.reconciled_at) if state and state.reconciled_at else "")
        table.add_row(*row, f"{rule.max_age}" if rule.max_age else "never", (state.fault or "") if state else "")
    console.print(table)


def _standing(running: Process, subject: str) -> Standing:
    found = running.services.guard().identity.standing(subject)
    if found is None:
        raise NotFound(why_no_principal(subject))
    return found


def _account(text: str) -> Account:
    forge, _, number = text.partition(":")
    if not forge or not number:
        raise BadRequest(f"{text!r} is no account: FORGE:ID, such as gogs:42, or os:NAME")
    return Account(forge, number, number)


def _joined(values: object) -> str:
    return ", ".join(sorted(values)) if isinstance(values, set | frozenset | list | tuple) else ""


def _heard(state: SourceState | None) -> str:
    return when(state.refreshed_at) if state and state.refreshed_at else "never"
