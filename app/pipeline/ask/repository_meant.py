"""Find which repository of the configuration a push is about. The forge passes its name on, and the name can change."""

from __future__ import annotations

from dataclasses import replace

from app.domain.event import Repository
from app.pipeline.ports.services import Guard, Services


def repository_meant(services: Services, guard: Guard, repository: Repository) -> Repository:
    """Return the repository under the name that the configuration has for it, if it was deployed under that one.

    Its administrator can rename it for the length of a push. By the new name, rules about the old one would not hold.
    """
    names = {e.repository.partition(":")[2] for e in guard.environments if e.repository.startswith(f"{repository.forge}:")}
    is_named = any(e.is_of(repository) for e in guard.environments)
    if is_named or repository.full_name.casefold() in {name.casefold() for name in names}:
        return repository
    with services.store.reading() as unit:
        former = {name.casefold() for name in unit.deployments.former_names(repository)}
    known = sorted(name for name in names if name.casefold() in former)
    return replace(repository, full_name=known[0]) if known else repository


def resource_of(guard: Guard, repository: Repository) -> tuple[str, str | None]:
    """Spell the repository as tidegate.toml does, else as the policies do. Or say why it is unclear which one is meant.

    The forge passes the name on as the pusher typed it, in upper or lower case: by that a `forbid` could be evaded.
    """
    same_name = {e.repository for e in guard.environments if e.repository.casefold() == repository.key.casefold()}
    spelled = {e.repository for e in guard.environments if e.is_of(repository)}
    if same_name and not spelled:
        return f"{repository.key} has the number {repository.id}, and is not the one that the configuration means", None
    spelled = spelled or {name for name in guard.policy.repositories if name.casefold() == repository.key.casefold()}
    if len(spelled) > 1:
        return f"the gate's configuration spells this repository in several ways: {', '.join(sorted(spelled))}", None
    return "", spelled.pop() if spelled else repository.key.lower()
