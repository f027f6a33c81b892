"""`/api/v1`: who am I, and linking one's own forge account by a token that is used once and is nowhere afterwards."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import httpx
import pytest

from app.domain.access import NOBODY, AccountLink, LinkedBy
from tests.integrations.targets.cast import hangs_up, says
from tests.web.gate import CAROL, Browser, Gate

TOKEN = "0b5e7c0ffee0b5e7c0ffee0b5e7c0ffee0b5e7c0"


@pytest.fixture
def alice(gate: Gate, browser: Browser) -> Browser:
    """Alice, signed in; her requests carry her session's token."""
    browser.sign_in()
    browser.http.headers["x-csrf-token"] = browser.api("GET", "/me").json()["csrf_token"]
    gate.tokens[TOKEN] = CAROL
    return browser


def link(browser: Browser, forge: str = "gogs", token: str = TOKEN) -> httpx.Response:
    return browser.api("POST", "/links", {"forge": forge, "token": token})


def everything(gate: Gate) -> Iterator[str]:
    """Read all that the database holds."""
    for (table,) in gate.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'alembic_version'"):
        yield from (str(row) for row in gate.rows(f"SELECT t::text FROM {table} t"))


def test_me_says_who_i_am_and_how_the_gate_knows(alice: Browser) -> None:
    said = alice.api("GET", "/me").json()
    assert (said["subject"], said["kind"], said["groups"], said["how"]) == ("alice", "human", ["deployers", "staff"], "session")
    assert [(a["forge"], a["account_id"], a["how"]) for a in said["accounts"]] == [("gogs", "71", "file")]
    assert said["session"]["issuer"] == "corp" and said["session"]["address"] == "127.0.0.1" and said["token"] is None


def test_an_account_is_linked_by_its_token_and_counts_at_once(
    gate: Gate, alice: Browser, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    answer = link(alice)
    assert answer.status_code == 201 and answer.json().items() >= {"account_id": "72", "how": "person", "by": "alice"}.items()
    assert {a["account_id"] for a in alice.api("GET", "/links").json()["links"]} == {"71", "72"}
    (entry,) = gate.audit("access:linked")[-1:]
    assert entry["actor"] == "alice" and entry["detail"] == {"account": "gogs:72", "subject": "alice", "how": "person"}
    (asked,) = gate.forge.requests
    assert asked.headers["authorization"] == f"token {TOKEN}" and asked.path == "/api/v1/user"
    assert not any(TOKEN in row for row in everything(gate)) and TOKEN not in caplog.text and TOKEN not in answer.text


def test_an_account_that_an_admin_unlinked_can_be_proven_by_its_owner(gate: Gate, alice: Browser) -> None:
    with gate.process.services.store.unit() as unit:
        unit.access.link(AccountLink("gogs", "72", NOBODY, LinkedBy.RULE, "os:root", gate.clock.now()))
    assert link(alice).status_code == 201
    assert {a["account_id"] for a in alice.api("GET", "/links").json()["links"]} == {"71", "72"}


def test_linking_again_changes_nothing(gate: Gate, alice: Browser) -> None:
    assert link(alice).status_code == 201
    before = len(gate.audit())
    assert link(alice).status_code == 201 and len(gate.audit()) == before


def test_of_two_who_prove_one_account_at_once_one_gets_it(gate: Gate, alice: Browser) -> None:
    gate.configure(people='[[people]]\nsubject = "alice"\n\n[[people]]\nsubject = "bob"\n')
    bob = Browser(gate)
    bob.sign_in("bob")
    bob.http.headers["x-csrf-token"] = bob.api("GET", "/me").json()["csrf_token"]
    meet = Barrier(2, timeout=20)

    def answer(handler: Any, request: Any) -> None:
        meet.wait()
        gate.answer(handler, request)

    gate.forge.answer = answer
    with ThreadPoolExecutor(2) as both:
        answers = sorted(each.status_code for each in both.map(link, (alice, bob)))
    assert answers == [201, 409] and len(gate.rows("SELECT 1 FROM account_links WHERE account_id = '72'")) == 1


@pytest.mark.parametrize("how", list(LinkedBy))
def test_an_account_of_somebody_else_is_409_however_it_was_linked(gate: Gate, alice: Browser, how: LinkedBy) -> None:
    with gate.process.services.store.unit() as unit:
        assert unit.access.link(AccountLink("gogs", "72", "carol", how, "x", gate.clock.now()))
    answer = link(alice)
    assert answer.status_code == 409 and "ask" not in answer.json()["title"] and "admin" in answer.json()["detail"]
    assert "carol" not in answer.text


def test_a_token_that_the_forge_does_not_take_is_400(alice: Browser) -> None:
    answer = link(alice, token="f" * 40)
    assert answer.status_code == 400 and answer.json()["detail"] == "forge gogs does not accept this token"


@pytest.mark.parametrize("token", ["a b", "a\r\nx: y", "ü", "a/b", "a\x00"])
def test_what_is_no_token_is_not_sent(gate: Gate, alice: Browser, token: str) -> None:
    assert link(alice, token=token).status_code == 400 and gate.forge.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        says(500),
        says(302, b"", location="http://127.0.0.1:1/"),
        says(200, b"{"),
        says(200, b"[]"),
        says(200, b'{"id": 0, "login": "x"}'),
        says(200, b'{"id": "72", "login": "x"}'),
        says(200, b'{"id": true, "login": "x"}'),
        says(200, b'{"id": 72}'),
        says(200, b'{"id": 72, "login": "x", "y": "' + b"z" * 70_000 + b'"}'),
        hangs_up,
    ],
)
def test_a_forge_that_does_not_answer_as_it_should_is_503(gate: Gate, alice: Browser, answer: Any) -> None:
    gate.forge.answer = answer
    said = link(alice)
    assert said.status_code == 503 and TOKEN not in said.text
    assert gate.audit("access:linked")[1:] == []


