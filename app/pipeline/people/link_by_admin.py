"""Link a forge account to a principal as an administrator, or unlink it. A person's own proof: `link.py`."""

from __future__ import annotations

from app.domain.access import NOBODY, AccountLink, LinkedBy, why_no_principal
from app.domain.audit import AuditAction
from app.domain.errors import NotAllowed, NotFound
from app.domain.event import Account
from app.pipeline.people.scribe import Scribe, link_detail
from app.pipeline.ports.services import Services

OS = "os"  # accounts of this machine's users, on the command line


def link_by_admin(services: Services, account: Account, subject: str, by: Account) -> AccountLink:
    """Link an account to a principal in the name of the administrator `by`.

    Raises NotFound (no such forge, or no source knows the principal) or NotAllowed (the account is linked to another one).
    """
    guard = services.guard()
    if account.forge != OS and account.forge not in guard.forges:
        raise NotFound(f"there is no forge {account.forge}; accounts are spelled FORGE:ID")
    if guard.identity.principal(subject) is None:
        raise NotFound(why_no_principal(subject))
    link = AccountLink(account.forge, account.id, subject, LinkedBy.ADMIN, by.key, services.clock.now())
    with services.store.unit() as unit:
        others = [n for n in unit.access.links(account) if n.subject not in (subject, NOBODY)]
        if others:
            raise NotAllowed(f"{account.key} is linked to {others[0].subject} ({others[0].how.value}); unlink it first")
        Scribe.of(services.clock, services.ids, by.key).link(unit, link)
    return link


def unlink_by_admin(services: Services, account: Account, by: Account) -> list[AccountLink]:
    """Remove every link of an account except one made by people.toml; return the removed links.

    Raises NotFound if there is none, and NotAllowed if only people.toml links it.
    """
    ways = [how for how in LinkedBy if how is not LinkedBy.FILE]
    with services.store.unit() as unit:
        gone = [n for n in unit.access.unlink(account, ways) if n.subject != NOBODY]
        if any(n.how is LinkedBy.RULE for n in gone):  # else the account's next act would link it again
            unit.access.link(AccountLink(account.forge, account.id, NOBODY, LinkedBy.RULE, by.key, services.clock.now()))
        Scribe.of(services.clock, services.ids, by.key).note(unit, [(AuditAction.ACCESS_UNLINKED, link_detail(n)) for n in gone])
        if not gone and unit.access.links(account):
            raise NotAllowed(f"{account.key} is linked by people.toml; change it there")
    if not gone:
        raise NotFound(f"{account.key} is not linked to a person")
    return gone
