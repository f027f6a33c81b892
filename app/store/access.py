"""The stored access map: each source's statements, and the links of accounts. Judged in `domain/access.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, select, text
from sqlalchemy.dialects.postgresql import insert

from app.domain.access import AccountLink, Identity, LinkedBy, Statement
from app.domain.event import Account
from app.domain.principal import PrincipalKind
from app.store.schema.access import account_links, identities

_STATEMENTS = """
SELECT i.source, i.external_id, i.subject, i.login, i.name, i.kind, i.owner, i.active, i.gone, i.said_at,
    coalesce(i.confirmed_at, s.refreshed_at) AS confirmed_at,
    ARRAY(SELECT e.email FROM identity_emails e WHERE e.source = i.source AND e.external_id = i.external_id) AS emails,
    ARRAY(
        SELECT g.name FROM memberships m JOIN access_groups g ON g.source = m.source AND g.external_id = m.group_id
        WHERE m.source = i.source AND m.external_id = i.external_id
    ) AS groups
FROM identities i JOIN sources s ON s.name = i.source
"""
_OF_SUBJECTS = text(f"{_STATEMENTS} WHERE i.subject = ANY(:subjects) ORDER BY i.source, i.external_id")
_OF_LOGIN = text(f"{_STATEMENTS} WHERE lower(i.login) = lower(:login) AND i.login <> '' ORDER BY i.source, i.external_id")
_OWNERS = text("""
SELECT e.email, i.subject FROM identity_emails e JOIN identities i ON i.source = e.source AND i.external_id = e.external_id
WHERE e.email = ANY(:emails)
""")
_LINKS = text("SELECT * FROM account_links WHERE forge = :forge AND account_id = :id ORDER BY how")
_UNREAD = text("""
SELECT name FROM unnest(CAST(:names AS text[])) AS asked (name)
WHERE NOT EXISTS (SELECT FROM sources WHERE sources.name = asked.name AND reconciled_at IS NOT NULL) ORDER BY name
""")
_VERSION = text("SELECT coalesce((SELECT version FROM access_version), 0)")
_RAISE = text(
    "INSERT INTO access_version (id, version) VALUES (1, 1) ON CONFLICT (id) DO UPDATE SET version = access_version.version + 1"
)


@dataclass(frozen=True, slots=True)
class SqlAccess:
    """The table of identities and links (protocol: `pipeline.ports.stores.access.Access`)."""

    connection: Connection

    def version(self) -> int:
        """Return the number of the newest change. A change that is not committed yet does not count."""
        return int(self.connection.execute(_VERSION).scalar_one())

    def raise_version(self) -> None:
        """Make everyone who decided by the older version decide again. Call it last in a transaction, since it locks."""
        self.connection.execute(_RAISE)

    def links(self, account: Account) -> list[AccountLink]:
        """List the links of an account: each principal, and who linked it."""
        return [_link(row) for row in self.connection.execute(_LINKS, {"forge": account.forge, "id": account.id})]

    def links_of(self, subjects: Collection[str] | None) -> list[AccountLink]:
        """List the links of accounts to these principals; None: all links."""
        return self._links(*([] if subjects is None else [account_links.c.subject.in_(list(subjects))]))

    def statements(self, subjects: Collection[str]) -> dict[str, list[Statement]]:
        """List what all sources say about these principals, including sources that are no longer configured."""
        return _by_subject(self.connection.execute(_OF_SUBJECTS, {"subjects": list(subjects)}).all())

    def statements_of_login(self, login: str) -> dict[str, list[Statement]]:
        """List what sources say about identities with this login (case-insensitive)."""
        return _by_subject(self.connection.execute(_OF_LOGIN, {"login": login}).all())

    def subjects(self, after: str = "", limit: int = 1000) -> list[str]:
        """List the subjects that any source knows, in order, beginning after `after`."""
        query = select(identities.c.subject).where(identities.c.subject > after).distinct()
        return list(self.connection.execute(query.order_by(identities.c.subject).limit(limit)).scalars())

    def owners(self, emails: Collection[str]) -> dict[str, set[str]]:
        """Return the subjects of each (lower-case) e-mail, according to any source."""
        owners: dict[str, set[str]] = {}
        for row in self.connection.execute(_OWNERS, {"emails": list(emails)}):
            owners.setdefault(row.email, set()).add(row.subject)
        return owners

    def unread(self, names: Collection[str]) -> list[str]:
        """List the sources among `names` that were never read whole."""
        return list(self.connection.execute(_UNREAD, {"names": list(names)}).scalars()) if names else []

    def link(self, link: AccountLink) -> bool:
        """Link an account to a principal; False if it already has a link of this kind (`how`), to any principal."""
        statement = insert(account_links).values(_link_row(link)).on_conflict_do_nothing()
        return self.connection.execute(statement.returning(account_links.c.forge)).first() is not None

    def link_all(self, links: Sequence[AccountLink]) -> None:
        """Link accounts that do not have a link of the same kind yet."""
        if links:
            self.connection.execute(insert(account_links), [_link_row(link) for link in links])

    def unlink(self, account: Account, how: Collection[LinkedBy]) -> list[AccountLink]:
        """Remove an account's links of these kinds; return them."""
        statement = delete(account_links).where(
            account_links.c.forge == account.forge,
            account_links.c.account_id == account.id,
            account_links.c.how.in_([kind.value for kind in how]),
        )
        return [_link(row) for row in self.connection.execute(statement.returning(account_links))]

    def _links(self, *where: Any) -> list[AccountLink]:
        query = select(account_links).where(*where).order_by(account_links.c.forge, account_links.c.account_id)
        return [_link(row) for row in self.connection.execute(query)]


def _by_subject(rows: Sequence[Any]) -> dict[str, list[Statement]]:
    statements: dict[str, list[Statement]] = {}
    for row in rows:
        statements.setdefault(row.subject, []).append(_statement(row))
    return statements


def _statement(row: Any) -> Statement:
    return Statement(
        source=row.source,
        identity=identity_from(row, frozenset(row.emails)),
        groups=frozenset(row.groups),
        said_at=row.said_at,
        confirmed_at=row.confirmed_at,
        is_gone=row.gone,
    )


def identity_from(row: Any, emails: frozenset[str]) -> Identity:
    """Read an identity from its row."""
    return Identity(
        external_id=row.external_id,
        subject=row.subject,
        is_active=row.active,
        kind=PrincipalKind(row.kind) if row.kind else None,
        login=row.login,
        name=row.name,
        owner=row.owner,
        emails=emails,
    )


def _link(row: Any) -> AccountLink:
    return AccountLink(row.forge, row.account_id, row.subject, LinkedBy(row.how), row.by, row.at)


def _link_row(link: AccountLink) -> Mapping[str, object]:
    return {
        "forge": link.forge,
        "account_id": link.account_id,
        "how": link.how.value,
        "subject": link.subject,
        "by": link.by,
        "at": link.at,
    }