def test_an_unknown_forge_is_404(alice: Browser) -> None:
    assert link(alice, forge="nowhere").status_code == 404


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "application/json", 400),
        (b'{"forge": "gogs", "token": 1}', "application/json", 400),
        (json.dumps({"forge": "gogs", "token": TOKEN, "subject": "bob"}).encode(), "application/json", 400),
        (json.dumps({"forge": "gogs", "token": TOKEN * 10}).encode(), "application/json", 400),
        (b"forge=gogs&token=x", "application/x-www-form-urlencoded", 415),
        (b"{}", "text/plain", 415),
        (b" " * 20_000, "application/json", 413),
    ],
)
def test_a_body_that_is_not_what_is_asked_for_is_refused_and_not_repeated(
    gate: Gate, alice: Browser, content: bytes, kind: str, status: int
) -> None:
    headers = {"content-type": kind, "origin": gate.url}
    answer = alice.http.post(f"{gate.url}/api/v1/links", content=content, headers=headers)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    assert TOKEN not in answer.text and gate.forge.requests == []


def test_one_takes_back_what_one_has_linked_oneself_and_nothing_else(gate: Gate, alice: Browser) -> None:
    link(alice)
    with gate.process.services.store.unit() as unit:
        unit.access.link(AccountLink("gogs", "73", "carol", LinkedBy.PERSON, "carol", gate.clock.now()))
        unit.access.link(AccountLink("gogs", "74", "alice", LinkedBy.ADMIN, "x", gate.clock.now()))
    assert alice.api("DELETE", "/links/gogs/72").status_code == 204
    assert gate.audit("access:unlinked")[-1]["detail"]["account"] == "gogs:72"
    for account in ("71", "72", "73", "74", "99", "%00", "%F0%9F", "x" * 5000):
        assert alice.api("DELETE", f"/links/gogs/{account}").status_code == 404
    kept = gate.rows("SELECT account_id FROM account_links ORDER BY 1")
    assert kept == [("71",), ("73",), ("74",)]


def test_how_many_tokens_one_has_asked_about_is_bounded(alice: Browser) -> None:
    answers = [link(alice, token=f"{n:040d}") for n in range(14)]
    assert answers[0].status_code == 400 and answers[-1].status_code == 429 and int(answers[-1].headers["retry-after"]) > 0


def test_the_same_is_done_on_the_account_page(gate: Gate, alice: Browser) -> None:
    done = alice.post("/account/links", csrf_token=alice.csrf(), forge="gogs", token=TOKEN)
    assert done.status_code == 303 and "gogs:72" in alice.get("/account").text
    page = alice.post("/account/links", csrf_token=alice.csrf(), forge="gogs", token="f" * 40)
    assert page.status_code == 400 and "does not accept this token" in page.text and "f" * 40 not in page.text
    removed = alice.post("/account/links/remove", csrf_token=alice.csrf(), forge="gogs", account_id="72")
    assert removed.status_code == 303 and "gogs:72" not in alice.get("/account").text


@pytest.mark.parametrize("path", ["/account/links", "/account/links/remove", "/account/sessions/end", "/logout"])
def test_a_form_without_the_sessions_token_or_from_elsewhere_does_nothing(gate: Gate, alice: Browser, path: str) -> None:
    form = {"forge": "gogs", "token": TOKEN, "account_id": "71"}
    assert alice.post(path, **form).status_code == 403
    assert alice.post(path, csrf_token="x", **form).status_code == 403
    assert alice.post(path, csrf_token=alice.csrf(), origin="https://evil.example", **form).status_code == 403
    assert alice.post(path, csrf_token="x" * 20_000, **form).status_code == 413
    assert gate.forge.requests == [] and alice.get("/account").status_code == 200
