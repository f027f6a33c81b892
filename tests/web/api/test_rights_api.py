"""Rights over HTTP: what a token gives, what a link takes, who reads what, and what is told of a refusal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from structlog.testing import capture_logs

from app.domain.deployment import Deployment
from tests.configurations import FORGE, STAGING, environment, table
from tests.held import POLICIES, RIGHTS, held, hub
from tests.integrations.targets.cast import Service
from tests.web.gate import CAROL, Browser, Gate
from tests.web.people.test_callers import assertion, edge_table
from tests.web.test_who_may import edge

__all__ = ["edge"]
TOKEN = "0b5e7c0ffee0b5e7c0ffee0b5e7c0ffee0b5e7c0"
PEOPLE = """\
[[people]]
subject = "pat"
groups = ["team"]
emails = ["pat@example.com"]
accounts = ["hub:90"]
[[people]]
subject = "alice"
groups = ["leads", "on-call"]
emails = ["alice@example.com", "odd?name@example.com"]
accounts = ["gogs:71"]
[[people]]
subject = "bea@example.com"
groups = ["leads"]
[[people]]
subject = "agent@example.com"
kind = "agent"
owner = "alice"
groups = ["leads"]
"""
READ = '@id("read") permit (principal in Group::"{group}", action == Action::"read", resource == Environment::"{name}");\n'
MAIL = """
[sinks.mail]
kind = "smtp"
events = ["deployment:held"]
host = "127.0.0.1"
tls = "none"
sender = "tidegate@shop.example"
recipients = ["ops@shop.example"]
[sinks.chat]
kind = "webhook"
events = ["access:linked"]
url = "http://127.0.0.1:1/"
secret = "env:CHAT_SECRET"
"""


def configure(gate: Gate, *, corp: str = "", more: str = "") -> None:
    staging = environment({"repository": "hub:acme/shop", "deploys": ["branch:main"]}, STAGING)
    gate.configure(people=PEOPLE, corp=corp, more=table("forges.hub", FORGE, hub(gate.folder)) + staging + more)


def policies(gate: Gate, more: str = "") -> None:
    (gate.folder / "policies" / "own.cedar").write_text(POLICIES + RIGHTS + more)


@pytest.fixture
def alice(gate: Gate, browser: Browser) -> Iterator[Browser]:
    """Alice, signed in; her requests carry her session's token."""
    for old in (gate.folder / "policies").glob("*.cedar"):
        old.unlink()
    policies(gate)
    configure(gate)
    browser.sign_in()
    browser.http.headers["x-csrf-token"] = browser.api("GET", "/me").json()["csrf_token"]
    gate.tokens[TOKEN] = CAROL
    yield browser


