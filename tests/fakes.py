"""One fake a protocol, for the steps' own tests; the real adapters have theirs in contracts/ and integrations/."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from app.domain.access import SourceRule, Standing
from app.domain.change import Changes
from app.domain.decision import Action, Decision, DecisionRequest, Effect
from app.domain.deployment import Dispatch, Progress, Wake
from app.domain.errors import UnknownCommit
from app.domain.event import PERSON, Account
from app.domain.grant import Grant
from app.domain.notice import Notice
from app.domain.principal import GATE_PRINCIPAL, Principal, PrincipalKind
from app.domain.signature import CommitKey, ObjectKind, SignatureVerdict, SignedObject
from app.integrations.policy.protocol import Asks
from app.integrations.repositories.protocol import CommitAuthor, Upkeep
from app.integrations.targets.protocol import Order, Report
from app.integrations.tokens.protocol import Token

CANARY = "canary-token-0b5e7"


class FakeClock:
    """A clock that a test moves; it starts now, since the database's clock cannot be moved."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._offset

    def move(self, seconds: float) -> None:
        self._offset += timedelta(seconds=seconds)


@dataclass
class FakeRepositories:
    """Commits by ref; `heads` maps a full ref to its history, newest last."""

    heads: dict[str, list[str]] = field(default_factory=dict)
    emails: list[str] = field(default_factory=lambda: ["alice@example.com"])
    fault: Exception | None = None
    signed: dict[str, SignedObject] = field(default_factory=dict)  # by commit id, or by tag ref; others are not signed
    changed: dict[str, Changes] = field(default_factory=dict)  # by commit id; others change nothing
    kept: dict[str, list[str]] = field(default_factory=dict)  # by repository: what the last upkeep had to keep

    def fetch(self, repository: str, ref: str, object_id: str | None) -> str:
        if self.fault is not None:
            raise self.fault
        history = self.heads.get(ref, [])
        if not history or (object_id is not None and object_id not in history):
            raise UnknownCommit
        return object_id or history[-1]

    def head(self, repository: str, ref: str) -> str | None:
        history = self.heads.get(ref, [])
        return history[-1] if history else None

    def authors(self, repository: str, known: Sequence[str], sha: str) -> list[CommitAuthor]:
        return [CommitAuthor(sha, e, e, is_new=sha not in known) for e in self.emails]

    def changes(self, repository: str, bases: Sequence[str | None], sha: str, *, known: Sequence[str] | None = None) -> Changes:
        if self.fault is not None:
            raise self.fault
        return self.changed.get(sha, Changes())

    def is_ancestor(self, repository: str, ancestor: str, descendant: str) -> bool:
        histories = [h for h in self.heads.values() if ancestor in h and descendant in h]
        return any(h.index(ancestor) <= h.index(descendant) for h in histories)

    def signatures(
        self, repository: str, *, commits: Sequence[str], tag_ref: str | None, keys: Sequence[CommitKey]
    ) -> list[SignedObject]:
        unsigned = [SignedObject(c, ObjectKind.COMMIT, self.emails[0], SignatureVerdict.UNSIGNED, None, "") for c in commits]
        tag = [self.signed[tag_ref]] if tag_ref in self.signed else []
        return [*(self.signed.get(o.id, o) for o in unsigned), *tag]

    def export(self, repository: str, sha: str, destination: Path) -> None:
        (destination / "sha").write_text(sha)

    def maintain(self, repository: str, now: datetime, keep: Callable[[], Sequence[str]]) -> Upkeep:
        if self.fault is not None:
            raise self.fault
        self.kept[repository] = list(keep())
        return Upkeep.DONE


@dataclass
class FakeIdentity:
    """People by account key."""

    people: dict[str, Principal] = field(default_factory=dict)
    keys: list[CommitKey] = field(default_factory=list)

    def principal_of(self, account: Account) -> Principal | None:
        if account.forge == PERSON:
            return self.principal(account.id)
        return GATE_PRINCIPAL if account.key == "tidegate:gate" else self.people.get(account.key)

    def principal(self, subject: str) -> Principal | None:
        return next((p for p in self.people.values() if p.subject == subject), None)

    def owners_of(self, emails: Collection[str]) -> dict[str, str]:
        known = {email: p.subject for p in self.people.values() if p.active for email in p.emails}
        return {email.casefold(): known[email.casefold()] for email in emails if email.casefold() in known}

    def claimants_of(self, emails: Collection[str]) -> list[Principal]:
        asked = {email.casefold() for email in emails}
        return list({p.subject: p for p in self.people.values() if p.emails & asked}.values())

    def commit_keys(self) -> list[CommitKey]:
        return self.keys

    def standing(self, subject: str) -> Standing | None:
        raise NotImplementedError("no source says anything here")

    def everybody(self) -> list[Standing]:
        raise NotImplementedError("no source says anything here")

    @property
    def rules(self) -> Mapping[str, SourceRule]:
        raise NotImplementedError("there is no source here")


