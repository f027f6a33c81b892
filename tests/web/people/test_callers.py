"""Who calls: sessions, bearer tokens and Access assertions, alone and together, and proof that a browser's owner meant it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from tests.integrations.targets.cast import Service, says, serving
from tests.oidc.cast import fresh_key
from tests.web.gate import Browser, Gate

ASSERTION = "cf-access-jwt-assertion"
BACK = {"kind": "rollback", "environment": "production", "release": None, "reason": "errors rose tenfold"}
EDGE_KEY = fresh_key("edge-1")


def edge_table(service: Service) -> str:
    """Configure Cloudflare Access, whose keys are served on this machine."""
    return f'''
[issuers.edge]
kind = "cloudflare_access"
issuer = "https://team.cloudflareaccess.example"
audience = "aud-tag"
jwks_url = "{service.url}/certs"
subject_claim = "email"
'''


@pytest.fixture
def edge() -> Any:
    with serving() as service:
        service.answer = says(200, json.dumps({"keys": [EDGE_KEY.as_dict(private=False)]}).encode())
        yield service


def assertion(gate: Gate, *, email: str = "", service: str = "", key: RSAKey = EDGE_KEY, **over: Any) -> str:
    """Sign what Cloudflare Access would (reference: developers.cloudflare.com, application-token)."""
    now = int(gate.clock.now().timestamp())
    person: dict[str, Any] = {"sub": f"id-{email}", "email": email, "nbf": now}
    who = person if email else {"sub": "", "common_name": service}
    claims = {"iss": "https://team.cloudflareaccess.example", "aud": ["aud-tag"], "type": "app", "iat": now, "exp": now + 300}
    return jwt.encode({"alg": "RS256", "typ": "JWT", "kid": "edge-1"}, claims | who | over, key)


def get(gate: Gate, path: str = "/me", **headers: str) -> httpx.Response:
    return httpx.get(f"{gate.url}/api/v1{path}", headers={n.replace("_", "-"): v for n, v in headers.items()}, timeout=20)


def test_nobody_is_401_and_told_how(gate: Gate) -> None:
    answer = get(gate)
    assert answer.status_code == 401 and answer.headers["www-authenticate"] == 'Bearer realm="tidegate"'
    assert answer.headers["content-type"] == "application/problem+json" and answer.json()["title"] == "bad-token"
    assert answer.headers["cache-control"] == "no-store"


def test_a_program_calls_with_its_token(gate: Gate) -> None:
    answer = get(gate, authorization=f"Bearer {gate.provider.client_token()}")
    assert answer.status_code == 200
    said = answer.json()
    assert (said["subject"], said["kind"], said["groups"], said["how"]) == ("robot", "machine", ["robots"], "bearer")
    assert said["token"]["issuer"] == "corp" and said["session"] is None and said["csrf_token"] is None


@pytest.mark.parametrize("given", ["Bearer", "Bearer x", "Bearer a.b.c", "Basic YTpi", "token abc", "x" * 9000])
def test_a_bad_token_is_401(gate: Gate, given: str) -> None:
    answer = get(gate, authorization=given)
    assert answer.status_code == 401 and 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert len(given) < 12 or given[7:] not in answer.text


def test_an_altered_token_is_401(gate: Gate) -> None:
    header, payload, signature = gate.provider.client_token().split(".")
    assert get(gate, authorization=f"Bearer {header}.{payload}.{signature[:-6]}AAAAAA").status_code == 401


def test_who_is_unknown_or_inactive_is_403_with_the_reason(gate: Gate) -> None:
    token = gate.provider.client_token()
    gate.configure(people='[[people]]\nsubject = "robot"\nactive = false\n')
    answer = get(gate, authorization=f"Bearer {token}")
    assert answer.status_code == 403 and "robot is not active: source file says so" in answer.json()["detail"]
    gate.configure(people="")
    answer = get(gate, authorization=f"Bearer {token}")
    assert answer.status_code == 403 and "no source of people knows robot" in answer.json()["detail"]


@pytest.mark.parametrize("said", ["", 'kind = "human"\n'])
def test_a_programs_token_never_passes_as_a_person(gate: Gate, edge: Service, said: str) -> None:
    named = [f'[[people]]\nsubject = "{name}"\n{said}' for name in ("robot", "abc.access")]
    gate.configure(more=edge_table(edge), people="\n".join(named))
    for given in (
        {"authorization": f"Bearer {gate.provider.client_token()}"},
        {ASSERTION: assertion(gate, service="abc.access")},
    ):
        answer = get(gate, **given)
        assert answer.status_code == 403 and "the token belongs to a program" in answer.json()["detail"]


def test_without_the_issuers_keys_it_is_503_and_not_401(gate: Gate) -> None:
    token = gate.provider.client_token()
    gate.provider.stop()
    assert get(gate, authorization=f"Bearer {token}").status_code == 503


def test_a_session_and_a_token_of_two_callers_are_400(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    answer = browser.api("GET", "/me", authorization=f"Bearer {gate.provider.client_token()}")
    assert answer.status_code == 400 and "bearer and session disagree" in answer.json()["detail"]


def test_an_assertion_counts_only_where_access_is_configured(gate: Gate, edge: Service) -> None:
    given = {ASSERTION: assertion(gate, email="alice@example.com")}
    assert get(gate, **given).status_code == 401
    gate.configure(more=edge_table(edge), people='[[people]]\nsubject = "alice@example.com"\n')
    answer = get(gate, **given)
    assert answer.status_code == 200 and answer.json()["how"] == "access"


@pytest.mark.parametrize(
    "over", [{"iss": "https://evil.example"}, {"aud": ["other"]}, {"type": "org"}, {"exp": 1}, {"key": fresh_key("edge-1")}]
)
def test_a_bad_assertion_is_401(gate: Gate, edge: Service, over: dict[str, Any]) -> None:
    gate.configure(more=edge_table(edge), people='[[people]]\nsubject = "alice@example.com"\n')
    assert get(gate, **{ASSERTION: assertion(gate, email="alice@example.com", **over)}).status_code == 401


def test_an_assertion_is_not_proven_by_another_issuers_token(gate: Gate, edge: Service) -> None:
    gate.configure(more=edge_table(edge))
    assert get(gate, **{ASSERTION: gate.provider.client_token()}).status_code == 401


def test_a_page_with_a_bad_assertion_says_so_and_leads_nowhere(gate: Gate, browser: Browser, edge: Service) -> None:
    browser.sign_in()
    gate.configure(more=edge_table(edge))
    page = browser.http.get(f"{gate.url}/account", headers={ASSERTION: "x.y.z"})
    assert page.status_code == 401 and "location" not in page.headers


def test_an_assertion_and_a_session_must_agree(gate: Gate, browser: Browser, edge: Service) -> None:
    people = '[[people]]\nsubject = "alice"\n\n[[people]]\nsubject = "alice@example.com"\n'
    gate.configure(more=edge_table(edge), people=people)
    browser.sign_in()
    assert browser.api("GET", "/me", **{ASSERTION: assertion(gate, email="alice@example.com")}).status_code == 400
    assert browser.api("GET", "/me", **{ASSERTION: assertion(gate, email="alice")}).status_code == 200


def test_a_call_by_cookie_needs_the_sessions_token_and_the_right_origin(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    token = browser.api("GET", "/me").json()["csrf_token"]
    other = Browser(gate)
    other.sign_in()
    others = other.api("GET", "/me").json()["csrf_token"]
    body = {"forge": "gogs", "token": "x"}
    for headers in ({}, {"x-csrf-token": ""}, {"x-csrf-token": others}):
        assert browser.api("POST", "/links", body, **headers).status_code == 403
    right = {"x-csrf-token": token}
    for origin in ("https://evil.example", "null", gate.url + "/", gate.url + "0", gate.url.upper()):
        assert browser.api("POST", "/links", body, **right, origin=origin).status_code == 403
    for site in ("cross-site", "same-site", "none"):
        assert browser.api("POST", "/links", body, **right, **{"sec-fetch-site": site}).status_code == 403
    bare = browser.http.post(f"{gate.url}/api/v1/links", json=body, headers=right)
    assert bare.status_code == 403
    assert browser.api("POST", "/links", body, **right, **{"sec-fetch-site": "same-origin"}).status_code == 400
    gate.tokens["x"] = {"id": 9, "username": "carol"}
    assert browser.api("POST", "/links", body, **right).status_code == 201


def test_a_call_by_bearer_needs_neither(gate: Gate) -> None:
    headers = {"authorization": f"Bearer {gate.provider.client_token()}", "origin": "https://elsewhere.example"}
    answer = httpx.post(f"{gate.url}/api/v1/proposals", json=BACK, headers=headers, timeout=20)
    assert answer.status_code == 404 and "no earlier release" in answer.json()["detail"]


def test_a_persons_assertion_needs_the_right_origin_since_the_edge_adds_it_to_whatever_a_browser_sends(
    gate: Gate, edge: Service
) -> None:
    gate.configure(more=edge_table(edge), people='[[people]]\nsubject = "alice@example.com"\n')
    given = {ASSERTION: assertion(gate, email="alice@example.com")}
    url, body = f"{gate.url}/api/v1/proposals", BACK
    assert httpx.post(url, json=body, headers=given, timeout=20).status_code == 403
    assert httpx.post(url, json=body, headers=given | {"origin": "https://evil.example"}, timeout=20).status_code == 403
    passed = httpx.post(url, json=body, headers=given | {"origin": gate.url}, timeout=20)
    assert passed.status_code == 404  # there is no release yet


def test_pages_and_api_can_be_behind_access_and_probes_are_not(gate: Gate, browser: Browser, edge: Service) -> None:
    gate.configure(top='access_issuer = "edge"\n', more=edge_table(edge))
    for path in ("/login", "/account", "/login/corp", "/api/v1/me"):
        assert browser.get(path).status_code == 401, path
    for path in ("/healthz", "/.well-known/openid-configuration", "/metrics"):
        assert browser.get(path).status_code == 200, path
    service = {ASSERTION: assertion(gate, service="abc.access")}
    assert httpx.get(f"{gate.url}/login?stay", headers=service, timeout=20).status_code == 200
    assert httpx.get(f"{gate.url}/login?stay", headers={ASSERTION: gate.provider.client_token()}, timeout=20).status_code == 401


def test_a_forges_deliveries_can_be_behind_access_before_anything_else_is_looked_at(gate: Gate, edge: Service) -> None:
    text = (gate.folder / "tidegate.toml").read_text().replace('kind = "gogs"', 'kind = "gogs"\naccess_issuer = "edge"')
    (gate.folder / "tidegate.toml").write_text(text + edge_table(edge))
    url, content = f"{gate.url}/hooks/gogs", b"x"
    refused = httpx.post(url, content=content, timeout=20)
    assert refused.status_code == 401 and "missing" in refused.text
    assert httpx.post(url, content=content, headers={ASSERTION: "x.y.z"}, timeout=20).status_code == 401
    passed = httpx.post(url, content=content, headers={ASSERTION: assertion(gate, service="abc.access")}, timeout=20)
    assert passed.status_code == 401 and "signature" in passed.text  # only now is the delivery itself looked at
    edge.answer = says(500)
    gate.clock.move(25 * 3600)
    away = httpx.post(url, content=content, headers={ASSERTION: assertion(gate, service="abc.access")}, timeout=20)
    assert away.status_code == 503 and int(away.headers["retry-after"]) > 0
