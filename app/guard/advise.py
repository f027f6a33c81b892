"""Say what is configured and can never work, beside people and policies, and what to add. Used by `config check`.

Only what the files prove is said: if other sources than people.toml know people, the members of groups are not known here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from app.config.load import Configuration
from app.config.tables.identity import FILE
from app.domain.audit import AuditAction
from app.domain.decision import Action
from app.domain.environment import Environment, pattern_fits
from app.domain.errors import SecretUnavailable
from app.domain.event import Event
from app.domain.notice import NoticeEvent
from app.domain.principal import PrincipalKind
from app.domain.refs.glob import without_crossing
from app.guard.secrets import secret
from app.integrations.identity.file import FilePeople
from app.integrations.identity.file import load as load_people
from app.integrations.policy.protocol import PolicyText

MOST_REFS = 5


def advise(configuration: Configuration, policy: PolicyText) -> Iterator[str]:
    """Give a line for each thing that can never work; raises BadConfiguration if people.toml has faults."""
    yield from map(str, configuration.doubts)
    people = load_people(configuration.people) if configuration.people else None
    if people is not None:
        yield from map(str, people.doubts(configuration.forges))
    yield from _about_secrets(configuration)
    members = _members(people) if people is not None and set(configuration.rules()) == {FILE} else None
    yield from _about_names(configuration, policy)
    if members is not None:
        yield from _about_groups(configuration, policy, members)
    for environment in configuration.environments:
        yield from _about_rights(policy, environment)
        if policy.asks("approvals", Action.DEPLOY, environment.resources):
            yield from _about_approvals(configuration, policy, environment, members)
    yield from _about_sinks(configuration)


def widened(configuration: Configuration, seen: Sequence[Event] | None) -> Iterator[str]:
    """Say which known refs a `**` deploys that did not cross `/` in former versions; None: no refs are known."""
    for environment in configuration.environments:
        for pattern in (p for p in environment.deploys if "**" in p):
            if seen is None:
                yield f'{environment.name} deploys "{pattern}": ** crosses /, which it did not in former versions'
            elif refs := sorted(_new_refs(environment, pattern, seen)):
                more = f" and {len(refs) - MOST_REFS} more" if len(refs) > MOST_REFS else ""
                yield (
                    f'{environment.name} deploys "{pattern}", which crosses / and did not in former versions:'
                    f" {', '.join(refs[:MOST_REFS])}{more} fit now"
                )


def unbound(configuration: Configuration, seen: Sequence[Event]) -> Iterator[str]:
    """Say which number an environment's repository has, if the environment does not name it."""
    numbers = {event.repository.key.casefold(): event.repository.id for event in reversed(seen)}
    for environment in configuration.environments:
        number = numbers.get(environment.repository.casefold())
        if environment.repository_id is None and number is not None:
            yield (
                f"{environment.name} names {environment.repository} without its number, so another repository that takes over"
                f" the name would be deployed: add repository_id = {number}"
            )


def _new_refs(environment: Environment, pattern: str, seen: Sequence[Event]) -> set[str]:
    before = without_crossing(pattern)
    own = [event for event in seen if environment.is_of(event.repository)]
    return {e.ref for e in own if pattern_fits(pattern, e.kind, e.ref) and not pattern_fits(before, e.kind, e.ref)}


def _members(people: FilePeople) -> Mapping[str, set[str]]:
    """Map each group to its active humans."""
    humans = {i.subject for i in people.identities() if i.is_active and i.kind is PrincipalKind.HUMAN}
    return {group.name: set(group.members) & humans for group in people.groups()}


def _about_names(configuration: Configuration, policy: PolicyText) -> Iterator[str]:
    repositories = {environment.repository for environment in configuration.environments}
    for name in sorted(policy.repositories - repositories):
        yield f'policies name the repository "{name}", which no environment deploys; there are {_listed(repositories)}'
    environments = {environment.name for environment in configuration.environments}
    for name in sorted(policy.environments - environments):
        yield f'policies name the environment "{name}", which tidegate.toml does not have; there are {_listed(environments)}'


def _about_groups(configuration: Configuration, policy: PolicyText, members: Mapping[str, set[str]]) -> Iterator[str]:
    by_rules = {g for e in configuration.environments for rule in e.approvals.rules for g in rule.groups}
    for name in sorted((policy.groups | by_rules) - members.keys()):
        where = "policies name" if name in policy.groups else "rules for approvals name"
        yield f'{where} the group "{name}", which nobody in people.toml has: add it to the groups of a person'
    for name in sorted(members.keys() - policy.groups - by_rules):
        yield f'people.toml has the group "{name}", which no policy names; policies name {_listed(policy.groups)}'


def _about_rights(policy: PolicyText, environment: Environment) -> Iterator[str]:
    if not policy.permits(Action.DEPLOY, environment.resources):
        yield f"no policy permits to deploy to {environment.name}: add a permit for the action deploy"


def _about_approvals(
    configuration: Configuration, policy: PolicyText, environment: Environment, members: Mapping[str, set[str]] | None
) -> Iterator[str]:
    """Say what is missing for a vote: a sign-in, a right by name, and enough people of the groups that rules ask for."""
    what = f"policies ask for approvals of deployments to {environment.name}, and"
    if not any(issuer.is_for_people for issuer in configuration.issuers.values()):
        yield f"{what} nobody can sign in to vote: add [issuers.NAME] with a client_id (docs/identity.md)"
    if not policy.permits(Action.APPROVE, environment.resources):
        yield f'{what} no policy permits to approve: add permit (principal, action == Action::"approve", resource) for a group'
    for rule in environment.approvals.rules if members is not None else ():
        voters = {person for group in rule.groups for person in (members or {}).get(group, ())}
        if rule.groups and len(voters) < rule.count:
            have = f"{_listed(rule.groups)}, which have {len(voters)} active people"
            yield f"{what} a rule wants {rule.count} of {have}: add people or lower count"


def _about_secrets(configuration: Configuration) -> Iterator[str]:
    """Read the secret files of the forges. Variables may be set elsewhere, so they are not looked for."""
    for name, forge in configuration.forges.items():
        own = {"webhook_secrets": forge.webhook_secrets, "decide_secrets": forge.decide_secrets}
        own |= {"api_token": (forge.api_token,)} if forge.api_token else {}
        for key, references in own.items():
            for reference in (r for r in references if r.startswith("file:")):
                try:
                    secret(reference)
                except SecretUnavailable as fault:
                    yield f"forges.{name}.{key}: {fault}"


def _about_sinks(configuration: Configuration) -> Iterator[str]:
    known = {event.value for event in (*AuditAction, *NoticeEvent)}
    subjects = {event.partition(":")[0] for event in known}
    for name, sink in configuration.sinks.items():
        for event in sink.events:
            subject, _, verb = event.partition(":")
            if event not in known and not (verb == "*" and subject in subjects):
                yield f'sinks.{name} asks for "{event}", and nothing is named so (docs/audit-format.md lists the actions)'


def _listed(names: Sequence[str] | frozenset[str] | set[str]) -> str:
    return ", ".join(sorted(names)) or "none"
