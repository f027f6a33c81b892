"""Sessions: they end when idle or old, cost nothing until they are needed, and without the database are nobody's."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from app.domain.errors import BadRequest, Forbidden
from app.domain.session import shows_mfa
from app.integrations.identity.protocol import VerifiedToken
from app.pipeline.intake.expire import expire
from app.pipeline.people.sign_in import SignIn, sign_in
from app.settings import load_settings
from app.store.engine import make_engine
from app.web.people.sessions import LARGEST, Cookie, WebSession
from tests.ports import free_port
from tests.web.gate import NOWHERE, Browser, Gate

HOUR = 3600


def ends_at(gate: Gate) -> float:
    ((found,),) = gate.rows("SELECT ends_at FROM sessions WHERE subject IS NOT NULL")
    return float((found - gate.clock.now()).total_seconds())


@pytest.mark.parametrize(
    ("url", "cookie"),
    [
        ("https://gate.example", Cookie("__Host-tidegate", True)),
        ("https://127.0.0.1", Cookie("__Host-tidegate", True)),
        ("http://gate.example", Cookie("__Host-tidegate", True)),
        ("http://127.0.0.1:8300", Cookie("tidegate", False)),
        ("http://localhost:8300", Cookie("tidegate", False)),
        ("http://[::1]:8300", Cookie("tidegate", False)),
        ("http://127.0.0.1.evil.example", Cookie("__Host-tidegate", True)),
    ],
)
def test_only_plain_http_on_this_machine_goes_without_secure(url: str, cookie: Cookie) -> None:
    env = {"TIDEGATE_DATABASE_URL": "postgresql://x", "TIDEGATE_REDIS_URL": NOWHERE, "TIDEGATE_PUBLIC_URL": url}
    assert Cookie.of(load_settings(env)) == cookie


def test_who_only_looks_gets_no_session(gate: Gate, browser: Browser) -> None:
    for path in ("/healthz", "/login?stay", "/account", "/api/v1/me", "/static/page.css"):
        assert "set-cookie" not in browser.get(path).headers
    assert gate.rows("SELECT id FROM sessions") == []


def test_an_idle_session_ends_and_one_in_use_goes_on(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    for _ in range(3):
        gate.clock.move(HOUR - 120)
        assert browser.get("/account").status_code == 200
    gate.clock.move(HOUR + 1)
    assert browser.get("/account").status_code == 303


def test_a_session_in_use_ends_twelve_hours_after_the_sign_in(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    for _ in range(23):
        gate.clock.move(HOUR / 2)
        assert browser.get("/account").status_code == 200
    gate.clock.move(HOUR / 2 - 60)
    assert browser.get("/account").status_code == 200
    gate.clock.move(61)
    assert browser.get("/account").status_code == 303


def test_that_it_is_in_use_is_written_once_a_minute(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    gate.clock.move(58)
    browser.get("/account")
    assert ends_at(gate) == pytest.approx(HOUR - 58, abs=5)
    gate.clock.move(5)
    browser.get("/account")
    assert ends_at(gate) == pytest.approx(HOUR, abs=5)


def test_what_has_ended_is_found_no_more_and_is_deleted_by_beat(gate: Gate, browser: Browser) -> None:
    def left() -> int:
        expire(gate.process.services)
        return int(str(gate.rows("SELECT count(*) FROM sessions")[0][0]))

    browser.sign_in()
    Browser(gate).get("/login/corp")
    assert left() == 2
    gate.clock.move(700)
    assert left() == 1  # without the one of nobody yet
    with gate.process.services.store.unit() as unit:
        assert unit.sessions.newest("alice", gate.clock.now(), {"corp": gate.provider.url}) is not None
    gate.clock.move(HOUR)
    with gate.process.services.store.unit() as unit:
        assert unit.sessions.newest("alice", gate.clock.now(), {"corp": gate.provider.url}) is None
    assert left() == 0


def test_of_several_sessions_the_newest_speaks(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    gate.clock.move(5)
    other = Browser(gate)
    other.sign_in()
    with gate.process.services.store.unit() as unit:
        first, second = (s.facts for s in unit.sessions.of("alice", gate.clock.now()))
        assert first is not None and second is not None and first.signed_in_at > second.signed_in_at
        assert unit.sessions.newest("alice", gate.clock.now(), {"corp": gate.provider.url}) == first
        assert unit.sessions.newest("bob", gate.clock.now(), {"corp": gate.provider.url}) is None


def test_a_session_of_an_issuer_that_is_not_configured_any_more_is_not_the_newest(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    with gate.process.services.store.unit() as unit:
        for issuers in ({}, {"other": gate.provider.url}, {"corp": "https://other.example"}):
            assert unit.sessions.newest("alice", gate.clock.now(), issuers) is None


def test_a_session_whose_issuer_is_another_one_by_now_proves_nothing_and_its_time_does_not_grow(
    gate: Gate, browser: Browser
) -> None:
    browser.sign_in()
    text = (gate.folder / "tidegate.toml").read_text()
    (gate.folder / "tidegate.toml").write_text(text.replace(gate.provider.url, "https://other.example"))
    gate.clock.move(120)
    before = gate.rows("SELECT seen_at, ends_at FROM sessions")
    assert browser.get("/account").status_code == 303 and browser.api("GET", "/me").status_code == 401
    assert gate.rows("SELECT seen_at, ends_at FROM sessions") == before
    (gate.folder / "tidegate.toml").write_text(text)
    assert browser.get("/account").status_code == 200
    assert gate.rows("SELECT seen_at, ends_at FROM sessions") > before


def test_who_was_asked_at_another_url_than_is_configured_now_gets_no_session(gate: Gate) -> None:
    with pytest.raises(Forbidden, match="issuer corp is no longer configured"):
        sign_in(gate.process.services, an_act(gate, issuer_url="https://other.example"))


@pytest.mark.parametrize("ago", [None, 600])
def test_when_a_second_factor_was_shown_is_what_the_issuer_says_and_nothing_else(gate: Gate, ago: float | None) -> None:
    at = gate.clock.now() - timedelta(seconds=ago) if ago else None
    facts = sign_in(gate.process.services, an_act(gate, auth_time=at)).facts
    assert facts is not None and facts.amr == ("mfa",) and facts.mfa_at == at


def an_act(gate: Gate, *, issuer_url: str = "", auth_time: datetime | None = None) -> SignIn:
    """Bring a token by which alice has shown a second factor."""
    now = gate.clock.now()
    token = VerifiedToken(
        issuer="corp",
        subject="alice",
        sub="alice",
        is_service=False,
        client_id="",
        groups=frozenset(),
        email="",
        name="",
        acr="",
        amr=("mfa",),
        auth_time=auth_time,
        issued_at=now,
        expires_at=now + timedelta(minutes=5),
        country="",
    )
    return SignIn(
        token=token,
        issuer_url=issuer_url or gate.provider.url,
        address="",
        country="",
        digest="0" * 64,
        idle=timedelta(hours=1),
        longest=timedelta(hours=12),
        former=None,
    )


def test_a_session_is_bounded_in_size(gate: Gate) -> None:
    with gate.app.test_request_context():
        session = gate.app.session_interface.open_session(gate.app, gate.app.request_class({"REQUEST_METHOD": "GET"}))
        assert isinstance(session, WebSession)
        session["x"] = "x" * LARGEST
        with pytest.raises(BadRequest, match="too many sign-ins"):
            session.save()
    assert gate.rows("SELECT id FROM sessions") == []


def test_one_ends_ones_other_session_and_nobody_elses(gate: Gate, browser: Browser) -> None:
    gate.configure(people='[[people]]\nsubject = "alice"\n\n[[people]]\nsubject = "bob"\n')
    browser.sign_in()
    other, bobs = Browser(gate), Browser(gate)
    other.sign_in()
    bobs.sign_in("bob")
    newest = "SELECT id::text FROM sessions WHERE subject = '{}' ORDER BY signed_in_at DESC LIMIT 1"
    (mine,), (his,) = (gate.rows(newest.format(subject)) for subject in ("alice", "bob"))
    for strange in (his[0], "", "x"):
        assert browser.post("/account/sessions/end", csrf_token=browser.csrf(), session=strange).status_code == 400
    assert bobs.get("/account").status_code == 200
    assert browser.post("/account/sessions/end", csrf_token=browser.csrf(), session=mine[0]).status_code == 303
    assert other.get("/account").status_code == 303 and browser.get("/account").status_code == 200
    assert gate.audit("session:ended")[-1]["detail"]["reason"] == "ended by its owner"


def test_without_the_database_nobody_is_anybody(gate: Gate, browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    browser.sign_in()
    token = browser.csrf()
    gone = make_engine(f"postgresql+psycopg://nobody@127.0.0.1:{free_port()}/none")
    monkeypatch.setattr(gate.process.services.store, "_engine", gone)
    for path in ("/account", "/api/v1/me", "/api/v1/links"):
        assert browser.get(path).status_code == 503, path
    assert browser.post("/logout", csrf_token=token).status_code == 503
    started = Browser(gate).get("/login/corp")
    assert started.status_code == 503 and "set-cookie" not in started.headers and "location" not in started.headers
    assert browser.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("acr", "amr", "shown"),
    [
        ("", (), False),
        ("", ("pwd",), False),
        ("", ("pwd", "mfa"), True),
        ("phr", (), True),
        ("urn:okta:loa:2fa:any", (), True),
        ("urn:okta:loa:2fa:any:ifpossible", (), False),
        ("1", ("otp",), False),
        ("MFA", ("MFA",), False),
    ],
)
def test_a_second_factor_counts_only_where_the_issuer_says_so_in_known_words(acr: str, amr: tuple[str, ...], shown: bool) -> None:
    assert shows_mfa(acr, amr) is shown
