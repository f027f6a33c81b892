"""An issuer that is a source of people too: who signs in is known by it, in its groups, for as long as it is configured."""

from __future__ import annotations

import pytest

from tests.web.gate import Browser, Gate

SOURCE = 'max_age = "8h"\ntrusts_groups = true\n'
BOB = '[[people]]\nsubject = "bob"\nactive = false\n'
HOUR = 3600


@pytest.fixture(autouse=True)
def _source(gate: Gate) -> None:
    gate.configure(corp=SOURCE, people=BOB)


def sign_in(gate: Gate, login: str = "alice", **claims: object) -> Browser:
    gate.provider.accounts[login] |= claims
    gate.provider.tell()
    browser = Browser(gate)
    browser.sign_in(login)
    return browser


def me(browser: Browser) -> dict[str, object]:
    found: dict[str, object] = browser.api("GET", "/me").json()
    return found


def test_whom_nobody_else_knows_signs_in_with_the_groups_of_the_token(gate: Gate) -> None:
    assert me(sign_in(gate))["groups"] == ["deployers"]
    ((email,),) = gate.rows("SELECT email FROM identity_emails")
    assert email == "alice@example.com"
    assert gate.rows("SELECT login, name, active FROM identities WHERE source = 'corp'") == [("alice", "Alice Example", True)]
    assert [e["action"] for e in gate.audit("%") if e["actor"] in ("source:corp", "alice")] == [
        "access:identity-added",
        "access:group-added",
        "session:started",
    ]


def test_an_email_that_is_not_verified_is_not_taken_down(gate: Gate) -> None:
    sign_in(gate, email_verified=False)
    assert gate.rows("SELECT email FROM identity_emails") == []


def test_each_sign_in_says_the_groups_anew_and_leaves_the_other_members(gate: Gate) -> None:
    gate.provider.accounts["carol"] = {"preferred_username": "carol"}
    carol = sign_in(gate, "carol", groups=["deployers", "ops"])
    alice = sign_in(gate, groups=["deployers", "staff"])
    assert me(alice)["groups"] == ["deployers", "staff"] and me(carol)["groups"] == ["deployers", "ops"]
    assert me(sign_in(gate, groups=["staff"]))["groups"] == ["staff"]
    assert me(alice)["groups"] == ["staff"] and me(carol)["groups"] == ["deployers", "ops"]
    left = [e["detail"] for e in gate.audit("access:group-changed")][-1]
    assert left["group"] == "deployers" and left["left"] == ["alice"] and left["joined"] == []
    before = len(gate.audit("access:%"))
    sign_in(gate, groups=["staff"])
    assert len(gate.audit("access:%")) == before


def test_groups_count_only_where_they_are_trusted(gate: Gate) -> None:
    gate.configure(corp='max_age = "8h"\n', people=BOB)
    assert me(sign_in(gate))["groups"] == []


def test_who_has_not_signed_in_for_too_long_is_nobody_until_the_next_time(gate: Gate) -> None:
    sign_in(gate)
    identity = gate.process.services.guard().identity
    gate.clock.move(8 * HOUR - 60)
    found = identity.principal("alice")
    assert found is not None and found.active
    gate.clock.move(120)
    found = identity.principal("alice")
    assert found is not None and not found.active and "source corp is stale" in found.why_inactive


def test_another_sources_no_is_stronger(gate: Gate) -> None:
    browser = Browser(gate)
    page = browser.sign_in("bob")
    assert page.status_code == 403 and "source file says so" in page.text
    assert gate.rows("SELECT subject FROM sessions WHERE subject IS NOT NULL") == []


def test_who_gets_a_former_persons_name_does_not_get_their_accounts_or_sessions(gate: Gate) -> None:
    gate.configure(corp=SOURCE + 'subject_claim = "preferred_username"\n', people=BOB)
    former = sign_in(gate)
    gate.tokens["t" * 40] = {"id": 72, "login": "alice", "username": "alice"}
    proof = {"x-csrf-token": str(me(former)["csrf_token"])}
    assert former.api("POST", "/links", {"forge": "gogs", "token": "t" * 40}, **proof).status_code == 201
    gate.provider.accounts["2"] = {"preferred_username": "alice"}
    assert me(sign_in(gate, "2"))["accounts"] == []
    assert former.api("GET", "/me").status_code == 401
    assert [e["detail"]["account"] for e in gate.audit("access:unlinked")] == ["gogs:72"]


def test_who_gets_a_former_persons_name_does_not_get_their_groups(gate: Gate) -> None:
    gate.configure(corp=SOURCE + 'subject_claim = "preferred_username"\n', people=BOB)
    assert me(sign_in(gate, groups=["admins"]))["groups"] == ["admins"]
    gate.provider.accounts["2"] = {"preferred_username": "alice"}
    assert me(sign_in(gate, "2", groups=["staff"]))["groups"] == ["staff"]
    assert gate.rows("SELECT external_id FROM identities WHERE source = 'corp'") == [("2",)]


def test_an_issuer_without_max_age_says_nothing(gate: Gate) -> None:
    gate.configure(corp="trusts_groups = true\n", people=BOB)
    assert Browser(gate).sign_in().status_code == 403
    assert gate.rows("SELECT source FROM identities WHERE source = 'corp'") == []
