"""Sign-in against a real OpenID Connect provider: who may, who may not, and every way in which an answer can be wrong."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit, urlunsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.integrations.http import HttpClient
from app.web.factory import create_app
from app.web.people import login
from app.web.people.login import HOME, safe_path
from tests.web.gate import Browser, Gate


def with_query(url: str, **changed: str | None) -> str:
    """Change parameters of a URL; None takes one away."""
    parts = urlsplit(url)
    query = {name: values[0] for name, values in parse_qs(parts.query, keep_blank_values=True).items()} | changed
    return urlunsplit(parts._replace(query=urlencode({n: v for n, v in query.items() if v is not None})))


def test_who_is_known_signs_in_and_sees_who_they_are(gate: Gate, browser: Browser) -> None:
    page = browser.sign_in()
    assert page.status_code == 200 and page.url.path == "/account", page.text
    assert '<dd id="subject">alice</dd>' in page.text and "deployers, staff" in page.text and "gogs:71" in page.text
    (entry,) = gate.audit("session:%")
    assert entry["action"] == "session:started" and entry["actor"] == "alice"
    assert entry["detail"].items() >= {"issuer": "corp", "subject": "alice", "address": "127.0.0.1", "is_mfa": False}.items()


def test_the_request_to_the_provider_carries_pkce_state_and_nonce(browser: Browser) -> None:
    query = parse_qs(urlsplit(browser.get("/login/corp").headers["location"]).query)
    assert query["code_challenge_method"] == ["S256"] and len(query["code_challenge"][0]) == 43
    assert query["max_age"] == ["43200"]  # with it an issuer must say when the second factor was shown
    assert len(query["state"][0]) >= 30 and len(query["nonce"][0]) >= 20


def test_the_only_issuer_is_gone_to_at_once_and_several_are_listed(gate: Gate, browser: Browser) -> None:
    assert browser.get("/login?next=/account").headers["location"] == "/login/corp?next=%2Faccount"
    other = '[issuers.other]\nkind = "oidc"\nissuer = "https://other.example"\naudience = "urn:gate"\nclient_id = "gate"\n'
    service = '[issuers.service]\nkind = "oidc"\nissuer = "https://service.example"\naudience = "gate"\n'
    gate.configure(more=other + service)
    page = browser.get("/login")
    assert page.status_code == 200 and "/login/corp?" in page.text and "/login/other?" in page.text
    assert "/login/service" not in page.text
    assert browser.get("/login/service").status_code == 404


def test_after_sign_in_one_goes_on_to_where_one_wanted(browser: Browser) -> None:
    found = browser.follow(browser.get("/login/corp?next=/account%3Fa%3D1"), until=f"{browser.gate.url}/account")
    assert found == f"{browser.gate.url}/account?a=1"


@pytest.mark.parametrize("path", ["/", "/account", "/deployments/1?page=2&x=a%20b", "/a//b", "/@x:y", "/%E2%82%AC"])
def test_a_path_of_this_site_is_kept(path: str) -> None:
    assert safe_path(path) == path


@pytest.mark.parametrize(
    "trick",
    [
        "",
        "account",
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\/evil.example",
        "\\\\evil.example",
        "https:evil.example",
        "https://evil.example",
        "HTTPS:/evil.example",
        "javascript:alert(1)",
        "data:text/html,x",
        "/\t/evil.example",
        "\t//evil.example",
        " //evil.example",
        "/\n/evil.example",
        "/\r\nset-cookie: a=b",
        "/\x00",
        "/%2fevil.example",
        "/%2Fevil.example",
        "/%5cevil.example",
        "/%5Cevil.example",
        "%2f%2fevil.example",
        "/%09/evil.example",
        "/%0d%0aset-cookie:a=b",
        "/a#b",
        "/ a",
        "/ü",
        "/\u2028",
        "?a",
        "@evil.example",
        ".evil.example",
        "/" + "a" * 600,
    ],
)
def test_whatever_a_browser_could_take_for_another_site_is_not_gone_to(trick: str) -> None:
    assert safe_path(trick) == HOME


@given(st.one_of(st.text(), st.from_regex(r"[/\\\\a-z:.@?#%\x00-\x20-]{1,12}")))
def test_no_path_leads_to_another_site(given_path: str) -> None:
    found = urlsplit(urljoin("https://gate.example/login/corp/callback", safe_path(given_path)))
    assert (found.scheme, found.netloc) == ("https", "gate.example")


def test_nobody_knows_mallory(gate: Gate, browser: Browser) -> None:
    page = browser.sign_in("mallory")
    assert page.status_code == 403 and "no source of people knows mallory" in page.text
    (entry,) = gate.audit("session:%")
    assert entry["action"] == "session:refused" and entry["detail"]["reason"].startswith(
        "no source of people knows mallory; add it to one"
    )
    assert gate.rows("SELECT subject FROM sessions WHERE subject IS NOT NULL") == []
    assert browser.get("/account").status_code == 303


def test_who_is_inactive_is_told_who_says_so(gate: Gate, browser: Browser) -> None:
    page = browser.sign_in("bob")
    assert page.status_code == 403 and "bob is not active: source file says so" in page.text


def test_who_is_made_inactive_is_out_at_once(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    gate.configure(people='[[people]]\nsubject = "alice"\nactive = false\n')
    page = browser.get("/account")
    assert page.status_code == 403 and "alice is not active" in page.text
    assert gate.rows("SELECT id FROM sessions") == []  # with the word of the source, for good
    assert browser.api("GET", "/me").status_code == 401


def test_the_cookie_changes_at_sign_in_and_the_former_session_is_gone(gate: Gate, browser: Browser) -> None:
    callback = browser.callback()
    before = browser.cookie
    browser.get(callback)
    after = browser.cookie
    assert before and after and before != after
    assert len(gate.rows("SELECT id FROM sessions")) == 1
    fixed = Browser(gate)
    fixed.http.cookies.set("tidegate", before, domain="127.0.0.1")
    assert fixed.get("/account").status_code == 303
    first = after
    browser.sign_in()
    assert browser.cookie != first
    assert [e["action"] for e in gate.audit("session:%")] == ["session:started", "session:ended", "session:started"]


def test_a_cookie_that_the_gate_did_not_make_is_never_taken_over(gate: Gate, browser: Browser) -> None:
    chosen = "A" * 43
    browser.http.cookies.set("tidegate", chosen, domain="127.0.0.1")
    answer = browser.get("/login/corp")
    assert "set-cookie" in answer.headers and chosen not in answer.headers["set-cookie"]


def test_the_cookie_is_httponly_and_lax_and_only_its_digest_is_stored(gate: Gate, browser: Browser) -> None:
    made = browser.get("/login/corp").headers["set-cookie"]
    assert "HttpOnly" in made and "SameSite=Lax" in made and "Path=/" in made and "Domain" not in made
    ((digest, data),) = gate.rows("SELECT digest, data::text FROM sessions")
    assert browser.cookie and browser.cookie not in digest + data and len(digest) == 64


def test_signing_out_ends_the_session_also_for_who_has_copied_the_cookie(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    stolen = browser.cookie
    assert stolen is not None
    page = browser.follow(browser.post("/logout", csrf_token=browser.csrf()))
    assert isinstance(page, httpx.Response) and "You are signed out" in page.text
    assert browser.cookie is None and gate.rows("SELECT id FROM sessions") == []
    thief = Browser(gate)
    thief.http.cookies.set("tidegate", stolen, domain="127.0.0.1")
    assert thief.get("/account").status_code == 303
    assert gate.audit("session:%")[-1]["detail"]["reason"] == "signed out"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"state": "x" * 30}, 400),
        ({"state": None}, 400),
        ({"state": ""}, 400),
        ({"iss": "https://evil.example"}, 400),
        ({"iss": None}, 400),
        ({"iss": ""}, 400),
        ({"code": "x"}, 400),
        ({"code": None}, 400),
        ({"code": None, "error": "access_denied", "error_description": "<b>call us"}, 400),
    ],
)
def test_an_altered_answer_is_refused(gate: Gate, browser: Browser, changed: dict[str, str | None], status: int) -> None:
    page = browser.get(with_query(browser.callback(), **changed))
    assert page.status_code == status and "call us" not in page.text
    assert gate.rows("SELECT id FROM sessions WHERE subject IS NOT NULL") == []
    assert gate.audit("session:%") == []  # a stranger cannot fill the log


def test_an_answer_counts_once(gate: Gate, browser: Browser) -> None:
    callback = browser.callback()
    assert browser.get(callback).status_code == 303
    assert browser.get(callback).status_code == 400
    other = Browser(gate)
    other.http.cookies.update(browser.http.cookies)
    assert other.get(callback).status_code == 400


def test_an_answer_that_comes_many_times_at_once_is_asked_about_once(
    gate: Gate, browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    posted = count_requests(monkeypatch, "post")
    callback = browser.callback()
    cookies = {"tidegate": browser.cookie or ""}
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.get(callback, cookies=cookies, timeout=20).status_code, range(12)))
    assert sorted(answers) == [303] + [400] * 11 and len(posted) == 1


def test_an_issuer_that_is_slow_or_away_is_asked_by_one_thread_and_then_not_for_a_while(
    gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate.provider.stop()
    asked = count_requests(monkeypatch, "get")
    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda _: httpx.get(f"{gate.url}/login/corp", timeout=20).status_code, range(12)))
    assert answers == [503] * 12 and len(asked) == 1
    gate.provider.reset()
    gate.clock.move(11)  # the cooldown
    assert httpx.get(f"{gate.url}/login/corp", timeout=20).status_code == 302 and len(asked) == 2


def count_requests(monkeypatch: pytest.MonkeyPatch, method: str) -> list[str]:
    """Note where the gate sends requests of this method."""
    sent: list[str] = []
    real = getattr(HttpClient, method)

    def noting(self: HttpClient, url: str, **options: Any) -> Any:
        sent.append(url)
        return real(self, url, **options)

    monkeypatch.setattr(HttpClient, method, noting)
    return sent


def test_after_a_refused_answer_the_true_one_does_not_count_either(browser: Browser) -> None:
    callback = browser.callback()
    assert browser.get(with_query(callback, code="x")).status_code == 400
    assert browser.get(callback).status_code == 400


def test_an_answer_without_the_session_that_asked_is_refused(gate: Gate, browser: Browser) -> None:
    page = Browser(gate).get(browser.callback())
    assert page.status_code == 400 and "not begun in this browser" in page.text


def test_an_answer_to_somebody_elses_sign_in_is_refused(gate: Gate, browser: Browser) -> None:
    """Login CSRF: mallory has alice's browser open mallory's callback."""
    alices = Browser(gate)
    alices.get("/login/corp")
    assert alices.get(browser.callback("alice")).status_code == 400


@pytest.mark.parametrize("nonce", [None, "another"])
def test_an_id_token_without_the_nonce_that_was_sent_is_refused(gate: Gate, browser: Browser, nonce: str | None) -> None:
    asked = with_query(browser.get("/login/corp").headers["location"], nonce=nonce)
    callback = browser.follow(browser.get(asked), until=f"{gate.url}/login/corp/callback")
    assert isinstance(callback, str)
    page = browser.get(callback)
    assert page.status_code == 401 and "nonce" in page.text


def test_the_code_verifier_must_fit(gate: Gate, browser: Browser) -> None:
    callback = browser.callback()
    with gate.process.engine.begin() as connection:
        query = 'UPDATE sessions SET data = replace(data::text, \'"code_verifier": "\', \'"code_verifier": "x\')::jsonb'
        connection.exec_driver_sql(query)
    assert browser.get(callback).status_code == 400


def test_a_sign_in_takes_ten_minutes_at_most(gate: Gate, browser: Browser) -> None:
    callback = browser.callback()
    gate.clock.move(601)
    assert browser.get(callback).status_code == 400


def test_after_the_provider_has_changed_its_key_people_still_sign_in(gate: Gate, browser: Browser) -> None:
    assert browser.sign_in().status_code == 200
    gate.provider.rotate("key-2")
    gate.clock.move(11)  # the cooldown between two fetches of keys
    assert Browser(gate).sign_in().status_code == 200


def test_a_token_signed_by_another_key_of_the_same_id_is_refused(gate: Gate, browser: Browser) -> None:
    assert browser.sign_in().status_code == 200
    gate.provider.rotate("key-1")
    gate.clock.move(11)
    assert Browser(gate).sign_in().status_code == 401


def test_without_the_provider_nobody_signs_in_and_who_is_in_stays(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    gate.provider.stop()
    gate.clock.move(601)  # so long its description counts
    page = Browser(gate).get("/login/corp")
    assert page.status_code == 503 and "issuer corp cannot be asked now" in page.text
    assert browser.get("/account").status_code == 200


def test_a_provider_that_goes_away_in_the_middle_is_503(gate: Gate, browser: Browser) -> None:
    callback = browser.callback()
    gate.provider.stop()
    assert browser.get(callback).status_code == 503


def test_a_second_factor_is_noted_where_the_provider_says_so(gate: Gate, browser: Browser) -> None:
    gate.provider.accounts["alice"]["amr"] = ["pwd", "mfa"]
    gate.provider.tell()
    browser.sign_in()
    session = browser.api("GET", "/me").json()["session"]
    assert session["mfa_at"] is not None and session["amr"] == ["pwd", "mfa"]
    with gate.process.services.store.reading() as unit:
        newest = unit.sessions.newest("alice", gate.clock.now(), {"corp": gate.provider.url})
    assert newest is not None and newest.mfa_at is not None and newest.issuer == "corp"


def test_one_browser_may_begin_some_sign_ins_and_only_the_newest_are_kept(gate: Gate, browser: Browser) -> None:
    callbacks = [browser.callback() for _ in range(6)]
    assert browser.get(callbacks[0]).status_code == 400
    assert browser.get(callbacks[-1]).status_code == 303


def test_sign_ins_of_one_browser_are_bounded_and_others_at_its_address_go_on(gate: Gate, browser: Browser) -> None:
    answers = [browser.get("/login/corp").status_code for _ in range(60)]
    assert answers[:30] == [302] * 30 and answers[-1] == 429
    assert Browser(gate).get("/login/corp").status_code == 302


def test_sign_ins_from_one_address_are_bounded(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "ADDRESS_RATE", 0.01)
    monkeypatch.setattr(login, "ADDRESS_BURST", 5.0)
    ask = create_app(gate.process).test_client(use_cookies=False)
    assert [ask.get("/login/corp").status_code for _ in range(6)] == [302] * 5 + [429]


def test_a_page_lets_nothing_run_in_it_and_is_kept_nowhere(browser: Browser) -> None:
    for page in (browser.sign_in(), browser.get("/login?stay"), browser.get("/login/nobody")):
        assert page.headers["content-security-policy"].startswith("default-src 'none'")
        assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
        assert page.headers["x-content-type-options"] == "nosniff" and page.headers["cache-control"] == "no-store"
        assert "<script" not in page.text and "style=" not in page.text and " on" + "click" not in page.text


def test_an_issuer_that_leaves_the_configuration_ends_its_sessions(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    text = (gate.folder / "tidegate.toml").read_text()
    (gate.folder / "tidegate.toml").write_text(text.replace("[issuers.corp]", "[issuers.other]"))
    assert browser.get("/account").status_code == 303
