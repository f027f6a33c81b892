"""A denial and a hold name what they are about, wherever the reason is read: over real git and real policies."""

from __future__ import annotations

from typing import Any

import pytest

from app.domain.decision import Action, Decision
from app.domain.deployment import Deployment, Stage, State
from app.domain.signature import CommitKey, KeyKind
from app.integrations.policy.cedar import CedarPolicy
from app.pipeline.decide.culprits import as_text, culprits_of
from tests.integrations.policy.cast import ALICE, asking
from tests.integrations.repositories.test_mirror import MAIN, Origin
from tests.pipeline.conftest import BOB, CHARLIE, Line
from tests.pipeline.evidence.cast import push, push_aside, released
from tests.pipeline.evidence.conftest import gate, mirror, origin

__all__ = ("gate", "mirror", "origin")  # fixtures
PERMIT = '@id("deploy") permit (principal, action in [Action::"deploy", Action::"push"], resource);\n'
SECRET = "AKIA" + "QYLPMN5HHHFPZAM2"
EVIDENCE: dict[str, Any] = {}


def under(condition: str, *, reason: str = "") -> CedarPolicy:
    """Make policies that permit to deploy unless this holds."""
    rule = f'@id("rule") @reason("{reason}") forbid (principal, action == Action::"deploy", resource) when {{ {condition} }};'
    return CedarPolicy({"a.cedar": PERMIT + rule})


def denied(line: Line, made: Deployment, condition: str) -> str:
    """Run a deployment under this rule, and return why it was denied."""
    line.policy = under(condition)  # type: ignore[assignment]
    ended = line.run(made)
    assert ended.state is State.DENIED and ended.reason is not None, ended
    return ended.reason


@pytest.mark.parametrize("role", ["author", "committer"])
def test_an_unknown_e_mail_is_named_with_its_commit_and_its_role(gate: Line, origin: Origin, role: str) -> None:
    released(gate, push(gate, None, origin.commit("base")))
    base = origin.git("rev-parse", "HEAD")
    (origin.work / "more").write_text("x")
    origin.git("add", "-A")
    mails = {
        "author": ("--author=x <eve@example.com>", "alice@example.com"),
        "committer": ("--author=x <alice@example.com>", "eve@example.com"),
    }
    origin.git("commit", "-q", "-m", "more", mails[role][0], email=mails[role][1])
    origin.git("push", "-q", "origin", "main")
    sha = origin.git("rev-parse", "HEAD")
    why = denied(gate, push(gate, base, sha), "!context.authors_known")
    assert f"e-mail eve@example.com belongs to nobody ({role} of commit {sha[:12]})" in why
    assert "it would be allowed if all its authors are people that a source knows" in why


def test_a_commit_that_is_not_signed_is_named(gate: Line, origin: Origin) -> None:
    gate.identity.keys = [CommitKey("", "alice", KeyKind.SSH, "ssh-ed25519 A", "SHA256:x", is_revoked=False)]
    sha = origin.commit("one")
    why = denied(gate, push(gate, None, sha), 'context.signatures != "all"')
    assert f"commit {sha} is not signed" in why


def test_without_any_known_key_that_is_what_is_said(gate: Line, origin: Origin) -> None:
    why = denied(gate, push(gate, None, origin.commit("one")), 'context.signatures != "all"')
    assert "no public key of anybody is known" in why and "tidegate access key add" in why


def test_a_finding_is_named_with_file_and_line_and_its_secret_is_not(gate: Line, origin: Origin) -> None:
    (origin.work / "config.env").write_text(f"\nkey={SECRET}\n")
    made = push(gate, None, origin.commit("one"))
    why = denied(gate, made, 'context.inspected && context.findings.contains("secret")')
    assert "found secret in config.env:2: " in why and SECRET not in why


def test_what_was_not_looked_at_is_named_and_is_not_called_a_secret(gate: Line, origin: Origin) -> None:
    (origin.work / "logo.png").write_bytes(b"\x89PNG\r\n\0\xff\n\0")
    made = push(gate, None, origin.commit("one"))
    why = denied(gate, made, "!context.inspected")
    assert "not looked at: logo.png is binary" in why and "secret" not in why


def test_a_changed_file_that_a_policy_names_is_named(gate: Line, origin: Origin) -> None:
    (origin.work / "db").mkdir()
    (origin.work / "db" / "\x1b[2Jone.SQL").write_text("x")
    why = denied(gate, push(gate, None, origin.commit("one")), '!context.paths_known || context.paths.contains("*.sql")')
    assert "changes db/<U+001B>[2Jone.SQL" in why and "changes one" not in why


def test_what_a_branch_left_behind_is_named(gate: Line, origin: Origin) -> None:
    base = origin.commit("base")
    lost = origin.commit("lost")
    released(gate, push(gate, base, lost))
    origin.git("reset", "-q", "--hard", base)
    why = denied(gate, push(gate, lost, origin.commit("instead")), "context.forced")
    assert f"{MAIN} leaves behind commit {lost[:12]}" in why


def test_a_tag_that_moved_is_named_with_its_former_commit(gate: Line, origin: Origin) -> None:
    first = origin.commit("first")
    origin.git("push", "-q", "origin", "HEAD:refs/tags/v1")
    released(gate, push(gate, None, first, "refs/tags/v1"))
    second = origin.commit("second")
    origin.git("push", "-q", "-f", "origin", "HEAD:refs/tags/v1")
    why = denied(gate, push(gate, None, second, "refs/tags/v1"), "context.forced")
    assert f"refs/tags/v1 moved, and stood at commit {first[:12]}" in why


