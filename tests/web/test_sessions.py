"""Sessions: they end when idle or old, cost nothing until they are needed, and without the database are nobody's."""

from __future__ import annotations

import pytest

from app.domain.session import shows_mfa
from app.pipeline.expire import expire
from app.settings import load_settings
from app.store.session import make_engine
from app.web.sessions import LARGEST, Cookie, WebSession
from tests.conftest import free_port
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
        assert unit.sessions.newest("alice", gate.clock.now()) is not None
    gate.clock.move(HOUR)
    with gate.process.services.store.unit() as unit:
        assert unit.sessions.newest("alice", gate.clock.now()) is None
    assert left() == 0


def test_of_several_sessions_the_newest_speaks(gate: Gate, browser: Browser) -> None:
    browser.sign_in()
    gate.clock.move(5)
    other = Browser(gate)
    other.sign_in()
    with gate.process.services.store.unit() as unit:
        first, second = (s.facts for s in unit.sessions.of("alice", gate.clock.now()))
        assert first is not None and second is not None and first.signed_in_at > second.signed_in_at
        assert unit.sessions.newest("alice", gate.clock.now()) == first
        assert unit.sessions.newest("bob", gate.clock.now()) is None


def test_a_session_is_bounded_in_size(gate: Gate) -> None:
    with gate.app.test_request_context():
        session = gate.app.session_interface.open_session(gate.app, gate.app.request_class({"REQUEST_METHOD": "GET"}))
        assert isinstance(session, WebSession)
        session["x"] = "x" * LARGEST
        with pytest.raises(Exception, match="too many sign-ins"):
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
