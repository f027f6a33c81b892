"""`tidegate approval|override|proposal …` as the person at the machine uses them, on a real database and repository."""

from __future__ import annotations

import os
import pwd
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.bootstrap import Process, build
from app.domain.deployment import Deployment, State
from app.domain.session import Session, StoredSession
from app.integrations.system import write_private
from app.pipeline.approve.propose import propose_policy
from app.pipeline.line.authorize import authorize
from app.settings import load_settings
from app.stack.postgres import EmbeddedPostgres
from tests.cli.desk import Command, sit_down
from tests.configurations import table, toml
from tests.held import PAT, POLICIES, RIGHTS, held, hub, state

ME = pwd.getpwuid(os.getuid()).pw_name
PEOPLE = f"""\
{PAT}
[[people]]
subject = "operator"
groups = ["leads", "on-call"]
accounts = ["os:{ME}"]
[[people]]
subject = "robot"
kind = "agent"
owner = "pat"
"""


def configuration(folder: Path) -> str:
    corp = {"kind": "oidc", "issuer": "https://id.example", "audience": "tidegate"}
    production = {"repository": "hub:acme/shop"}
    return toml(
        table("issuers.corp", corp), forge_name="hub", forge=hub(folder), site={"path": f"{folder}/site"}, production=production
    )


class Desk(Command):
    """The command, and the services of a process beside it."""

    def __init__(self, folder: Path, process: Process) -> None:
        super().__init__()
        self.folder, self.process = folder, process

    def held(self) -> Deployment:
        return held(self.process, self.folder)

    def state(self, deployment: Deployment) -> State:
        return state(self.process, deployment)

    def sign_in(self, *, age: timedelta = timedelta(), mfa: bool = True) -> None:
        """Leave the session that a sign-in of the operator leaves."""
        now, new = self.process.clock.now(), self.process.ids.new()
        at = now - age
        facts = Session(new, "operator", "corp", at, at if mfa else None, "", (), "", "", "https://id.example")
        with self.process.services.store.unit() as unit:
            unit.sessions.add(StoredSession(new, new, {}, now, now, now + timedelta(hours=1), facts))


