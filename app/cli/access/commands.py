"""`tidegate access …`: people, what identity sources say about them, and who may do what."""

from __future__ import annotations

from typing import Annotated

import typer

from app.answers.people import link_json, reading_json, rights_json, sources_json, standing_json
from app.bootstrap import Process
from app.cli.access import key as access_key
from app.cli.options import AT, POLICIES, moment, zone_of
from app.cli.output import JSON, LIMIT, command, console, listing, print_json, process, when
from app.domain.access import SourceState, Standing, why_no_principal
from app.domain.decision import Effect
from app.domain.errors import BadRequest, NotFound
from app.domain.event import Account
from app.integrations.policy.cedar import load
from app.integrations.system import operator
from app.pipeline.ask.who_can import who_can as ask_who_can
from app.pipeline.people.link_by_admin import link_by_admin, unlink_by_admin
from app.pipeline.people.sync import sync as read_source

app = typer.Typer(no_args_is_help=True, help="People and their accounts, what identity sources say, and who may do what.")
app.add_typer(access_key.app, name="key")

_MAY = {Effect.ALLOW: "yes", Effect.HOLD: "approved", Effect.DENY: "no"}
SUBJECT = Annotated[str, typer.Argument(help="The person's subject, as the identity sources spell it.")]
ACCOUNT = Annotated[str, typer.Argument(help="FORGE:ID, with the forge's stable number of the user; or os:NAME.")]


@app.command("list")
@command
def list_(limit: LIMIT = 1000, inactive: bool = False, as_json: JSON = False) -> None:
    """List people, machines and agents. With --inactive, only those who may do nothing, and why."""
    everybody = process().services.guard().identity.everybody()
    standings = [standing for standing in everybody if not (inactive and standing.principal.active)]
    if as_json:
        return print_json([standing_json(standing) for standing in standings[:limit]])
    table = listing("subject", "kind", "active", "groups", "accounts", "sources", "remarks")
    for standing in standings[:limit]:
        who = standing.principal
        sources = sorted({s.source for s in standing.statements})
        row = (who.subject, who.kind.value, "yes" if who.active else "no", *map(_join, (who.groups, who.accounts, sources)))
        table.add_row(*row, "; ".join(filter(None, (who.why_inactive, *standing.conflicts))))
    console.print(table)
    if len(standings) > limit:
        console.print(f"and {len(standings) - limit} more (--limit)")


@app.command()
@command
def show(subject: SUBJECT, as_json: JSON = False) -> None:
    """Show one principal: what each source says, since when, and where the sources disagree."""
    standing = _standing(process(), subject)
    if as_json:
        return print_json(standing_json(standing))
    who = standing.principal
    console.print(f"subject    {who.subject} ({who.kind.value})" + (f", owned by {who.owner}" if who.owner else ""))
    console.print("active    ", "yes" if who.active else f"no: {who.why_inactive}")
    console.print(f"groups     {_join(who.groups)}\ne-mails    {_join(who.emails)}")
    for link in standing.links:
        console.print(f"account    {link.key}, by {link.how.value} ({link.by}) since {when(link.at)}")
    table = listing("source", "id there", "login", "says", "groups", "since", "confirmed")
    for statement in standing.statements:
        identity, groups = statement.identity, _join(statement.groups)
        word = "gone" if statement.is_gone else "active" if identity.is_active else "inactive"
        row = (statement.source, identity.external_id, identity.login, word, groups, when(statement.said_at))
        table.add_row(*row, when(statement.confirmed_at) if statement.confirmed_at else "")
    console.print(table)
    for conflict in standing.conflicts:
        console.print(f"conflict   {conflict}")