def test_a_commit_that_no_check_looked_at_is_named(gate: Line, origin: Origin) -> None:
    sha = origin.commit("one")
    why = denied(gate, push(gate, None, sha), "!context.checked_at_push")
    assert f"no check before a push let commit {sha[:12]} onto {MAIN}" in why
    assert f"no check looked at commit {sha[:12]}" in why


def test_an_account_that_pushed_and_is_not_linked_is_named(gate: Line, origin: Origin) -> None:
    base = origin.commit("base")
    released(gate, push(gate, None, base))
    aside = origin.commit("aside", branch="topic")
    push_aside(gate, base, aside, "refs/heads/topic", CHARLIE)
    origin.git("push", "-q", "origin", "HEAD:refs/heads/main")
    why = denied(gate, push(gate, base, aside), "!context.involved_known")
    assert "account gogs:4 pushed some of it and is not linked to a person" in why


def test_a_hold_says_whose_hand_is_not_known_since_no_vote_can_count(gate: Line, origin: Origin) -> None:
    gate.policy = under("!context.approvals.met")  # type: ignore[assignment]
    base = origin.commit("base")
    aside = origin.commit("aside", branch="topic")
    push_aside(gate, base, aside, "refs/heads/topic", CHARLIE)
    origin.git("push", "-q", "origin", "HEAD:refs/heads/main")
    held = gate.run(push(gate, base, aside))
    assert held.state is State.HELD and held.reason is not None
    assert "no vote counts yet: account gogs:4 pushed some of it" in held.reason


def test_a_hold_names_what_it_waits_for_and_the_decision_keeps_it(gate: Line, origin: Origin) -> None:
    gate.policy = under("!context.authors_known && context.approvals.count == 0")  # type: ignore[assignment]
    sha = origin.commit("one", email="eve@example.com")
    held = gate.run(push(gate, None, sha))
    assert held.state is State.HELD and f"eve@example.com belongs to nobody (author of commit {sha[:12]})" in (held.reason or "")


def test_the_decision_keeps_its_culprits(gate: Line, origin: Origin) -> None:
    sha = origin.commit("one", email="eve@example.com")
    made = push(gate, None, sha)
    denied(gate, made, "!context.authors_known")
    result = gate.result(made, Stage.CHECK_PERMISSION)
    assert result is not None
    assert result.detail["culprits"] == [f"e-mail eve@example.com belongs to nobody (author of commit {sha[:12]})"]


def test_what_no_policy_asks_about_is_not_named(gate: Line, origin: Origin) -> None:
    made = push(gate, None, origin.commit("one", email="eve@example.com"), actor=BOB)
    other = (
        '@id("other") forbid (principal, action == Action::"deploy", resource) when { !context.authors_known && context.frozen };'
    )
    gate.policy = CedarPolicy({"a.cedar": under('context.branch == "main"').files["a.cedar"] + other})  # type: ignore[assignment]
    ended = gate.run(made)
    assert ended.state is State.DENIED and "eve@example.com" not in (ended.reason or "")


def answer(condition: str, **facts: Any) -> tuple[CedarPolicy, Decision]:
    policy = under(condition)
    return policy, policy.decide(asking(ALICE, action=Action.DEPLOY, **facts))


def test_a_freeze_is_named() -> None:
    policy, decision = answer("context.frozen", frozen=True, freezes=["xmas"])
    assert culprits_of(policy, decision, EVIDENCE) == ("freeze xmas is in force",)


def test_of_many_a_few_are_named_and_the_rest_is_counted() -> None:
    mails = [f"p{n}@example.com" for n in range(40)]
    policy, decision = answer("!context.authors_known", authors_known=False, unknown_authors=mails)
    culprits = culprits_of(policy, decision, {"unknown_authors": mails, "not_listed": "it brings more than 10000 commits"})
    assert culprits[-2:] == (
        "and 35 more such e-mails",
        "not looked at: it brings more than 10000 commits, so not all authors are known",
    )
    assert len(as_text(culprits)) < 1500 and as_text(culprits).endswith("(tidegate policy explain DEPLOYMENT)")


def test_without_people_neither_e_mail_nor_account_nor_signer_is_named() -> None:
    policy, decision = answer(
        '!context.authors_known || context.signatures != "all" || !context.involved_known',
        authors_known=False,
        unknown_authors=["eve@example.com"],
        signatures="none",
        involved_known=False,
    )
    evidence = {
        "unknown_authors": ["eve@example.com"],
        "unknown_in": [{"email": "eve@example.com", "commit": "a" * 40, "role": "author"}],
        "unsigned": [f"commit {'b' * 40} of eve@example.com is signed by bob"],
        "unlinked": ["gogs:4"],
    }
    assert culprits_of(policy, decision, evidence, with_people=False) == (
        f"an e-mail belongs to nobody (author of commit {'a' * 12})",
        f"commit {'b' * 12} does not count as signed",
        "an account pushed some of it and is not linked to a person",
    )


def test_a_decision_of_an_earlier_release_names_what_it_can() -> None:
    policy, decision = answer("context.forced", forced=True)
    assert culprits_of(policy, decision, {}) == ()
    broken = Decision(decision.effect, decision.policies, decision.reason, decision.policy_digest, {"request": None})
    assert culprits_of(policy, broken, {}) == ()