def bearer(gate: Gate, subject: str, edge: Service, method: str, path: str, body: object = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {assertion(gate, email=subject)}", "origin": gate.url}
    return httpx.request(method, f"{gate.url}/api/v1{path}", json=body, headers=headers, timeout=20)


def link(browser: Browser) -> httpx.Response:
    return browser.api("POST", "/links", {"forge": "gogs", "token": TOKEN})


def age(gate: Gate, column: str, length: str) -> None:
    with gate.engine.begin() as connection:
        connection.exec_driver_sql(f"UPDATE sessions SET {column} = signed_in_at - interval '{length}' WHERE subject = 'alice'")


def test_a_bearer_token_links_no_account(gate: Gate, alice: Browser, edge: Service) -> None:
    configure(gate, more=edge_table(edge))
    for method, path in (("POST", "/links"), ("DELETE", "/links/gogs/71")):
        refused = bearer(gate, "bea@example.com", edge, method, path, {"forge": "gogs", "token": TOKEN})
        assert refused.status_code == 403 and "needs your own session here" in refused.json()["detail"]
    assert gate.forge.requests == [] and gate.rows("SELECT count(*) FROM account_links WHERE how = 'person'") == [(0,)]


def test_a_session_links_only_with_a_fresh_sign_in(gate: Gate, alice: Browser) -> None:
    age(gate, "signed_in_at", "11 minutes")
    refused = link(alice)
    assert refused.status_code == 403 and "the sign-in is older than 10 minutes" in refused.json()["detail"]
    assert alice.api("DELETE", "/links/gogs/72").status_code == 403
    page = alice.post("/account/links", csrf_token=alice.csrf(), forge="gogs", token=TOKEN)
    assert page.status_code == 403 and "the sign-in is older than 10 minutes" in page.text
    page = alice.post("/account/links/remove", csrf_token=alice.csrf(), forge="gogs", account_id="71")
    assert page.status_code == 403 and gate.forge.requests == []
    alice.sign_in()
    alice.http.headers["x-csrf-token"] = alice.api("GET", "/me").json()["csrf_token"]
    assert link(alice).status_code == 201


def test_where_a_person_has_a_second_factor_a_link_takes_it(gate: Gate, alice: Browser) -> None:
    age(gate, "mfa_at", "20 minutes")
    refused = link(alice)
    assert refused.status_code == 403 and "the second factor that corp asks for" in refused.json()["detail"]
    other = Browser(gate)  # a thief with the password alone
    other.sign_in()
    other.http.headers["x-csrf-token"] = other.api("GET", "/me").json()["csrf_token"]
    assert link(other).status_code == 403 and gate.forge.requests == []
    age(gate, "mfa_at", "0 minutes")
    assert link(alice).status_code == 201


def test_the_person_is_told_of_a_new_link(gate: Gate, alice: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHAT_SECRET", "whsec_" + "A" * 32)
    configure(gate, more=MAIL)
    assert link(alice).status_code == 201
    told = {
        sink: (event, subject, detail)
        for sink, event, subject, detail in gate.rows("SELECT sink, event, subject, detail FROM notices")
    }
    assert told.keys() == {"mail", "chat"}
    event, subject, detail = told["mail"]
    assert (event, subject) == ("access:linked", "alice has linked gogs:72")
    assert detail["mail_to"] == ["alice@example.com", "odd?name@example.com"] and detail["mail_to_person_only"] is True
    assert told["chat"][2] == {"account": "gogs:72", "subject": "alice", "how": "person"}


def test_a_token_must_carry_every_scope_that_its_issuers_table_names(gate: Gate, alice: Browser, edge: Service) -> None:
    scoped = edge_table(edge) + 'required_scopes = ["gate.read", "gate.propose"]\n'
    configure(gate, more=scoped)
    for claims, missing in (
        ({}, "gate.propose and gate.read"),
        ({"scope": "gate.read"}, "gate.propose"),
        ({"scp": ["gate.readers", "gate.propose"]}, "gate.read"),
        ({"roles": ["gate.read", "gate.propose"]}, "gate.propose and gate.read"),
        ({"scope": "gate.read gate.propose"}, None),
        ({"scp": "gate.propose gate.read other"}, None),
        ({"scp": ["gate.propose", "gate.read"]}, None),
    ):
        token = assertion(gate, email="bea@example.com", **claims)
        answer = httpx.get(f"{gate.url}/api/v1/me", headers={"authorization": f"Bearer {token}"}, timeout=20)
        if missing is None:
            assert answer.status_code == 200, claims
        else:
            assert answer.status_code == 403 and f"lacks the scope {missing}" in answer.json()["detail"], claims


def shown(browser: Browser) -> list[str]:
    return [each["id"] for each in browser.api("GET", "/deployments").json()["deployments"]]


def test_what_one_may_not_read_is_as_if_it_did_not_exist(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits: Deployment = held(gate.process, tmp_path)
    assert shown(alice) == [waits.id], "until a policy names `read`, people read"
    nobody = waits.id[:-4] + "0000"
    for group, name, sees in (("team", "staging", False), ("leads", "production", False), ("leads", "staging", True)):
        policies(gate, READ.format(group=group, name=name))
        assert shown(alice) == ([waits.id] if sees else [])
        assert len(alice.api("GET", "/approvals").json()["approvals"]) == sees
        for environment_name in ("staging", "nowhere"):
            listed = alice.api("GET", f"/approvals?environment={environment_name}")
            assert listed.status_code == (200 if sees and environment_name == "staging" else 404)
        one, other = (alice.api("GET", f"/deployments/{name}") for name in (waits.id, nobody))
        assert one.status_code == (200 if sees else 404) and other.status_code == 404
        if not sees:
            assert one.json() == {**other.json(), "detail": other.json()["detail"].replace(nobody, waits.id)}


def test_an_act_that_is_refused_tells_no_more_than_reading_would(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    (gate.folder / "people.toml").write_text(PEOPLE.replace('groups = ["leads", "on-call"]', "groups = []"))
    age(gate, "mfa_at", "0 minutes")
    nobody = waits.id[:-4] + "0000"
    acts: tuple[tuple[str, dict[str, object]], ...] = (
        (f"/deployments/{waits.id}/votes", {"verdict": "approve"}),
        (f"/deployments/{waits.id}/override", {"purpose": "the shop is down, nobody is awake"}),
        (f"/overrides/{waits.id}/review", {}),
        ("/environments/staging/rollback", {"release": None}),
    )
    assert [alice.api("POST", path, body).status_code for path, body in acts] == [403, 403, 404, 404]
    policies(gate, READ.format(group="leads", name="staging"))
    for path, body in acts:
        missing = alice.api("POST", path.replace(waits.id, nobody).replace("staging", "nowhere"), body)
        hidden = alice.api("POST", path, body)
        assert (hidden.status_code, missing.status_code) == (404, 404), hidden.text


def test_agents_read_nothing_but_their_own_and_what_a_policy_permits(
    gate: Gate, alice: Browser, edge: Service, tmp_path: Path
) -> None:
    configure(gate, more=edge_table(edge))
    waits = held(gate.process, tmp_path)
    body = {"kind": "policy", "file": "more.cedar", "text": '@id("m") forbid (principal == Principal::"m", action, resource);'}
    made = bearer(gate, "agent@example.com", edge, "POST", "/proposals", {**body, "reason": "it is needed for m"})
    assert made.status_code == 201, made.text
    alices = alice.api("POST", "/proposals", {**body, "file": "other.cedar", "reason": "it is needed for m"}).json()["id"]

    def get(path: str) -> httpx.Response:
        return bearer(gate, "agent@example.com", edge, "GET", path)

    assert get("/deployments").json() == {"deployments": []} and get("/approvals").json() == {"approvals": []}
    assert get(f"/deployments/{waits.id}").status_code == 404
    assert [each["id"] for each in get("/proposals").json()["proposals"]] == [made.json()["id"]]
    assert get(f"/proposals/{made.json()['id']}").status_code == 200 and get(f"/proposals/{alices}").status_code == 404
    assert get("/me").status_code == 200
    policies(gate, READ.format(group="leads", name="staging"))
    assert [each["id"] for each in get("/deployments").json()["deployments"]] == [waits.id]
    assert get(f"/proposals/{alices}").status_code == 404, "proposed policies belong to the gate, not to an environment"


def test_a_refusal_of_a_known_caller_is_one_line_and_a_strangers_is_counted(gate: Gate, alice: Browser, tmp_path: Path) -> None:
    waits = held(gate.process, tmp_path)
    (gate.folder / "people.toml").write_text(PEOPLE.replace('groups = ["leads", "on-call"]', "groups = []"))
    path = f"/deployments/{waits.id}/votes"
    with capture_logs() as lines:
        assert alice.api("POST", path, {"verdict": "approve"}).status_code == 403
        for token in ("x", "y"):
            httpx.post(f"{gate.url}/api/v1{path}", headers={"authorization": f"Bearer {token}"}, timeout=20)
        httpx.post(f"{gate.url}/api/v1/decide", headers={"authorization": "Bearer guess"}, timeout=20)
    (line,) = [line for line in lines if line["event"] == "refused"]
    assert (line["who"], line["outcome"], line["ids"]) == ("alice", "forbidden", [f"deployment={waits.id}"])
    assert line["route"] == "POST /api/v1/deployments/<uuid:deployment>/votes" and "leads" in line["reason"]
    metrics = httpx.get(f"{gate.url}/metrics", timeout=20).text
    for labels in ('caller="known",outcome="forbidden",room="api"', 'caller="stranger",outcome="bad-token",room="api"'):
        assert f"tidegate_refusals_total{{{labels}}}" in metrics
    assert 'tidegate_refusals_total{caller="stranger",outcome="bad-token",room="decide"}' in metrics
    assert "guess" not in metrics
