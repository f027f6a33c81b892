"""`tidegate policy …` as an operator uses it, against a real database."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from app.config.example import write_example
from app.domain.audit import AuditEntry
from app.domain.decision import Action, DecisionRequest
from app.domain.delivery import Delivery, DeliveryState
from app.domain.deployment import Deployment, Stage, StageResult, State, Step, Trigger
from app.domain.event import Account, Event, EventKind, Repository
from app.integrations.policy.cedar import CedarPolicy, load
from app.integrations.system import SystemClock, SystemIds
from app.pipeline.decide.completion import ABSENT
from app.pipeline.decide.judgement import record_of
from app.stack.postgres import OWNER, EmbeddedPostgres
from app.store.engine import make_engine
from app.store.inbox.inbox import SqlInbox
from app.store.unit import SqlStore
from tests.cli.desk import Command, sit_down
from tests.fakes import person

TEAM = Path(__file__).parents[3] / "examples" / "team"
IDS, CLOCK = SystemIds(), SystemClock()
HELD = """\
@id("team-deploys") @reason("members of team deploy")
permit (principal in Group::"team", action == Action::"deploy", resource);
@id("two-people") @reason("another person must say yes")
forbid (principal, action == Action::"deploy", resource == Environment::"production") unless { context.approvals.met };
"""
TEST = """\
policies = "policies"
[people]
alice = {{ groups = ["team"] }}
bob = {{}}

[environments.production]
repository = "gogs:acme/shop"


