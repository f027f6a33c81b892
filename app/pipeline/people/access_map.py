"""Answer the steps' questions about people from the database, as of this moment (protocol: AccessMap).

people.toml is a source like the others: a process that has loaded a version of it adopts that version before it asks.
`scribe.py` and `sync.py` write the map, and `domain/access.py` judges it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from app.domain.access import NOBODY, AccountLink, LinkedBy, SourceRule, Standing, Statement, judge
from app.domain.clock import Clock, Ids
from app.domain.event import GATE_ACCOUNT, PERSON, Account
from app.domain.principal import GATE_PRINCIPAL, Principal, PrincipalKind
from app.domain.signature import CommitKey
from app.pipeline.people.adopt_file import PeopleFile, adopt_file
from app.pipeline.people.scribe import Scribe
from app.pipeline.ports.stores.unit import Store, Unit

NumberOf = Callable[[str], str | None]  # the number that a forge says a login has


@dataclass(slots=True)
class StoredAccessMap:
    """The access map under one version of the configuration.

    `rules` are those of the configured sources. `people` is the version of people.toml, if there is one. At `linking_forges`
    an account stands, from its first act on, for the person whom a source knows by the account's login, if the forge itself says
    that the login has the account's number: a delivery names both, and whoever knows its secret writes them.
    """

    store: Store
    clock: Clock
    ids: Ids
    rules: Mapping[str, SourceRule]
    people: PeopleFile | None = None
    linking_forges: Mapping[str, NumberOf] = field(default_factory=dict)
    _is_adopted: bool = field(default=False, init=False)

    def principal_of(self, account: Account) -> Principal | None:
        """Return the principal that this account is linked to (by forge and stable id, never name or e-mail), or None."""
        if account.key == GATE_ACCOUNT.key:
            return GATE_PRINCIPAL
        if account.forge == PERSON:
            return self.principal(account.id)
        self._ensure_file()
        with self.store.reading() as unit:
            links = unit.access.links(account)
            if links or account.forge not in self.linking_forges:
                return self._principal_of_links(unit, account, self._counting_links(links))
        return self._link_by_login(account)

    def principal(self, subject: str) -> Principal | None:
        """Return the principal of this subject, or None if no source knows it."""
        standing = self.standing(subject)
        return standing.principal if standing else None

    def standing(self, subject: str) -> Standing | None:
        """Return a principal with everything that sources say about it, or None."""
        standings = self.standings([subject])
        return standings[0] if standings else None

    def standings(self, subjects: Collection[str]) -> list[Standing]:
        """Return those of these principals that a configured source knows."""
        self._ensure_file()
        with self.store.reading() as unit:
            return self._judge(unit, unit.access.statements(subjects), self._counting_links(unit.access.links_of(subjects)))

    def everybody(self) -> list[Standing]:
        """Return all principals that a configured source knows, by subject."""
        self._ensure_file()
        standings: list[Standing] = []
        after = ""
        while True:
            with self.store.reading() as unit:
                subjects = unit.access.subjects(after)
                if not subjects:
                    return standings
                links = self._counting_links(unit.access.links_of(subjects))
                standings += self._judge(unit, unit.access.statements(subjects), links)
                after = subjects[-1]

    def commit_keys(self) -> list[CommitKey]:
        """List all keys that sign commits, revoked ones too."""
        with self.store.reading() as unit:
            return unit.commit_keys.all()

    def owners_of(self, emails: Collection[str]) -> dict[str, str]:
        """Map each of these e-mails (in lower case) to its owner's subject, if exactly one active principal owns it.

        This is evidence about authors, and no proof of identity.
        """
        self._ensure_file()
        wanted = {email.casefold() for email in emails}
        if not wanted:
            return {}
        with self.store.reading() as unit:
            owners = unit.access.owners(wanted)
            statements = unit.access.statements({subject for subjects in owners.values() for subject in subjects})
            principals = {s.principal.subject: s.principal for s in self._judge(unit, statements, [])}
        owner_of = {}
        for email, subjects in owners.items():
            active = [s for s in subjects if s in principals and principals[s].active and email in principals[s].emails]
            if len(active) == 1:
                owner_of[email] = active[0]
        return owner_of

    def claimants_of(self, emails: Collection[str]) -> list[Principal]:
        """Return every principal, active or not, to whom a source gives one of these e-mails (in lower case)."""
        self._ensure_file()
        wanted = {email.casefold() for email in emails}
        if not wanted:
            return []
        with self.store.reading() as unit:
            subjects = {subject for owners in unit.access.owners(wanted).values() for subject in owners}
        return [standing.principal for standing in self.standings(subjects)] if subjects else []

    def _principal_of_links(self, unit: Unit, account: Account, links: Sequence[AccountLink]) -> Principal | None:
        """Return the principal for which the account stands. If it is linked to several, the account proves none of them."""
        subjects = {link.subject for link in links}
        if len(subjects) != 1:
            return _disputed_principal(account, links) if subjects else None
        standings = self._judge(unit, unit.access.statements(subjects), links)
        return standings[0].principal if standings else None

    def _judge(self, unit: Unit, statements: Mapping[str, Sequence[Statement]], links: Sequence[AccountLink]) -> list[Standing]:
        unread = unit.access.unread([rule.name for rule in self.rules.values() if rule.refresh is not None])
        now: datetime = self.clock.now()
        standings = (
            judge(subject, own_statements, [n for n in links if n.subject == subject], rules=self.rules, unread=unread, now=now)
            for subject, own_statements in sorted(statements.items())
        )
        return self._with_owners(unit, [standing for standing in standings if standing is not None], unread)

    def _with_owners(self, unit: Unit, standings: list[Standing], unread: Sequence[str]) -> list[Standing]:
        """Deactivate agents whose owner is not an active person: nobody would answer for them."""
        owners = {s.principal.owner for s in standings if s.principal.kind is PrincipalKind.AGENT and s.principal.owner}
        if not owners:
            return standings
        now, active = self.clock.now(), set()
        for subject, own_statements in unit.access.statements({owner for owner in owners if owner}).items():
            owner = judge(subject, own_statements, [], rules=self.rules, unread=unread, now=now)
            if owner is not None and owner.principal.active and owner.principal.kind is PrincipalKind.HUMAN:
                active.add(subject)
        return [_without_owner(s) if s.principal.owner in owners - active else s for s in standings]

    def _link_by_login(self, account: Account) -> Principal | None:
        """Link an account to the one active person whom a source knows by its login. From here on the account's id counts.

        A person who already has an account there gets no second one. Otherwise an account that is renamed to a freed login would
        pass for that person. Raises SourceUnavailable if the forge must be asked and cannot be.
        """
        with self.store.reading() as unit:
            subject = self._person_of_login(unit, account)
        if subject is None or self.linking_forges[account.forge](account.login) != account.id:
            return None
        with self.store.unit() as unit:
            if self._person_of_login(unit, account) != subject:
                return None  # it changed while the forge was asked
            link = AccountLink(account.forge, account.id, subject, LinkedBy.RULE, GATE_PRINCIPAL.subject, self.clock.now())
            Scribe.of(self.clock, self.ids, GATE_ACCOUNT.key).link(unit, link)
            return self._principal_of_links(unit, account, [link])

    def _person_of_login(self, unit: Unit, account: Account) -> str | None:
        """Return the one active person of this login who has no account at the forge yet."""
        standings = self._judge(unit, unit.access.statements_of_login(account.login), [])
        fitting = [s.principal.subject for s in standings if s.principal.active and s.principal.kind is PrincipalKind.HUMAN]
        if len(fitting) != 1 or any(link.forge == account.forge for link in unit.access.links_of(fitting)):
            return None
        return fitting[0]

    def _counting_links(self, links: Sequence[AccountLink]) -> list[AccountLink]:
        """Leave out links of a file that is no longer a source, and notes that an account was unlinked."""
        return [n for n in links if n.subject != NOBODY and (n.how is not LinkedBy.FILE or self.people is not None)]

    def _ensure_file(self) -> None:
        if self.people is not None and not self._is_adopted:
            adopt_file(self.store, Scribe.of(self.clock, self.ids, "source:file"), self.people)
            self._is_adopted = True


def _without_owner(standing: Standing) -> Standing:
    agent = standing.principal
    if agent.kind is not PrincipalKind.AGENT:
        return standing
    why = "; ".join(filter(None, (agent.why_inactive, f"its owner {agent.owner} is not an active person")))
    return replace(standing, principal=replace(agent, active=False, why_inactive=why))


def _disputed_principal(account: Account, links: Sequence[AccountLink]) -> Principal:
    ways = ", ".join(f"{link.subject} ({link.how.value})" for link in links)
    why = f"account {account.key} is linked to several: {ways}"
    return Principal(
        subject=account.key,
        kind=GATE_PRINCIPAL.kind,
        active=False,
        groups=frozenset(),
        emails=frozenset(),
        accounts=frozenset({account.key}),
        why_inactive=why,
    )
