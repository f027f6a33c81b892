"""Find rights that the policies in force give to nobody, or that hold only because no policy names them."""

from __future__ import annotations

from collections.abc import Iterator

from app.domain.decision import Action
from app.integrations.policy.protocol import PolicyText

_CLOSED = {Action.REVIEW: "review an override", Action.CHANGE_POLICIES: "decide about a proposed change of policies"}


def unnamed_rights(policy: PolicyText) -> Iterator[str]:
    """List them, each with the policy that would name it."""
    if not policy.names(Action.READ):
        yield (
            "no policy names the action `read`: every active person reads all environments over the API, and agents and "
            f"machines read none; to choose, add: {_example(Action.READ)}"
        )
    for action, what in _CLOSED.items():
        if not policy.names(action):
            yield f"no policy names the action `{action}`, so nobody may {what}; to permit it, add: {_example(action)}"


def _example(action: Action) -> str:
    return f'@id("leads-{action}") permit (principal in Group::"leads", action == Action::"{action}", resource);'
