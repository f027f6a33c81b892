"""Adopt a version of people.toml as the statements of the source `file`: whole, once for all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.access import AccountLink, Group, Identity, LinkedBy, Page, SourceKind
from app.domain.audit import AuditAction
from app.domain.event import Account
from app.pipeline.people.scribe import Act, Scribe, link_detail
from app.pipeline.ports.stores.unit import Store, Unit

FILE = SourceKind.FILE.value


class PeopleFile(Protocol):
    """One version of people.toml."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of its bytes."""
        ...

    def is_current(self) -> bool:
        """Tell whether the file still holds these bytes."""
        ...

    def identities(self) -> tuple[Identity, ...]:
        """List the people."""
        ...

    def groups(self) -> tuple[Group, ...]:
        """List the groups that it names."""
        ...

    def accounts(self) -> Sequence[tuple[Account, str]]:
        """List accounts with the subjects that they stand for."""
        ...


def adopt_file(store: Store, scribe: Scribe, people: PeopleFile) -> None:
    """Make `people` the statements of the source `file`, unless they are already. People who left the file are withdrawn.

    A version that is no longer in the file is ignored: the process that loaded it is about to load the newer one.
    """
    with store.reading() as unit:
        if unit.statements.digest(FILE) == people.digest:
            return
    with store.unit() as unit:
        scribe.open(unit, FILE, SourceKind.FILE)
        if unit.statements.digest(FILE) == people.digest or not people.is_current():
            return
        now = scribe.now()
        changes = unit.statements.say(FILE, Page(people.identities(), people.groups()), now)
        identities, groups = unit.statements.known(FILE)
        gone = identities - {identity.external_id for identity in people.identities()}
        gone_groups = groups - {group.external_id for group in people.groups()}
        changes += unit.statements.withdraw(FILE, sorted(gone))
        changes += unit.statements.forget(FILE, (), sorted(gone_groups), now=now)
        links = [
            AccountLink(account.forge, account.id, subject, LinkedBy.FILE, FILE, now) for account, subject in people.accounts()
        ]
        acts = scribe.acts_of(unit, FILE, changes) + _link(unit, {link.key: link for link in links})
        unit.statements.taken_over(FILE, people.digest, now)
        scribe.note(unit, acts)


def _link(unit: Unit, wanted: dict[str, AccountLink]) -> list[Act]:
    """Make the wanted links the file's only ones; return the acts that this took."""
    former = {link.key: link for link in unit.access.links_of(None) if link.how is LinkedBy.FILE}
    stays = {key for key, link in wanted.items() if key in former and former[key].subject == link.subject}
    gone = [link for key, link in former.items() if key not in stays]
    for link in gone:
        unit.access.unlink(Account(link.forge, link.account_id, ""), (LinkedBy.FILE,))
    new = [link for key, link in wanted.items() if key not in stays]
    unit.access.link_all(new)
    unlinked = [(AuditAction.ACCESS_UNLINKED, link_detail(link)) for link in gone]
    return unlinked + [(AuditAction.ACCESS_LINKED, link_detail(link)) for link in new]
