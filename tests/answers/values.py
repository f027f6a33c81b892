"""Values with something in every field, for what is answered about them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.domain.access import AccountLink, Identity, LinkedBy, SourceKind, SourceRule, SourceState, Standing, Statement
from app.domain.approval import ApprovalRequest, Review, Tally, Verdict, Vote, VoteCount
from app.domain.audit import AuditEntry
from app.domain.decision import Decision, Effect
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, Dispatch, DispatchRow, Progress, Stage, StageResult, State, Trigger
from app.domain.event import Account, Event, EventKind, Repository
from app.domain.finding import Finding, FindingKind
from app.domain.freeze import Freeze, Window
from app.domain.notice import Notice, StoredNotice
from app.domain.principal import Principal, PrincipalKind
from app.domain.proposal import Proposal, ProposalKind, ProposalState
from app.domain.recorded import Redecision
from app.domain.scim import ScimToken
from app.domain.session import Session
from app.domain.signature import CommitKey, KeyKind
from app.integrations.forges.pre_receive import Removal
from app.integrations.identity.protocol import VerifiedToken
from app.pipeline.approve.waiting import Waiting
from app.pipeline.ask.decide_push import PushAnswer, RefDecision
from app.pipeline.ask.replay_decisions import Difference, ReplayResult
from app.pipeline.ask.simulate import Simulation
from app.pipeline.ask.who_can import PrincipalRight, Rights
from app.pipeline.freeze.freeze import Upcoming
from app.pipeline.people.sync import Reading
from app.store.reads import DeploymentView, OverrideView

NOW = datetime(2026, 9, 1, 12, 30, 15, 250, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
REPOSITORY = Repository("gogs", 1, "acme/shop", "acme", 7)
ALICE = Account("gogs", "2", "alice")
DEPLOYMENT = Deployment(
    id="d-1",
    position=3,
    delivery_id="y-1",
    correlation_id="y-1",
    environment="production",
    repository=REPOSITORY,
    ref="refs/heads/main",
    before="b" * 40,
    sha="a" * 40,
    actor=ALICE,
    trigger=Trigger.OVERRIDE,
    release_id="d-0",
    state=State.HELD,
    reason="waits for approvals",
    principal="alice",
    created_at=NOW,
    updated_at=LATER,
    purpose="the shop is down",
)
VOTE = Vote("v-1", "r-1", "bob", Verdict.APPROVE, "seen", {"never": "told"}, NOW)
REQUEST = ApprovalRequest("r-1", "d-1", "production", "a" * 40, ("site", "web"), "digest", NOW, LATER)
WAITING = Waiting(
    DEPLOYMENT,
    REQUEST,
    (VOTE,),
    VoteCount(Tally(1, False, ("leads",), ("1 more of leads",)), REQUEST, 2, ("bob",), (("eve", "eve is not active"),)),
    ("1 more of leads",),
    "bob has already voted on this",
)
ENTRY = AuditEntry(
    "e-1",
    NOW,
    "deployment:held",
    "gogs:2",
    "d-1",
    "y-1",
    "y-1",
    {"effect": "hold", "policies": ["two"], "policy_digest": "digest", "request": {"asked": 1}, "reason": "wait", "body": "?"},
    9,
)
REVIEWED = AuditEntry("e-2", NOW, "override:reviewed", "os:bob", "d-1", None, "y-1", {"comment": "seen"}, 10)
FINDING = Finding(FindingKind.SECRET, "a/b.py", 3, "looks like a key")
IDENTIFIED = StageResult(
    Stage.VALIDATE_IDENTITY,
    "passed",
    {"findings": [{"kind": "secret", "where": "a/b.py", "line": 3, "what": "looks like a key"}]},
    NOW,
    LATER,
)
DISPATCH = DispatchRow(Dispatch("i-1", "d-1", "production", "site", 3, 2, 1), Progress.RUNNING, "under way", NOW)
VIEW = DeploymentView(DEPLOYMENT, (IDENTIFIED,), (DISPATCH,), (VOTE,))
OVERRIDE = OverrideView(DEPLOYMENT, Review("bob", "seen", LATER))
EVENT = Event(EventKind.PUSH, REPOSITORY, "refs/heads/main", "b" * 40, "a" * 40, ALICE)
DELIVERY = Delivery("y-1", "gogs", "f-1", "push", b"{}", EVENT, "nothing", NOW, DeliveryState.PLANNED, 4)
PROPOSAL = Proposal(
    id="p-1",
    kind=ProposalKind.POLICY,
    proposer="robot",
    reason="it is clearer so",
    made_at=NOW,
    expires_at=LATER,
    environment="production",
    release_id="d-0",
    file="own.cedar",
    text="permit (…)",
    policy_digest="digest",
    state=ProposalState.ACCEPTED,
    decided_by="alice",
    decided_at=LATER,
    comment="good",
    deployment_id="d-2",
)
PUSH = PushAnswer(
    "q-1", False, (RefDecision("refs/heads/main", Effect.DENY, ("no-secrets",), "a secret", (FINDING,), ("logo.png is binary",)),)
)
LINK = AccountLink("gogs", "2", "alice", LinkedBy.ADMIN, "os:root", NOW)
SESSION = Session("s-1", "alice", "corp", NOW, LATER, "aal2", ("pwd", "mfa"), "192.0.2.1", "DE", "https://id.example")
TOKEN = VerifiedToken(
    issuer="corp",
    subject="alice",
    sub="a-1",
    is_service=False,
    client_id="gate",
    groups=frozenset({"team"}),
    email="alice@example.com",
    name="Alice",
    acr="",
    amr=(),
    auth_time=None,
    issued_at=NOW,
    expires_at=LATER,
    country="",
)
PRINCIPAL = Principal(
    "alice", PrincipalKind.HUMAN, False, frozenset({"team"}), frozenset({"a@x.example"}), frozenset({"gogs:2"}), "bob", "gone"
)
STATEMENT = Statement(
    "directory",
    Identity("x-1", "alice", True, PrincipalKind.HUMAN, "al", "Alice", "bob", frozenset({"a@x.example"})),
    frozenset({"team"}),
    NOW,
    LATER,
    is_gone=True,
)
STANDING = Standing(PRINCIPAL, (STATEMENT,), (LINK,), ("has several owners",))
RIGHTS = Rights(
    "production",
    "deploy",
    "refs/heads/main",
    (
        PrincipalRight("alice", "human", ("gogs:2",), Effect.ALLOW, "may"),
        PrincipalRight("eve", "human", (), Effect.DENY, "may not"),
    ),
    "now",
)
RULE = SourceRule("directory", SourceKind.OKTA, timedelta(hours=1), timedelta(minutes=5), timedelta(hours=6))
SOURCE = SourceState("directory", SourceKind.OKTA, NOW, NOW, LATER, "HTTP 503", SourceKind.SCIM)
READING = Reading("directory", True, False, 3, 2, 1)
KEY = CommitKey("k-1", "alice", KeyKind.SSH, "ssh-ed25519 AAAA", "SHA256:x", is_revoked=True)
DECISION = Decision(Effect.DENY, ("two",), "no", "digest", {"asked": 1})
SIMULATION = Simulation("production", DECISION, (("somebody approves",),))
_DIFFERENCE = Difference(
    9, NOW.isoformat(), "deployment:held", "d-1", "production", Redecision("hold", ("two",)), Redecision("allow", ())
)
REPLAYED = ReplayResult(decisions=2, reproduced=1, not_reproduced=1, changed=1, completed=1, by_other_policies=1)
REPLAYED.effects.update(["hold", "allow"])
REPLAYED.unkept.update(["digest"])
REPLAYED.differences.append(_DIFFERENCE)
REPLAYED.examples.append(_DIFFERENCE)
REPLAYED.changes.update([("hold", "allow", "production", "two")])
FREEZE = Freeze(
    "z-1",
    "xmas",
    "production",
    "nobody is in",
    "Europe/Berlin",
    datetime(2026, 12, 18, 15),
    timedelta(hours=65),
    "weekly",
    datetime(2027, 1, 8, 15),
    "os:root",
    NOW,
    "os:root",
    LATER,
)
UPCOMING = Upcoming(FREEZE, True, Window(NOW, LATER), "FREQ is one of YEARLY")
NOTICE = StoredNotice(
    Notice("n-1", NOW, "deployment:held", "held", "one\ntwo", {"x": 1}), "chat", 2, NOW, LATER, LATER, "HTTP 503"
)
SCIM_TOKEN = ScimToken("t-1", "directory", "okta", NOW, "os:root", LATER, LATER)
REMOVED = Removal(True, Path("/srv/shop.git/pre-receive.before"))
