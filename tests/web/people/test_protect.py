"""Every route that changes something is protected: by a signature, by who calls, or by the token of a session's form."""

from __future__ import annotations

import httpx
from flask import Blueprint
from werkzeug.routing import Rule

from app.web.people.protect import ROOMS, RequiredProof
from tests.web.gate import Browser, Gate

READING = {"GET", "HEAD", "OPTIONS"}
SOME_ID = "01890000-0000-7000-8000-000000000001"
EXAMPLES = {
    "<forge>": "gogs",
    "<source>": "okta",
    "<account_id>": "71",
    "<name>": "production",
    "<uuid:deployment>": SOME_ID,
    "<uuid:proposal>": SOME_ID,
}


def changing(gate: Gate) -> list[tuple[Rule, str]]:
    return [(rule, method) for rule in gate.app.url_map.iter_rules() for method in sorted((rule.methods or set()) - READING)]


def blueprint_of(rule: Rule) -> str:
    return str(rule.endpoint).rpartition(".")[0]


def test_every_route_that_changes_something_is_in_a_room_that_says_how_it_is_protected(gate: Gate) -> None:
    all_of_them = {(str(rule), method): ROOMS[blueprint_of(rule)].changes for rule, method in changing(gate)}
    assert {proof for (path, _), proof in all_of_them.items() if path.startswith("/scim/v2")} == {RequiredProof.BEARER}
    found = {key: proof for key, proof in all_of_them.items() if not key[0].startswith("/scim/v2")}
    assert found == {
        ("/hooks/<forge>", "POST"): RequiredProof.SIGNATURE,
        ("/events/<source>", "POST"): RequiredProof.HEADER,
        ("/logout", "POST"): RequiredProof.FORM,
        ("/account/links", "POST"): RequiredProof.FORM,
        ("/account/links/remove", "POST"): RequiredProof.FORM,
        ("/account/sessions/end", "POST"): RequiredProof.FORM,
        ("/api/v1/links", "POST"): RequiredProof.OPERATION,
        ("/api/v1/links/<forge>/<account_id>", "DELETE"): RequiredProof.OPERATION,
        ("/api/v1/decide", "POST"): RequiredProof.HEADER,
        ("/api/v1/decide/known", "POST"): RequiredProof.HEADER,
        ("/api/v1/deployments/<uuid:deployment>/cancel", "POST"): RequiredProof.OPERATION,
        ("/api/v1/deployments/<uuid:deployment>/votes", "POST"): RequiredProof.OPERATION,
        ("/api/v1/deployments/<uuid:deployment>/override", "POST"): RequiredProof.OPERATION,
        ("/api/v1/environments/<name>/rollback", "POST"): RequiredProof.OPERATION,
        ("/api/v1/overrides/<uuid:deployment>/review", "POST"): RequiredProof.OPERATION,
        ("/api/v1/proposals", "POST"): RequiredProof.OPERATION,
        ("/api/v1/proposals/<uuid:proposal>/accept", "POST"): RequiredProof.OPERATION,
        ("/api/v1/proposals/<uuid:proposal>/reject", "POST"): RequiredProof.OPERATION,
    }


def test_none_of_them_does_anything_for_a_stranger(gate: Gate) -> None:
    before = [
        gate.rows(f"SELECT count(*) FROM {table}") for table in ("account_links", "sessions", "deliveries", "audit_entries")
    ]
    for rule, method in changing(gate):
        path = str(rule)
        for name, value in EXAMPLES.items():
            path = path.replace(name, value)
        answer = httpx.request(method, gate.url + path, headers={"origin": gate.url}, timeout=20)
        assert answer.status_code in (401, 403, 404), (path, method)
    after = [gate.rows(f"SELECT count(*) FROM {table}") for table in ("account_links", "sessions", "deliveries", "audit_entries")]
    assert before == after


def test_a_room_that_says_nothing_takes_no_changes(gate: Gate) -> None:
    reached: list[str] = []
    room = Blueprint("new", __name__)
    room.add_url_rule("/new", "new", lambda: reached.append("new") or "done", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
    gate.app._got_first_request = False
    gate.app.register_blueprint(room)
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        assert httpx.request(method, gate.url + "/new", headers={"origin": gate.url}, timeout=20).status_code == 403
    assert reached == [] and httpx.get(gate.url + "/new", timeout=20).status_code == 200


def test_an_operation_of_the_api_that_says_nothing_answers_nobody(gate: Gate, browser: Browser) -> None:
    reached: list[str] = []
    gate.app._got_first_request = False
    gate.app.add_url_rule("/api/v1/new", "api.new", lambda: reached.append("new") or "done", methods=["GET", "POST"])
    browser.sign_in()
    csrf = browser.api("GET", "/me").json()["csrf_token"]
    for method in ("GET", "POST"):
        refused = browser.api(method, "/new", **{"x-csrf-token": csrf})
        assert refused.status_code == 403 and "does not say who may call it" in refused.json()["detail"]
    assert reached == []
