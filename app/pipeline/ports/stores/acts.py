"""The port to what is known of acts on refs: a room of a `Unit` (`unit.py`)."""

from __future__ import annotations

from typing import Protocol

from app.domain.deployment import Deployment, Doubt, EarlierActs, Grounds


class Acts(Protocol):
    """How refs came to their commits, and who is named for it, inside a unit."""

    def earlier(self, deployment: Deployment, *, before: str | None) -> EarlierActs:
        """Tell how the ref of this new deployment came to its commit before; one statement.

        `before` is the ref's former commit as the delivery says it; None: it comes from the commit that the ref stands on.
        """
        ...

    def grounds(self, deployment: Deployment) -> Grounds:
        """Return the access map's version, who was allowed to make this change, and other numbers of the repository.

        One statement.
        """
        ...

    def dispute(self, deployment: Deployment, doubt: Doubt) -> None:
        """Note that it is not proven who acted; if it was permitted and is not dispatched, it is held from now on.

        The environment's slot is locked before.
        """
        ...