[[test]]
name = "one"
who = "alice"
environment = "production"
expect = "{expect}"
"""
AGAIN = TEST.format(expect="deny").partition("[[test]]")[2]
PEOPLE = """\
[[people]]
subject = "alice"
accounts = ["gogs:2"]
groups = ["team"]
[[people]]
subject = "bob"
accounts = ["gogs:3"]
"""


class Desk(Command):
    """A folder with the example configuration, and the command."""

    def __init__(self, folder: Path) -> None:
        super().__init__("policy")
        write_example(folder)
        for old in (folder / "policies").glob("*.cedar"):
            old.unlink()
        self.policies = folder / "policies" / "own.cedar"
        self.policies.write_text(HELD)
        (folder / "people.toml").write_text(PEOPLE)
        self.config = folder / "tidegate.toml"
        found = re.search(r'^repository = "(.*)"$', self.config.read_text(), re.MULTILINE)
        assert found is not None
        self.repository = found[1]


@pytest.fixture
def desk(folder: Path, postgres: EmbeddedPostgres, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(folder)
    sit_down(folder, postgres, monkeypatch)
    return made


@pytest.fixture
def deployment(engine: Engine) -> Deployment:
    now = CLOCK.now()
    repository, alice = Repository("gogs", 1, "acme/shop", "acme", 7), Account("gogs", "2", "alice")
    event = Event(EventKind.PUSH, repository, "refs/heads/main", "c" * 40, "a" * 40, alice)
    delivery = Delivery(IDS.new(), "gogs", "d-1", "push", b"{}", event, None, now, DeliveryState.PENDING)
    inbox = SqlInbox(engine, lambda d: AuditEntry(IDS.new(), now, "delivery:received", "gogs:2", None, d.id, d.id, {}))
    inbox.put(delivery).result(timeout=30)
    made = Deployment(
        id=IDS.new(),
        position=1,
        delivery_id=delivery.id,
        correlation_id=delivery.id,
        environment="production",
        repository=repository,
        ref="refs/heads/main",
        before=None,
        sha="a" * 40,
        actor=alice,
        trigger=Trigger.PUSH,
        release_id=None,
        state=State.PLANNED,
        reason=None,
        principal="alice",
        created_at=now,
        updated_at=now,
    )
    with SqlStore(engine).unit() as unit:
        assert unit.deployments.add(made, now)
    return made


def decide(
    engine: Engine,
    policy: CedarPolicy,
    deployment: Deployment,
    *,
    missing: tuple[str, ...] = (),
    evidence: dict[str, Any] | None = None,
    culprits: list[str] | None = None,
) -> None:
    """Have a decision about a deployment on the log, as the pipeline writes it; `missing`: facts of later releases.

    `evidence` is what stage 1 found, `culprits` what the decision named.
    """
    context = {name: value for name, value in ABSENT.items() if name not in missing}
    alice = person("alice", "gogs:2", groups=("team",))
    decision = policy.decide(DecisionRequest(alice, Action.DEPLOY, "production", "gogs:acme/shop", context))
    detail = {**record_of(decision), "reason": decision.reason, **({} if culprits is None else {"culprits": culprits})}
    with SqlStore(engine).unit() as unit:
        if evidence is not None:
            identified = StageResult(Stage.VALIDATE_IDENTITY, "identified", evidence, CLOCK.now(), CLOCK.now())
            unit.deployments.advance(deployment, Step(State.IDENTIFIED, CLOCK.now(), entry_of(deployment, {}), identified))
        unit.remember_version("policy", policy.digest, policy.text)
        unit.remember_version("schema", policy.digest, policy.schema)
        unit.audit.append([entry_of(deployment, detail)])


def entry_of(deployment: Deployment, detail: dict[str, Any]) -> AuditEntry:
    ids = (deployment.id, deployment.delivery_id, deployment.correlation_id)
    return AuditEntry(IDS.new(), CLOCK.now(), "deployment:held", "gogs:2", *ids, detail)


def test_the_policies_that_ship_answer_as_their_tests_say(desk: Desk) -> None:
    code, out, err = desk.run("test", str(TEAM / "tests.toml"))
    assert (code, err) == (0, ""), out
    assert out.splitlines()[-1].endswith(" as expected") and "failed" not in out


def test_a_test_that_is_not_met_says_what_came_instead_and_what_would_change_it(desk: Desk, folder: Path) -> None:
    (folder / "t.toml").write_text(
        TEST.format(expect="allow") + '[[test]]\nname = "others"\nwho = "bob"\nenvironment = "production"\nexpect = "deny"\n'
    )
    code, out, _ = desk.run("test", "t.toml")
    assert code == 1
    assert "expected allow, and got hold by two-people: waits for approvals" in out
    assert out.splitlines()[-1] == "1 of 2 as expected"
    told = desk.json("test", "t.toml", code=1)
    assert [each["fault"] is None for each in told] == [False, True]


def test_an_answer_by_another_policy_is_not_as_expected(desk: Desk, folder: Path) -> None:
    (folder / "t.toml").write_text(TEST.format(expect="hold") + 'by = ["team-deploys"]\n')
    code, out, _ = desk.run("test", "t.toml")
    assert code == 1 and "expected hold by team-deploys, and got hold by two-people" in out


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "t.toml:1: test: "),
        ("[[test]", "t.toml: "),
        (TEST.format(expect="perhaps"), "t.toml:14: test.0.expect: "),
        (TEST.format(expect="deny").replace('who = "alice"', 'who = "nobody"'), "t.toml:10: one: nobody is not listed"),
        (TEST.format(expect="deny") + "facts = { forcd = true }\n", "t.toml:10: one: there is no fact 'forcd'"),
        (TEST.format(expect="deny") + "facts = { forced = 1 }\n", "t.toml:10: one: the fact forced must be a bool"),
        (TEST.format(expect="deny") + 'facts = { branch = "x" }\n', "t.toml:10: one: branch is not an entry of `facts`"),
        (TEST.format(expect="deny") + "facts = { hour = 3 }\n", "t.toml:10: one: hour is not an entry of `facts`"),
        (
            TEST.format(expect="deny").replace('environment = "p', 'environment = "q'),
            "t.toml:10: one: `environment` must be one of",
        ),
        (TEST.format(expect="deny") + "[[test]]" + AGAIN, "another test with the name 'one'"),
    ],
)
def test_a_file_of_tests_that_would_prove_nothing_is_refused(desk: Desk, folder: Path, text: str, fault: str) -> None:
    (folder / "t.toml").write_text(text)
    code, out, err = desk.run("test", "t.toml")
    assert (code, out) == (2, "") and fault in err


def test_a_folder_is_checked_with_file_and_line(desk: Desk, folder: Path) -> None:
    code, out, err = desk.run("check")
    assert code == 0 and out.startswith("no faults in 2 policies") and err == ""
    desk.policies.write_text(HELD + '@id("x") permit (principal in Group::"ghosts", action, resource) when { context.nope };')
    code, out, err = desk.run("check", str(folder / "policies"))
    assert code == 2 and f"{desk.policies}:5: " in err and "nope" in err
    desk.policies.write_text(HELD + '@id("x") permit (principal in Group::"ghosts", action, resource);')
    code, out, err = desk.run("check")
    assert code == 0 and '"ghosts", which has no members' in err and 'policy "x" has no @reason' in err


def test_a_folder_is_checked_where_nothing_else_of_a_gate_is(desk: Desk, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_CONFIG", str(folder / "none.toml"))
    code, out, err = desk.run("check", str(TEAM))
    assert (
        code == 0
        and "no faults in 26 policies" in out
        and "these policies were not checked against a gate: " in err
        and "none.toml" in err
    )


def test_a_simulation_tells_the_answer_and_what_would_change_it(desk: Desk) -> None:
    code, out, err = desk.run("simulate", "--user", "alice", "--repo", desk.repository, "--ref", "main")
    assert (code, err) == (0, "")
    assert out.startswith('hold deploy production: waits for approvals: forbidden by "two-people" (another person must say yes)')
    assert "it would be allowed if enough other people approve" in out
    code, out, _ = desk.run("simulate", "--user", "gogs:3", "--repo", desk.repository)
    assert out.startswith("deny deploy production: no policy permits bob") or "two-people" in out
    assert "enough other people approve and bob is a member of team" in out


def test_a_simulation_supposes_a_time_a_place_and_other_policies(desk: Desk, folder: Path) -> None:
    other = folder / "other"
    other.mkdir()
    (other / "o.cedar").write_text(
        '@id("late") permit (principal, action == Action::"deploy", resource) when { context.hour == 23 };'
        '@id("here") permit (principal, action == Action::"deploy", resource) when { context.session.country == "DE" };'
        '@id("there") permit (principal, action == Action::"deploy", resource) when { context.session.address == "192.0.2.7" };'
        '@id("force") forbid (principal, action, resource) when { context.forced };'
    )
    one = ("simulate", "--user", "bob", "--repo", desk.repository, "--policies", "other", "--at")
    (late,) = desk.json(*one, "2026-12-24 23:10")
    (early,) = desk.json(*one, "2026-12-24 22:10")
    (placed,) = desk.json(*one, "2026-12-24 22:10", "--from", "de")
    (addressed,) = desk.json(*one, "2026-12-24 22:10", "--from", "192.0.2.7")
    (forced,) = desk.json(*one, "2026-12-24 23:10", "--forced")
    answers = [each["decision"]["effect"] for each in (late, early, placed, addressed, forced)]
    assert answers == ["allow", "deny", "allow", "allow", "deny"]
    assert ["it is Thursday, 23 o'clock"] in early["ways"] and forced["ways"] == [["nothing is pushed by force"]]


@pytest.mark.parametrize(
    ("arguments", "code", "fault"),
    [
        (("--user", "nobody"), 3, "nobody is neither the subject nor the account"),
        (("--user", "alice", "--ref", "refs/heads/other"), 1, "no environment deploys refs/heads/other"),
        (("--user", "alice", "--at", "soon"), 1, "'soon' is not a time"),
        (("--user", "alice", "--signed-in", "soon"), 1, "'soon' is not a length"),
        (("--user", "alice", "--environment", "moon"), 3, "there is no environment moon"),
        (("--user", "alice", "--path", "/etc"), 1, "is not a path within a repository"),
    ],
)
def test_a_simulation_of_nothing_is_refused(desk: Desk, arguments: tuple[str, ...], code: int, fault: str) -> None:
    found, out, err = desk.run("simulate", "--repo", desk.repository, *arguments)
    assert (found, out) == (code, "") and fault in err


def test_who_can_tells_who_may_with_approvals(desk: Desk) -> None:
    code, out, _ = desk.run("who-can", "production", "--explain")
    assert code == 0
    lines = {line.split()[0]: line for line in out.splitlines()}
    assert " approved " in lines["alice"] and " no " in lines["bob"]


def test_a_decision_is_explained_with_its_place_its_facts_and_what_would_change_it(
    desk: Desk, engine: Engine, deployment: Deployment
) -> None:
    decide(engine, load(desk.policies.parent), deployment)
    desk.policies.write_text(HELD.replace("unless { context.approvals.met }", "when { context.forced }"))
    code, out, err = desk.run("explain", deployment.id[-12:])
    assert (code, err) == (0, "")
    assert "deployment:held: hold by two-people (own.cedar:3)" in out
    assert "may alice (human, in team) deploy to production?" in out
    assert "facts    approvals={count=0, met=no}" in out
    assert "change   it would be allowed if enough other people approve" in out
    assert 'the policies in force today answer: allow permitted by "team-deploys"' in out
    (told,) = desk.json("explain", deployment.id)
    assert told["places"]["two-people"] == "own.cedar:3" and told["now"]["effect"] == "allow"


@pytest.mark.parametrize("kept", [True, False])
def test_a_denial_is_explained_with_its_culprits(desk: Desk, engine: Engine, deployment: Deployment, kept: bool) -> None:
    """Of a decision of an earlier release, which kept none, they are found by what stage 1 knew."""
    known = '@id("known") forbid (principal, action == Action::"deploy", resource) unless { context.authors_known };'
    desk.policies.write_text(HELD + known)
    line = f"e-mail eve@example.com belongs to nobody (author of commit {'a' * 12})"
    place = {"email": "eve@example.com", "commit": "a" * 40, "role": "author"}
    found = {"unknown_authors": ["eve@example.com"], "unknown_in": [place]}
    decide(engine, load(desk.policies.parent), deployment, evidence={} if kept else found, culprits=[line] if kept else None)
    assert f"culprit  {line}" in desk.run("explain", deployment.id)[1]
    (told,) = desk.json("explain", deployment.id)
    assert told["culprits"] == [line]


def test_what_no_policy_was_asked_about_says_so(desk: Desk, deployment: Deployment) -> None:
    assert "no policy was asked about it" in desk.run("explain", deployment.id)[1]
    assert desk.run("explain", "ffffffffffff")[0] == 3


def test_replay_makes_every_decision_again_and_tells_what_others_change(
    desk: Desk, engine: Engine, deployment: Deployment, folder: Path
) -> None:
    policy = load(desk.policies.parent)
    for _ in range(3):
        decide(engine, policy, deployment)
    decide(engine, policy, deployment, missing=("checked_at_push", "freezes"))  # its schema refuses it: a deny, again and again
    code, out, _ = desk.run("replay")
    assert code == 0 and "4 came out as they were recorded, 0 did not" in out
    other = folder / "other"
    other.mkdir()
    (other / "o.cedar").write_text(HELD.partition('@id("two-people")')[0])
    told = desk.json("replay", "--since", "1d", "--policies", "other", "--examples", "1")
    assert (told["decisions"], told["reproduced"], told["changed"], told["completed"]) == (4, 4, 4, 1)
    assert {(each["was"], each["would_be"], each["count"]) for each in told["changes"]} == {
        ("hold", "allow", 3),
        ("deny", "allow", 1),
    }
    assert len(told["examples"]) == 2 and told["examples"][0]["deployment_id"] == deployment.id
    code, out, _ = desk.run("replay", "--policies", policy.digest[:12])
    assert code == 0 and "other policies change" in out
    assert desk.json("replay", "--environment", "staging")["decisions"] == 0
    assert desk.json("replay", "--until", "2026-01-01")["decisions"] == 0
    assert desk.run("replay", "--policies", "no-such")[0] == 3
    assert desk.run("replay", "--since", "soon")[0] == 1


def test_what_was_changed_on_the_log_is_not_reproduced(
    desk: Desk, engine: Engine, deployment: Deployment, postgres: EmbeddedPostgres
) -> None:
    decide(engine, load(desk.policies.parent), deployment)
    with make_engine(postgres.url(OWNER)).begin() as connection:
        connection.execute(text("ALTER TABLE audit_entries DISABLE TRIGGER ALL"))
        connection.execute(
            text("UPDATE audit_entries SET detail = jsonb_set(detail, '{effect}', '\"allow\"') WHERE detail ? 'effect'")
        )
        connection.execute(text("ALTER TABLE audit_entries ENABLE TRIGGER ALL"))
    code, out, _ = desk.run("replay")
    assert code == 1 and "0 came out as they were recorded, 1 did not" in out
    assert "allow two-people" in out and "hold two-people" in out


def test_versions_are_compared_policy_by_policy(desk: Desk, engine: Engine, deployment: Deployment, folder: Path) -> None:
    policy = load(desk.policies.parent)
    decide(engine, policy, deployment)
    other = folder / "other"
    other.mkdir()
    (other / "a.cedar").write_text(
        '// moved, and laid out otherwise\n@id("team-deploys") @reason("members of team deploy")\n'
        'permit (principal in Group::"team",\naction == Action::"deploy", resource);\n'
        '@id("new") permit (principal, action == Action::"push", resource);\n'
    )
    code, out, _ = desk.run("diff", policy.digest[:12], "other")
    assert code == 1
    assert re.findall(r"^(\w+)\s+([\w-]+) \(", out, re.MULTILINE) == [
        ("added", "new"),
        ("moved", "team-deploys"),
        ("removed", "two-people"),
    ]
    assert desk.run("diff", policy.digest)[:2] == (0, "0 of 2 policies differ\n")
    desk.policies.write_text(HELD.replace("approvals.met", "forced"))
    (changed,) = desk.json("diff", policy.digest, code=1)
    assert changed["what"] == "changed" and changed["place"] == "own.cedar:3"
    assert any("context.forced" in line and line.startswith("+") for line in changed["lines"])
    assert desk.run("diff", "no-such")[0] == 3
