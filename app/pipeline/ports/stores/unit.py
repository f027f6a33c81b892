"""The port to the database, which `app/store` implements. A step sees a `Unit`: one transaction.

All writes of one unit commit together or not at all. No outside call is made while a unit is open.
A new port is one property of `Unit`, and one line of `app/store/unit.py`.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol

from app.pipeline.ports.stores.access import Access, CommitKeys, Hints, Statements
from app.pipeline.ports.stores.acts import Acts
from app.pipeline.ports.stores.approvals import Approvals
from app.pipeline.ports.stores.freezes import Freezes
from app.pipeline.ports.stores.history import Baselines, History
from app.pipeline.ports.stores.line import Audit, Deliveries, Deployments, Dispatches, Slots
from app.pipeline.ports.stores.notices import Outbox
from app.pipeline.ports.stores.proposals import Proposals
from app.pipeline.ports.stores.pushes import Pushes
from app.pipeline.ports.stores.scim import ScimTokens
from app.pipeline.ports.stores.sessions import Sessions


class Unit(Protocol):
    """One transaction."""

    @property
    def deliveries(self) -> Deliveries: ...
    @property
    def deployments(self) -> Deployments: ...
    @property
    def acts(self) -> Acts: ...
    @property
    def slots(self) -> Slots: ...
    @property
    def dispatches(self) -> Dispatches: ...
    @property
    def audit(self) -> Audit: ...
    @property
    def access(self) -> Access: ...
    @property
    def statements(self) -> Statements: ...
    @property
    def hints(self) -> Hints: ...
    @property
    def commit_keys(self) -> CommitKeys: ...
    @property
    def sessions(self) -> Sessions: ...
    @property
    def freezes(self) -> Freezes: ...
    @property
    def approvals(self) -> Approvals: ...
    @property
    def notices(self) -> Outbox: ...
    @property
    def proposals(self) -> Proposals: ...
    @property
    def pushes(self) -> Pushes: ...
    @property
    def scim_tokens(self) -> ScimTokens: ...
    @property
    def history(self) -> History: ...
    @property
    def baselines(self) -> Baselines: ...

    def remember_version(self, kind: str, digest: str, text: str) -> bool:
        """Store a version of configuration, people or policies; True if it was not known before."""
        ...


class Store(Protocol):
    """The database."""

    def unit(self) -> AbstractContextManager[Unit]:
        """Open a transaction: commits at the end of the block, rolls back on an exception; raises StoreUnavailable."""
        ...

    def single(self) -> AbstractContextManager[Unit]:
        """Open a unit in which each statement commits by itself; raises StoreUnavailable."""
        ...

    def reading(self) -> AbstractContextManager[Unit]:
        """Open a unit that only reads, each statement by itself; raises StoreUnavailable."""
        ...
