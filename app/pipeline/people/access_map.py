"""The access map as the steps ask it: every question is answered from the database as of this moment (protocol: AccessMap).

people.toml is a source like the others: a process that has loaded a version of it takes it over, before it asks. Written
by `scribe.py` and `sync.py`, judged in `domain/access.py`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
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


@dataclass(slots=True)
class StoredAccessMap:
    """The access map under one version of the configuration.

    `rules` are the configured sources'. `people` is the version of people.toml, where there is one. `linking_forges`: those at
    which an account stands for whom a source knows by the account's login, from its first act on.
    """

    store: Store
    clock: Clock
    ids: Ids
    rules: Mapping[str, SourceRule]
    people: PeopleFile | None = None
    linking_forges: frozenset[str] = frozenset()
    _is_taken_over: bool = field(default=False, init=False)

    def principal_of(self, account: Account) -> Principal | None:
        """Return who is linked to this account (forge and stable id, never name or e-mail), or None."""
        if account.key == GATE_ACCOUNT.key:
            return GATE_PRINCIPAL
        if account.forge == PERSON:
            return self.principal(account.id)
        self._ensure_file()
        with self.store.reading() as unit:
            links = unit.access.links(account)
            if links or account.forge not in self.linking_forges:
                return self._linked(unit, account, self._counted(links))
        return self._link_by_login(account)

    def principal(self, subject: str) -> Principal | None:
        """Return the principal of this subject, or None where no source speaks of it."""
        found = self.standing(subject)
        return found.principal if found else None

    def standing(self, subject: str) -> Standing | None:
        """Return a principal with all that is said of it."""
        found = self.standings([subject])
        return found[0] if found else None

    def standings(self, subjects: Collection[str]) -> list[Standing]:
        """Return those of these principals of whom a configured source speaks."""
        self._ensure_file()
        with self.store.reading() as unit:
            return self._judged(unit, unit.access.statements(subjects), self._counted(unit.access.links_of(subjects)))

    def everybody(self) -> list[Standing]:
        """Return all principals of whom a configured source speaks, by subject."""
        self._ensure_file()
        found: list[Standing] = []
        after = ""
        while True:
            with self.store.reading() as unit:
                subjects = unit.access.subjects(after)
                if not subjects:
                    return found
                links = self._counted(unit.access.links_of(subjects))
                found += self._judged(unit, unit.access.statements(subjects), links)
                after = subjects[-1]

    def commit_keys(self) -> list[CommitKey]:
        """List the keys that stand for anybody, revoked ones too."""
        with self.store.reading() as unit:
            return unit.commit_keys.all()

    def owners_of(self, emails: Collection[str]) -> dict[str, str]:
        """Return, for each of these e-mails (in lower case) that exactly one active principal owns, that subject.

        Evidence about authors, not identity.
        """
        self._ensure_file()
        asked = {email.casefold() for email in emails}
        if not asked:
            return {}
        with self.store.reading() as unit:
            owners = unit.access.owners(asked)
            statements = unit.access.statements({subject for each in owners.values() for subject in each})
            judged = {s.principal.subject: s.principal for s in self._judged(unit, statements, [])}
        found = {}
        for email, subjects in owners.items():
            active = [s for s in subjects if s in judged and judged[s].active and email in judged[s].emails]
            if len(active) == 1:
                found[email] = active[0]
        return found

    def claimants_of(self, emails: Collection[str]) -> list[Principal]:
        """Return everybody, active or not, of whom any source says that one of these e-mails (in lower case) is theirs."""
        self._ensure_file()
        asked = {email.casefold() for email in emails}
        if not asked:
            return []
        with self.store.reading() as unit:
            subjects = {subject for each in unit.access.owners(asked).values() for subject in each}
        return [standing.principal for standing in self.standings(subjects)] if subjects else []

    def _linked(self, unit: Unit, account: Account, links: Sequence[AccountLink]) -> Principal | None:
        """Return the one for whom the account stands; where it is said to stand for several, nobody is proven."""
        subjects = {link.subject for link in links}
        if len(subjects) != 1:
            return _disputed(account, links) if subjects else None
        judged = self._judged(unit, unit.access.statements(subjects), links)
        return judged[0].principal if judged else None

    def _judged(self, unit: Unit, statements: Mapping[str, Sequence[Statement]], links: Sequence[AccountLink]) -> list[Standing]:
        unread = unit.access.unread([rule.name for rule in self.rules.values() if rule.refresh is not None])
        now: datetime = self.clock.now()
        judged = (
            judge(subject, said, [n for n in links if n.subject == subject], rules=self.rules, unread=unread, now=now)
            for subject, said in sorted(statements.items())
        )
        return self._with_owners(unit, [each for each in judged if each is not None], unread)

    def _with_owners(self, unit: Unit, standings: list[Standing], unread: Sequence[str]) -> list[Standing]:
        """Let no agent act whose owner does not: nobody would answer for it."""
        owners = {s.principal.owner for s in standings if s.principal.kind is PrincipalKind.AGENT and s.principal.owner}
        if not owners:
            return standings
        now, active = self.clock.now(), set()
        for subject, said in unit.access.statements({owner for owner in owners if owner}).items():
            owner = judge(subject, said, [], rules=self.rules, unread=unread, now=now)
            if owner is not None and owner.principal.active and owner.principal.kind is PrincipalKind.HUMAN:
                active.add(subject)
        return [_without_owner(s) if s.principal.owner in owners - active else s for s in standings]

    def _link_by_login(self, account: Account) -> Principal | None:
        """Link an account to the one active person whom a source knows by its login; from here on its id counts.

        Not to somebody who has an account there: who renames an account to a login that became free would be that person.
        """
        with self.store.unit() as unit:
            judged = self._judged(unit, unit.access.statements_of_login(account.login), [])
            fitting = [s.principal.subject for s in judged if s.principal.active and s.principal.kind is PrincipalKind.HUMAN]
            if len(fitting) != 1 or any(link.forge == account.forge for link in unit.access.links_of(fitting)):
                return None
            link = AccountLink(account.forge, account.id, fitting[0], LinkedBy.RULE, GATE_PRINCIPAL.subject, self.clock.now())
            Scribe.of(self.clock, self.ids, GATE_ACCOUNT.key).link(unit, link)
            return self._linked(unit, account, [link])

    def _counted(self, links: Sequence[AccountLink]) -> list[AccountLink]:
        """Leave out what a file says that is not a source any more, and that an account was unlinked."""
        return [n for n in links if n.subject != NOBODY and (n.how is not LinkedBy.FILE or self.people is not None)]

    def _ensure_file(self) -> None:
        if self.people is not None and not self._is_taken_over:
            adopt_file(self.store, Scribe.of(self.clock, self.ids, "source:file"), self.people)
            self._is_taken_over = True


def _without_owner(standing: Standing) -> Standing:
    agent = standing.principal
    if agent.kind is not PrincipalKind.AGENT:
        return standing
    why = "; ".join(filter(None, (agent.why_inactive, f"its owner {agent.owner} is not an active person")))
    return replace(standing, principal=replace(agent, active=False, why_inactive=why))


def _disputed(account: Account, links: Sequence[AccountLink]) -> Principal:
    said = ", ".join(f"{link.subject} ({link.how.value})" for link in links)
    why = f"account {account.key} is linked to several: {said}"
    return Principal(
        subject=account.key,
        kind=GATE_PRINCIPAL.kind,
        active=False,
        groups=frozenset(),
        emails=frozenset(),
        accounts=frozenset({account.key}),
        why_inactive=why,
    )
