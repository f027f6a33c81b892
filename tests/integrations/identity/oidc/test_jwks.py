"""The keys of an issuer, fetched from a real server that rotates them, redirects, drips, breaks and goes away."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, wait
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from app.domain.errors import IssuerUnavailable
from app.integrations.http import HttpAnswer, HttpClient
from app.integrations.identity.oidc import jwks
from app.integrations.identity.oidc.jwks import LARGEST, MOST_KEYS, IssuerKeys
from tests.integrations.identity.oidc.cast import RSA, RSA_NEXT, Issuer, StillClock, a_profile, keys_of, public, rsa_jwk
from tests.integrations.targets.cast import Request, hangs_up, says
from tests.ports import free_port
from tests.waiting import PATIENCE, until

DAY = 86_400


def test_a_key_is_found_by_its_id_and_fetched_once(issuer: Issuer, keys: IssuerKeys) -> None:
    for _ in range(50):
        found = keys.key("rsa-1")
        assert found is not None
        assert found.as_dict(private=False)["n"] == RSA.as_dict()["n"]
    assert keys.key("ec-1") is not None
    assert issuer.fetches == ["/keys"]


def test_keys_are_fetched_before_the_first_token_and_not_again_for_it(issuer: Issuer, keys: IssuerKeys) -> None:
    keys.warm()
    keys.warm()
    assert keys.key("rsa-1") is not None
    assert issuer.fetches == ["/keys"]


def test_a_configured_place_needs_no_discovery(issuer: Issuer, clock: StillClock) -> None:
    assert keys_of(issuer, clock, jwks_url=f"{issuer.url}/mine").key("rsa-1") is not None
    assert [request.path for request in issuer.service.requests] == ["/mine"]


def test_an_issuer_with_a_slash_at_its_end_is_discovered_where_the_specification_says(issuer: Issuer, clock: StillClock) -> None:
    issuer.discovery = {"issuer": f"{issuer.url}/"}
    assert keys_of(f"{issuer.url}/", clock).key("rsa-1") is not None


@pytest.mark.parametrize(
    ("discovery", "reason"),
    [
        ({"issuer": "https://id.example"}, "of another issuer"),
        ({"issuer": ""}, "of another issuer"),
        ({"issuer": None}, "does not name an issuer"),
        ({"issuer": ["x"]}, "does not name an issuer"),
        ({"jwks_uri": None}, "does not name an issuer and a jwks_uri"),
        ({"jwks_uri": 5}, "does not name an issuer and a jwks_uri"),
        ({"jwks_uri": "http://id.example/keys"}, "not an https URL"),
        ({"jwks_uri": "http://169.254.169.254/latest"}, "not an https URL"),
        ({"jwks_uri": "file:///etc/passwd"}, "not an https URL"),
        ({"jwks_uri": "/keys"}, "not an https URL"),
    ],
)
def test_a_discovery_document_that_does_not_fit_is_refused(
    issuer: Issuer, keys: IssuerKeys, discovery: dict[str, Any], reason: str
) -> None:
    issuer.discovery = discovery
    with pytest.raises(IssuerUnavailable, match=reason):
        keys.key("rsa-1")
    assert issuer.fetches == []


def test_discovery_is_asked_again_only_after_a_fault(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    def discoveries() -> int:
        return sum(request.path == "/.well-known/openid-configuration" for request in issuer.service.requests)

    keys.warm()
    clock.move(301)
    keys.key("rsa-1")
    assert discoveries() == 1
    issuer.discovery = {"jwks_uri": f"{issuer.url}/moved"}
    clock.move(301)
    issuer.broken = says(404)
    keys.key("rsa-1")
    issuer.broken = None
    clock.move(11)
    keys.key("rsa-1")
    assert (discoveries(), issuer.fetches[-1]) == (2, "/moved")


def test_a_known_key_is_fetched_anew_when_it_is_five_minutes_old(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    keys.warm()
    clock.move(299)
    keys.key("rsa-1")
    assert len(issuer.fetches) == 1
    clock.move(2)
    keys.key("rsa-1")
    assert len(issuer.fetches) == 2


def test_a_withdrawn_key_is_trusted_for_five_minutes_and_no_longer(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    keys.warm()
    issuer.jwks = public(RSA_NEXT)
    clock.move(299)
    assert keys.key("rsa-1") is not None
    clock.move(2)
    assert keys.key("rsa-1") is None


def test_a_new_key_is_found_once_the_cooldown_is_over(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    keys.warm()
    issuer.jwks = public(RSA, RSA_NEXT)
    clock.move(9)
    assert keys.key("rsa-2") is None
    clock.move(2)
    assert keys.key("rsa-2") is not None
    assert len(issuer.fetches) == 2


def test_two_hundred_forged_key_ids_cause_no_fetch(issuer: Issuer, keys: IssuerKeys) -> None:
    keys.warm()
    assert [keys.key(f"forged-{n}") for n in range(200)] == [None] * 200
    assert len(issuer.fetches) == 1


def test_forged_key_ids_cause_one_fetch_a_cooldown(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    keys.warm()
    for _ in range(100):  # one a second
        clock.move(1)
        assert keys.key("forged") is None
    assert len(issuer.fetches) == 1 + 10


def test_an_issuer_that_is_down_is_asked_once_a_cooldown(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    issuer.broken = says(503)
    for _ in range(20):
        with pytest.raises(IssuerUnavailable, match="issuer corp are not available now: HTTP 503"):
            keys.key("rsa-1")
    assert len(issuer.service.requests) == 1
    issuer.broken = None
    clock.move(11)
    assert keys.key("rsa-1") is not None


def test_stale_keys_serve_for_a_day_while_the_issuer_is_down_and_then_no_token_is_checked(
    issuer: Issuer, keys: IssuerKeys, clock: StillClock
) -> None:
    keys.warm()
    issuer.broken = hangs_up
    clock.move(DAY - 1)
    assert keys.key("rsa-1") is not None
    clock.move(2)
    with pytest.raises(IssuerUnavailable, match="no answer"):
        keys.key("rsa-1")
    issuer.broken = None
    clock.move(11)
    assert keys.key("rsa-1") is not None


def test_an_unknown_key_is_not_called_forged_while_the_issuer_is_down(
    issuer: Issuer, keys: IssuerKeys, clock: StillClock
) -> None:
    keys.warm()
    issuer.broken = says(500)
    clock.move(11)
    with pytest.raises(IssuerUnavailable, match="HTTP 500"):
        keys.key("rsa-2")
    assert keys.key("rsa-1") is not None


def test_a_clock_that_is_set_back_does_not_lengthen_trust(issuer: Issuer, keys: IssuerKeys, clock: StillClock) -> None:
    keys.warm()
    issuer.broken = says(500)
    clock.move(-3600)
    with pytest.raises(IssuerUnavailable):
        keys.key("rsa-1")
    issuer.broken = None
    clock.move(11)
    assert keys.key("rsa-1") is not None


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (says(200, b""), "not JSON"),
        (says(200, b"<html>"), "not JSON"),
        (says(200, b"\xff\xfe\xff"), "not JSON"),
        (says(200, b"[" * 200_000), "not JSON"),
        (says(200, b'{"keys":' * 20_000), "not JSON"),
        (says(200, b"1" * 100_000), "not JSON"),
        (says(200, b"[]"), "not a key set"),
        (says(200, b"{}"), "not a key set"),
        (says(200, b'{"keys": {}}'), "not a key set"),
        (says(200, b'{"keys": [5]}'), "not a key set"),
        (says(200, b'{"keys": []}'), "no usable key"),
        (says(200, b" " * LARGEST + b"{}"), "larger than"),
        (says(200, json.dumps({"keys": [rsa_jwk(kid=str(n)) for n in range(MOST_KEYS + 1)]}).encode()), "of more than 100"),
        (says(204), "HTTP 204"),
        (says(404, b'{"keys": []}'), "HTTP 404"),
        (hangs_up, "no answer"),
    ],
)
def test_an_answer_that_does_not_fit_is_not_kept(issuer: Issuer, clock: StillClock, answer: Any, reason: str) -> None:
    keys = keys_of(issuer, clock, jwks_url=f"{issuer.url}/keys")
    keys.warm()
    issuer.broken = answer
    clock.move(301)
    assert keys.key("rsa-1") is not None  # the old ones serve
    with pytest.raises(IssuerUnavailable, match=reason):
        keys.key("unknown")
    fresh = keys_of(issuer, clock, jwks_url=f"{issuer.url}/keys")
    with pytest.raises(IssuerUnavailable, match=reason):
        fresh.warm()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed(issuer: Issuer, clock: StillClock, status: int) -> None:
    issuer.broken = says(status, location=f"{issuer.url}/elsewhere")
    with pytest.raises(IssuerUnavailable, match=f"HTTP {status}"):
        keys_of(issuer, clock, jwks_url=f"{issuer.url}/keys").warm()
    assert issuer.fetches == ["/keys"]


def test_an_issuer_that_answers_too_slowly_is_given_up(issuer: Issuer, clock: StillClock) -> None:
    issuer.broken = issuer.service.is_silent
    with pytest.raises(IssuerUnavailable, match="Timeout"):
        keys_of(issuer, clock, seconds=0.5).warm()


def test_an_issuer_that_is_not_there_is_unavailable(clock: StillClock) -> None:
    with pytest.raises(IssuerUnavailable, match="ConnectError"):
        keys_of(f"http://127.0.0.1:{free_port()}", clock).warm()


def test_many_threads_that_need_keys_cause_one_fetch(issuer: Issuer, keys: IssuerKeys) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: keys.key("rsa-1"), range(64)))
    assert all(found)
    assert issuer.fetches == ["/keys"]


def waiting(issuer: Issuer) -> tuple[threading.Event, threading.Event]:
    """Let the issuer answer only when told: give what says that it was asked, and what lets it answer."""
    asked, go_on = threading.Event(), threading.Event()

    def waits(handler: BaseHTTPRequestHandler, request: Request) -> None:
        asked.set()
        go_on.wait(PATIENCE)
        says(200, json.dumps(issuer.jwks).encode())(handler, request)

    issuer.broken = waits
    return asked, go_on


def test_while_one_thread_fetches_the_others_go_on_with_what_is_held(issuer: Issuer, clock: StillClock) -> None:
    keys = IssuerKeys(a_profile(issuer), clock=clock)
    keys.warm()
    clock.move(301)
    asked, go_on = waiting(issuer)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(keys.key, "rsa-1")
        until(asked.is_set)
        assert keys.key("rsa-1") is not None
        assert not first.done()
        go_on.set()
        assert first.result(PATIENCE) is not None
    assert len(issuer.fetches) == 2


def test_who_needs_a_key_that_another_thread_is_fetching_waits_for_it(issuer: Issuer, clock: StillClock) -> None:
    keys = IssuerKeys(a_profile(issuer, jwks_url=f"{issuer.url}/keys"), clock=clock)
    asked, go_on = waiting(issuer)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(keys.key, "rsa-1")
        until(asked.is_set)
        second = pool.submit(keys.key, "ec-1")
        wait([second], timeout=0.2)
        go_on.set()
        assert first.result(PATIENCE) is not None
        assert second.result(PATIENCE) is not None
    assert issuer.fetches == ["/keys"]


class _SecureIssuer(HttpClient):
    """Stands in for an issuer behind TLS, for which there is no certificate here; it sends the gate to itself for keys."""

    def get(self, url: str, *, headers: Mapping[str, str] | None = None, limit: int = LARGEST) -> HttpAnswer:
        assert url == "https://id.example/.well-known/openid-configuration"
        return HttpAnswer(200, b'{"issuer": "https://id.example", "jwks_uri": "http://127.0.0.1:6379/"}')


def test_an_issuer_elsewhere_cannot_send_the_gate_to_its_own_machine(clock: StillClock) -> None:
    keys = IssuerKeys(a_profile("https://id.example"), clock=clock, client=_SecureIssuer(connect_timeout=1.0, read_timeout=1.0))
    with pytest.raises(IssuerUnavailable, match="not an https URL"):
        keys.warm()


def test_who_waits_too_long_for_another_threads_fetch_is_told_so(
    issuer: Issuer, keys: IssuerKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "WAIT_SECONDS", 0.05)
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(PATIENCE)

    monkeypatch.setattr(keys, "_fetch", slow)

    def ask() -> None:
        with pytest.raises(IssuerUnavailable):
            keys.key("rsa-1")

    first = threading.Thread(target=ask)
    first.start()
    assert begun.wait(PATIENCE)
    with pytest.raises(IssuerUnavailable, match="it has not answered yet"):
        keys.key("rsa-1")
    go_on.set()
    first.join(PATIENCE)
