"""Who can: everybody's rights under the policies in force, with what was assumed; and who may say for whom an account stands."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.access import Group, Page
from app.domain.errors import BadRequest, NotAllowed, NotFound
from app.domain.event import Account
from app.domain.signature import CommitKey, KeyKind
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.ask.who_can import who_can
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.people.commit_key import add_key, revoke_key
from app.pipeline.people.link_by_admin import link_by_admin, unlink_by_admin
from app.store.reads import Reads
from tests.people import PUSHED, access_map, say, somebody
from tests.pipeline.conftest import Line, environment

ROOT_USER = Account("os", "root", "root")
POLICY = """
@id("deployers") permit (principal in Group::"deployers", action == Action::"deploy", resource) when { context.branch == "main" };
@id("operators") permit (principal in Group::"operators", action == Action::"rollback", resource)
when { context.session.mfa_age < 3600 };
"""
FILE = '[[people]]\nsubject = "alice"\naccounts = ["gogs:2"]\ngroups = ["deployers", "operators"]\n'


@pytest.fixture
def people(line: Line, folder: Path) -> StoredAccessMap:
    made = access_map(line.engine, folder, FILE, PUSHED, clock=line.clock)
    policy = CedarPolicy({"a.cedar": POLICY})
    former = line.services.guard
    guard = lambda: replace(former(), identity=made, policy=policy, forges={"gogs": None})  # type: ignore[dict-item] # noqa: E731
    line.services = replace(line.services, guard=guard)
    said = (somebody("bob"), somebody("carol"), somebody("dave", is_active=False))
    say(made, PUSHED, Page(said, (Group("g", "deployers", frozenset({"id-bob", "id-carol", "id-dave"})),)))
    return made


def test_everybody_is_asked_about_and_told_why_not(line: Line, people: StoredAccessMap) -> None:
    link_by_admin(line.services, Account("gogs", "3", "bob"), "bob", ROOT_USER)
    asked = who_can(line.services, "production")
    assert [(a.subject, a.allowed) for a in asked.answers] == [("alice", True), ("bob", True), ("carol", False), ("dave", False)]
    assert [a.reason for a in asked.answers[2:]] == [
        "no account is linked to this principal: tidegate access link FORGE:ID carol",
        "not active: source directory says so",
    ]
    assert (asked.ref, asked.answers[1].accounts) == ("refs/heads/main", ("gogs:3",))
    assert "commits that known people wrote and signed" in asked.assumed


def test_without_a_session_no_rule_that_asks_for_a_fresh_one_is_met(line: Line, people: StoredAccessMap) -> None:
    assert not any(a.allowed for a in who_can(line.services, "production", action="rollback").answers)


def test_a_ref_that_the_environment_does_not_deploy_and_other_nonsense_is_told(line: Line, people: StoredAccessMap) -> None:
    line.environments.append(environment("staging", deploys=("tag:v*",)))
    with pytest.raises(BadRequest, match="production does not deploy refs/heads/x; it deploys branch:main"):
        who_can(line.services, "production", ref="refs/heads/x")
    with pytest.raises(BadRequest, match="not an action"):
        who_can(line.services, "production", action="eat")
    with pytest.raises(NotFound):
        who_can(line.services, "nowhere")
    assert who_can(line.services, "staging").ref == "refs/tags/vany"


def test_an_account_is_linked_once_and_only_to_whom_a_source_knows(line: Line, people: StoredAccessMap) -> None:
    bobs = Account("gogs", "3", "bob")
    people.principal("alice")
    with pytest.raises(NotFound, match="no source of people knows eve"):
        link_by_admin(line.services, bobs, "eve", ROOT_USER)
    with pytest.raises(NotFound, match="there is no forge gitea"):
        link_by_admin(line.services, Account("gitea", "3", "bob"), "bob", ROOT_USER)
    link_by_admin(line.services, bobs, "bob", ROOT_USER)
    link_by_admin(line.services, bobs, "bob", ROOT_USER)
    with pytest.raises(NotAllowed, match=r"gogs:3 is linked to bob \(admin\); unlink it first"):
        link_by_admin(line.services, bobs, "carol", ROOT_USER)
    with pytest.raises(NotAllowed, match=r"gogs:2 is linked to alice \(file\)"):
        link_by_admin(line.services, Account("gogs", "2", "alice"), "bob", ROOT_USER)
    link_by_admin(line.services, Account("os", "bob", "bob"), "bob", ROOT_USER)
    linked = [e.detail for e in Reads(line.engine).audit() if (e.action, e.actor) == ("access:linked", "os:root")]
    assert linked == [
        {"account": "gogs:3", "subject": "bob", "how": "admin"},
        {"account": "os:bob", "subject": "bob", "how": "admin"},
    ]


def test_what_people_toml_links_is_unlinked_there(line: Line, people: StoredAccessMap) -> None:
    people.principal("alice")
    with pytest.raises(NotAllowed, match=r"people\.toml"):
        unlink_by_admin(line.services, Account("gogs", "2", "alice"), ROOT_USER)
    with pytest.raises(NotFound):
        unlink_by_admin(line.services, Account("gogs", "77", "x"), ROOT_USER)
    link_by_admin(line.services, Account("gogs", "3", "bob"), "bob", ROOT_USER)
    assert [n.subject for n in unlink_by_admin(line.services, Account("gogs", "3", "bob"), ROOT_USER)] == ["bob"]
    assert Reads(line.engine).audit()[-1].action == "access:unlinked"


def test_a_key_is_somebodys_once_and_a_revoked_one_stays_revoked(line: Line, people: StoredAccessMap) -> None:
    key = CommitKey("", "bob", KeyKind.SSH, "ssh-ed25519 A", "SHA256:f", is_revoked=False)
    add_key(line.services, key, ROOT_USER)
    with pytest.raises(NotAllowed):
        add_key(line.services, replace(key, subject="carol"), ROOT_USER)
    with pytest.raises(NotFound):
        add_key(line.services, replace(key, subject="eve", fingerprint="SHA256:g"), ROOT_USER)
    assert revoke_key(line.services, "SHA256:f", ROOT_USER).is_revoked
    with pytest.raises(NotFound):
        revoke_key(line.services, "SHA256:f", ROOT_USER)
    with pytest.raises(NotAllowed, match="stays revoked"):
        add_key(line.services, key, ROOT_USER)
    assert [(k.subject, k.is_revoked) for k in people.commit_keys()] == [("bob", True)]
    assert [e.action for e in Reads(line.engine).audit()][-2:] == ["access:key-added", "access:key-revoked"]