@app.command("who-can")
@command
def who_can(
    environment: str,
    ref: Annotated[str | None, typer.Option(help="The full ref; by default, the first that the environment deploys.")] = None,
    action: Annotated[str, typer.Option(help="deploy, rollback, approve or override")] = "deploy",
    explain: Annotated[bool, typer.Option(help="Also list those who may not, with the reason.")] = False,
    at: AT = None,
    policies: POLICIES = None,
    as_json: JSON = False,
) -> None:
    """List people who may deploy to an environment now, by the policies in force."""
    running = process()
    zone = zone_of(running.services.guard(), environment)
    other = load(policies) if policies is not None else None
    rights = ask_who_can(running.services, environment, ref=ref, action=action, at=moment(at, zone), policy=other)
    shown = [right for right in rights.answers if explain or right.effect is not Effect.DENY]
    if as_json:
        return print_json(rights_json(rights, shown))
    table = listing("subject", "kind", "accounts", "may", "because")
    for right in shown:
        table.add_row(right.subject, right.kind, _join(right.accounts), _MAY[right.effect], right.reason)
    console.print(table)
    console.print(f"{sum(right.allowed for right in rights.answers)} of {len(rights.answers)}. Assumed: {rights.assumed}")


@app.command()
@command
def link(account: ACCOUNT, subject: SUBJECT, as_json: JSON = False) -> None:
    """Link an account to a person. Audited in your name."""
    new_link = link_by_admin(process().services, _account(account), subject, operator())
    if as_json:
        return print_json(link_json(new_link))
    console.print(f"{new_link.key} is linked to {new_link.subject}")


@app.command()
@command
def unlink(account: ACCOUNT, as_json: JSON = False) -> None:
    """Unlink an account. A link that stands in people.toml is changed there."""
    former_links = unlink_by_admin(process().services, _account(account), operator())
    if as_json:
        return print_json([link_json(former) for former in former_links])
    for former in former_links:
        console.print(f"{former.key} is no longer linked to {former.subject}")


@app.command()
@command
def sync(
    source: str,
    whole: Annotated[bool, typer.Option(help="Read everything, not only changes.")] = False,
    force: Annotated[bool, typer.Option(help="Read everything, and believe even a great loss of people.")] = False,
    as_json: JSON = False,
) -> None:
    """Read an identity source now."""
    reading = read_source(process().services, source, whole=whole, force=force)
    if as_json:
        return print_json(reading_json(reading))
    if reading.is_taken:
        return console.print(f"{source} is being read by another process")
    how = "whole" if reading.is_whole else "for changes"
    console.print(f"{source} was read {how}: {reading.identities} identities, {reading.groups} groups, {reading.changes} changes")


@app.command()
@command
def sources(as_json: JSON = False) -> None:
    """List identity sources: when each was last read, and what is wrong."""
    running = process()
    rules = running.services.guard().identity.rules
    with running.services.store.reading() as unit:
        states = {state.name: state for state in unit.statements.states()}
    if as_json:
        return print_json(sources_json(rules, states))
    table = listing("source", "kind", "last read", "read whole", "stale after", "fault")
    for name, rule in rules.items():
        state = states.get(name)
        row = (name, rule.kind.value, _last_heard(state), when(state.reconciled_at) if state and state.reconciled_at else "")
        table.add_row(*row, f"{rule.max_age}" if rule.max_age else "never", (state.fault or "") if state else "")
    console.print(table)


def _standing(running: Process, subject: str) -> Standing:
    standing = running.services.guard().identity.standing(subject)
    if standing is None:
        raise NotFound(why_no_principal(subject))
    return standing


def _account(text: str) -> Account:
    forge, _, number = text.partition(":")
    if not forge or not number:
        raise BadRequest(f"{text!r} is not an account: FORGE:ID, such as gogs:42, or os:NAME")
    return Account(forge, number, number)


def _join(values: object) -> str:
    return ", ".join(sorted(values)) if isinstance(values, set | frozenset | list | tuple) else ""


def _last_heard(state: SourceState | None) -> str:
    return when(state.refreshed_at) if state and state.refreshed_at else "never"