@pytest.fixture
def desk(folder: Path, postgres: EmbeddedPostgres, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    (folder / "policies").mkdir()
    (folder / "policies" / "own.cedar").write_text(POLICIES + RIGHTS)
    (folder / "people.toml").write_text(PEOPLE)
    (folder / "tidegate.toml").write_text(configuration(folder))
    write_private(folder / "hook", "webhook-secret")
    sit_down(folder, postgres, monkeypatch)
    monkeypatch.setenv("TIDEGATE_STATE_DIR", str(folder / "state"))
    return Desk(folder, build(load_settings(), pool_size=2))


def test_who_sits_here_sees_what_waits_and_lets_it_go_on(desk: Desk) -> None:
    made = desk.held()
    code, out, _ = desk.run("approval", "list")
    assert code == 0 and "operator has not signed in here" in out and "1 more" in out
    refused = desk.run("approval", "approve", made.id[-12:])
    assert refused[0] == 1 and "operator has not signed in here" in refused[2]
    desk.sign_in()
    code, out, _ = desk.run("approval", "show", made.id)
    assert code == 0 and "may vote: tidegate approval approve" in out and "who        pat" in out
    code, out, _ = desk.run("approval", "approve", made.id[-12:], "--comment", "looked at it")
    assert code == 0 and f"operator: approve deployment {made.id}" in out
    authorize(desk.process.services, made.id)
    assert desk.state(made) is State.PERMITTED
    assert desk.json("approval", "list") == []
    again = desk.run("approval", "approve", made.id)
    assert again[0] == 1 and "tidegate: " in again[2]
    assert "looked at it" in desk.run("deployment", "show", made.id)[1]


def test_a_sign_in_of_yesterday_does_not_vote(desk: Desk) -> None:
    made = desk.held()
    desk.sign_in(age=timedelta(hours=2))
    code, _, err = desk.run("approval", "approve", made.id)
    assert code == 1 and "the sign-in is older than 60 minutes" in err


def test_who_may_not_hears_why_and_what_would_change_it(desk: Desk) -> None:
    made = desk.held()
    desk.sign_in()
    (desk.folder / "people.toml").write_text(PEOPLE.replace('"leads", ', ""))
    code, _, err = desk.run("approval", "approve", made.id)
    assert code == 1
    assert '"leads" (members of leads approve)' in err and "it would be allowed if operator is a member of leads" in err


def test_a_reject_ends_it(desk: Desk) -> None:
    made = desk.held()
    desk.sign_in()
    assert desk.run("approval", "reject", made.id, "--comment", "not today")[0] == 0
    authorize(desk.process.services, made.id)
    assert desk.state(made) is State.DENIED
    code, _, err = desk.run("approval", "show", made.id)
    assert code == 1 and "does not wait for approvals" in err
    assert desk.run("approval", "show", "ffffffffffff")[0] == 3


def test_an_override_is_made_listed_and_not_reviewed_by_who_made_it(desk: Desk) -> None:
    made = desk.held()
    desk.sign_in(mfa=False)
    purpose = ("--purpose", "the shop is down, and nobody is awake")
    code, _, err = desk.run("override", "make", made.id, *purpose)
    assert code == 1 and "second factor" in err
    desk.sign_in()
    assert desk.run("override", "make", made.id, "--purpose", "short")[0] == 1
    code, out, _ = desk.run("override", "make", made.id, *purpose)
    assert code == 0 and "Another person reviews it" in out
    assert desk.json("override", "list", "--unreviewed") == [], "it has not gone out yet"
    (listed,) = desk.json("override", "list")
    assert listed["deployment"]["purpose"] == purpose[1]
    code, _, err = desk.run("override", "review", listed["deployment"]["id"])
    assert code == 1 and "another person must review it" in err


def test_a_policy_that_an_agent_proposes_is_accepted_and_applied(desk: Desk) -> None:
    services = desk.process.services
    robot = services.guard().identity.principal("robot")
    assert robot is not None
    changed = (POLICIES + RIGHTS).replace("another person approves", "somebody else approves")
    made = propose_policy(services, robot, "own.cedar", changed, reason="it is clearer so")
    desk.sign_in()
    code, out, _ = desk.run("proposal", "list", "--open")
    assert code == 0 and "policies: own.cedar" in out and "robot" in out
    assert '+@id("two-people") @reason("somebody else approves")' in desk.run("proposal", "show", made.id)[1]
    assert desk.run("proposal", "apply", made.id)[0] == 1
    code, out, err = desk.run("proposal", "accept", made.id)
    assert code == 0, err
    assert "tidegate proposal apply" in out and (desk.folder / "policies" / "own.cedar").read_text() == POLICIES + RIGHTS
    assert desk.run("proposal", "apply", made.id)[0] == 0
    assert (desk.folder / "policies" / "own.cedar").read_text() == changed
    assert desk.run("proposal", "reject", made.id)[0] == 1


def test_without_the_right_nothing_is_planned_at_the_command_line(desk: Desk) -> None:
    waits = desk.held()
    desk.sign_in()
    (desk.folder / "people.toml").write_text(PEOPLE.replace(', "on-call"', ""))
    code, _, err = desk.run("override", "make", waits.id, "--purpose", "the shop is down, and nobody is awake")
    assert code == 1 and "no policy permits operator to override" in err and "a member of on-call" in err
    assert [d["id"] for d in desk.json("deployment", "list")] == [waits.id]
    entries = desk.json("deployment", "show", waits.id)["audit"]
    assert [entry["action"] for entry in entries][-1] == "right:refused"


def test_an_administrator_ends_all_sessions_of_a_person(desk: Desk) -> None:
    desk.sign_in()
    desk.sign_in(mfa=False)
    assert len(desk.json("session", "list")) == len(desk.json("session", "list", "operator")) == 2
    assert desk.json("session", "list", "pat") == []
    code, out, _ = desk.run("session", "end", "operator")
    assert code == 0 and "ended 2 sessions of operator" in out
    assert desk.json("session", "list") == []
    code, _, err = desk.run("session", "end", "nobody-known")
    assert code == 3 and "no source of people knows nobody-known" in err
    entries = desk.json("audit", "show", "--limit", "1000")
    by_me = [entry["action"] for entry in entries if entry["actor"] == f"os:{ME}"]
    assert by_me[-3:] == ["session:ended", "session:ended", "access:sessions-ended"]
