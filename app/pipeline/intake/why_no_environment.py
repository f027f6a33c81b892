"""Say why no environment deploys an event, and what in tidegate.toml would change that. Used by `plan.py`.

The reason is shown on the forge's delivery page: it names environments, patterns and the repository's own names only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from difflib import SequenceMatcher

from app.domain.environment import BRANCHES, TAGS, Environment, pattern_fits
from app.domain.event import Event, EventKind, Repository
from app.domain.refs.glob import crossing

NamesOf = Callable[[Repository], Sequence[str]]
_KINDS = {EventKind.PUSH: ("branch", BRANCHES), EventKind.TAG: ("tag", TAGS), EventKind.RELEASE: ("release", TAGS)}


def why_no_environment(environments: Sequence[Environment], event: Event, former_names: NamesOf) -> str:
    """Return the reason. `former_names` looks up the other names of a repository, if it has one that no environment names."""
    key = event.repository.key
    named = [e for e in environments if e.repository.casefold() == key.casefold()]
    if not named:
        return f"no environment deploys {key}{_renamed(environments, event, former_names(event.repository))}"
    numbered = [e for e in named if e.repository_id in (None, event.repository.id)]
    if not numbered:
        numbers = ", ".join(sorted({f"{e.name} number {e.repository_id}" for e in named}))
        return (
            f"{key} has the number {event.repository.id}, and tidegate.toml binds {numbers}: another repository that took over"
            f" the name? If it is the right one, change repository_id in tidegate.toml"
        )
    return f"no environment of {key} deploys a {event.kind.value} of {event.ref}; {_nearest(numbered, event)}"


def _renamed(environments: Sequence[Environment], event: Event, former_names: Sequence[str]) -> str:
    repository = event.repository
    former = {f"{repository.forge}:{name}".casefold() for name in former_names}
    for environment in environments:
        is_known = environment.repository_id is not None and environment.is_of(repository)
        if is_known or environment.repository.casefold() in former:
            return (
                f" (number {repository.id}), which was {environment.repository}: renamed? Change repository of"
                f" {environment.name} in tidegate.toml"
            )
    return ""


def _nearest(environments: Sequence[Environment], event: Event) -> str:
    """Name the pattern that is most like the ref, and say if it only lacks a `**`."""
    kind, prefix = _KINDS[event.kind]
    name = event.ref.removeprefix(prefix)
    own = [(e.name, pattern) for e in environments for pattern in e.deploys if pattern.partition(":")[0] == kind]
    for environment, pattern in own:
        if "*" in pattern and pattern_fits(f"{kind}:{crossing(pattern.partition(':')[2])}", event.kind, event.ref):
            wider = crossing(pattern)
            return f'{environment} deploys "{pattern}", and * stops at /: write "{wider}" in tidegate.toml to cross it'
    if not own:
        kinds = "; ".join(f"{e.name} deploys {', '.join(e.deploys)}" for e in environments)
        return f"{kinds}: add a pattern to deploys in tidegate.toml"
    environment, pattern = max(own, key=lambda pair: SequenceMatcher(None, pair[1].partition(":")[2], name).ratio())
    return f'the nearest pattern is "{pattern}" of {environment}: change deploys in tidegate.toml'
