"""Take over a version of people.toml as the statements of the source `file`: whole, once for all processes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.access import AccountLink, Group, Identity, LinkedBy, Page, SourceKind
from app.domain.event import Account
from app.pipeline.say import Scribe
from app.pipeline.stores import Store, Unit

FILE = SourceKind.FILE.value


class FilePeople(Protocol):
    """One version of people.toml."""

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of its bytes."""
        ...

    def identities(self) -> tuple[Identity, ...]:
        """List the people."""
        ...

    def groups(self) -> tuple[Group, ...]:
        """List the groups that it names."""
        ...

    def accounts(self) -> Sequence[tuple[Account, str]]:
        """List accounts with the subjects for whom they stand."""
        ...


def take_over(store: Store, scribe: Scribe, people: FilePeople) -> None:
    """Make `people` what the source `file` says, unless it is that already. Who left the file is not spoken of any more."""
    with store.reading() as unit:
        if unit.statements.digest(FILE) == people.digest:
            return
    with store.unit() as unit:
        unit.statements.open(FILE, SourceKind.FILE)
        if unit.statements.digest(FILE) == people.digest:
            return
        scribe.say(unit, FILE, Page(people.identities(), people.groups()))
        said, groups = unit.statements.known(FILE)
        gone = said - {each.external_id for each in people.identities()}
        gone_groups = groups - {each.external_id for each in people.groups()}
        changes = unit.statements.withdraw(FILE, sorted(gone))
        changes += unit.statements.forget(FILE, (), sorted(gone_groups), now=scribe.clock.now())
        scribe.audit(unit, FILE, changes)
        _link(unit, scribe, dict((account.key, (account, subject)) for account, subject in people.accounts()))
        unit.statements.taken_over(FILE, people.digest, scribe.clock.now())


def _link(unit: Unit, scribe: Scribe, wanted: dict[str, tuple[Account, str]]) -> None:
    former = {link.key: link for link in unit.access.links_of(None) if link.how is LinkedBy.FILE}
    for key, link in former.items():
        if key not in wanted or wanted[key][1] != link.subject:
            unit.access.unlink(Account(link.forge, link.account_id, ""), (LinkedBy.FILE,))
            scribe.note(unit, [("unlinked", {"account": key, "subject": link.subject, "how": link.how.value})])
    for account, subject in wanted.values():
        scribe.link(unit, AccountLink(account.forge, account.id, subject, LinkedBy.FILE, FILE, scribe.clock.now()))