def person(subject: str, *accounts: str, groups: tuple[str, ...] = ("deployers",), active: bool = True) -> Principal:
    """Make a principal of the cast."""
    emails = frozenset({f"{subject}@example.com"})
    return Principal(subject, PrincipalKind.HUMAN, active, frozenset(groups), emails, frozenset(accounts))


@dataclass
class FakePolicy:
    """Permits members of `deployers`, and the gate itself."""

    digest: str = "0" * 64
    text: str = "fake"
    schema: str = "fake"
    groups: frozenset[str] = frozenset({"deployers"})
    repositories: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()
    reasons: dict[str, str] = field(default_factory=dict)
    facts: frozenset[str] = frozenset()
    files: dict[str, str] = field(default_factory=dict)
    asked: list[DecisionRequest] = field(default_factory=list)

    def changed(self, file: str, text: str) -> FakePolicy:
        return replace(self, files=self.files | {file: text})

    def asks(self, fact: str, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        return fact in self.facts

    def permits(self, action: Action, resources: frozenset[tuple[str, str]]) -> bool:
        return action in (Action.DEPLOY, Action.ROLLBACK)

    def names(self, action: Action) -> bool:
        return False

    def about(self, asked: Mapping[str, Any], denied_by: Collection[str] | None = None) -> Asks:
        return Asks(self.groups, self.facts, frozenset(), {})

    def decide(self, request: DecisionRequest) -> Decision:
        self.asked.append(request)
        who = request.principal
        return self.recompute({"who": who.subject, "groups": sorted(who.groups), "context": dict(request.context)})

    def recompute(self, asked: dict[str, Any]) -> Decision:
        allowed = "deployers" in asked.get("groups", ()) or asked.get("who") == GATE_PRINCIPAL.subject
        effect = Effect.ALLOW if allowed else Effect.DENY
        return Decision(effect, ("fake",) if allowed else (), "fake says so", self.digest, asked)


@dataclass
class FakeTarget:
    """Counts starts by dispatch id; `answers` are given one after the other, then success."""

    answers: list[Report | Exception] = field(default_factory=list)
    polls: list[Report] = field(default_factory=list)
    started: list[Order] = field(default_factory=list)
    on_start: Callable[[], None] | None = None

    def start(self, order: Order, token: Token) -> Report:
        if self.on_start is not None:
            self.on_start()
        answer = self.answers.pop(0) if self.answers else Report(Progress.SUCCEEDED, "done")
        if isinstance(answer, Exception):
            raise answer
        self.started.append(order)
        return answer

    def poll(self, dispatch: Dispatch) -> Report:
        return self.polls.pop(0) if self.polls else Report(Progress.UNKNOWN)


@dataclass
class FakeSink:
    """Keeps what it is told, in order; where `fault` is set it raises that, after `on_emit`."""

    told: list[Notice] = field(default_factory=list)
    fault: BaseException | None = None
    tried: int = 0
    on_emit: Callable[[Notice], None] = lambda _: None

    def emit(self, notice: Notice) -> None:
        self.tried += 1
        self.on_emit(notice)
        if self.fault is not None:
            raise self.fault
        self.told.append(notice)


class FakeIssuer:
    """Mints the canary."""

    def mint(self, grant: Grant) -> Token:
        return Token(CANARY, f"jti-{grant.deployment_id}")


@dataclass
class FakeHealth:
    """Answers what it is told to."""

    answers: list[bool] = field(default_factory=list)

    def check(self, url: str) -> tuple[bool, str]:
        healthy = self.answers.pop(0) if self.answers else True
        return healthy, "200" if healthy else "500"


@dataclass
class FakeWakes:
    """Keeps what would have been sent."""

    plans: list[str] = field(default_factory=list)
    resolves: list[str] = field(default_factory=list)
    runs: list[Wake] = field(default_factory=list)
    syncs: list[str] = field(default_factory=list)
    notified: int = 0
    sinks: list[str] = field(default_factory=list)

    def plan(self, delivery_id: str) -> None:
        self.plans.append(delivery_id)

    def resolve(self, delivery_id: str) -> None:
        self.resolves.append(delivery_id)

    def run(self, wake: Wake) -> None:
        self.runs.append(wake)

    def sync(self, source: str) -> None:
        self.syncs.append(source)

    def notify(self) -> None:
        self.notified += 1

    def notify_sink(self, sink: str) -> None:
        self.sinks.append(sink)

    def repeat(self, wakes: Sequence[Wake]) -> None:
        self.runs.extend(wakes)
