"""What the front makes of a request: one environment that means one thing, or a fault in it."""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.test import run_wsgi_app

from app.domain.errors import BadDelivery, GateError, UnsupportedContent
from app.web.wire.request import FAULT, announced_length, environ_of, sender_of
from tests.web.gate import Gate


@dataclass
class Items:
    """Headers as the server hands them over."""

    listed: list[tuple[str, str]]

    def items(self) -> list[tuple[str, str]]:
        return self.listed


@dataclass
class Asked:
    """A request as the server hands it over."""

    headers: Items
    method: str = "POST"
    path: str = "/hooks/gogs"
    query_string: str = ""
    http_version: str = "1.1"
    server: str = "127.0.0.1:8300"
    client: str = "192.0.2.7:40000"
    scheme: str = "http"
    proto: str = field(default="http")


def asked(*headers: tuple[str, str]) -> Asked:
    return Asked(Items(list(headers)))


@pytest.mark.parametrize(
    ("headers", "fault"),
    [
        ([("x-gogs-signature", "a"), ("x-gogs-signature", "a")], BadDelivery),
        ([("x-hub-signature-256", "a"), ("x-hub-signature-256", "b")], BadDelivery),
        ([("content-type", "a"), ("content-type", "b")], BadDelivery),
        ([("content-length", "3"), ("transfer-encoding", "chunked")], BadDelivery),
        ([("transfer-encoding", "gzip, chunked")], BadDelivery),
        ([("content-encoding", "gzip")], UnsupportedContent),
    ],
)
def test_what_says_two_things_has_a_fault(headers: list[tuple[str, str]], fault: type[GateError]) -> None:
    assert type(environ_of(asked(*headers))[FAULT]) is fault


def test_what_says_one_thing_has_none() -> None:
    environ = environ_of(
        asked(("accept", "a"), ("accept", "b"), ("transfer-encoding", "Chunked"), ("content-encoding", "identity"))
    )
    assert FAULT not in environ and environ["HTTP_ACCEPT"] == "a, b"
    assert announced_length(environ) is None
    assert announced_length(environ_of(asked(("content-length", "12")))) == 12
    assert announced_length(environ_of(asked())) == 0


@given(st.lists(st.tuples(st.text("abcx-_", min_size=1, max_size=6), st.text(max_size=5)), max_size=8))
def test_no_two_names_become_one(headers: list[tuple[str, str]]) -> None:
    environ = environ_of(asked(*headers))
    hyphened = {name for name, _ in headers if "_" not in name}
    assert {key for key in environ if key.startswith("HTTP_")} == {"HTTP_" + n.upper().replace("-", "_") for n in hyphened}


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("[2001:db8::1]", "[2001:db8::ffff]", True),
        ("[2001:db8::1]", "[2001:db8:0:1::1]", False),
        ("[fe80::1%eth0]", "[fe80::2%eth0]", True),
    ],
)
def test_an_ipv6_network_is_one_sender(one: str, other: str, same: bool) -> None:
    assert (sender_of(one) == sender_of(other)) is same


PATHS = ("/hooks/gogs", "/login", "/login/corp", "/login/corp/callback", "/logout", "/account", "/account/links", "/api/v1/me")
COOKIES = st.text(st.characters(max_codepoint=255), max_size=50)
GARBAGE = st.one_of(st.text(max_size=60), st.text("&=%;+€é\x00", max_size=30).map(lambda text: f"next={text}&state={text}"))


def status(gate: Gate, method: str, path: str, query: str, **headers: str) -> int:
    """Hand the app a request as the front would."""
    scope = asked(("content-length", "0"), *headers.items())
    scope.method, scope.path, scope.query_string = method, path, query
    _, said, _ = run_wsgi_app(gate.app, environ_of(scope) | {"wsgi.input": BytesIO()})
    return int(said[:3])


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", "/hooks/gogs", "x=€"),
        ("GET", "/login", "next=€"),
        ("GET", "/login", "next=é"),
        ("GET", "/login/corp", "next=é"),
        ("GET", "/login/corp/callback", "state=€&code=\x00"),
    ],
)
def test_a_query_that_is_no_ascii_is_read_as_utf8(gate: Gate, method: str, path: str, query: str) -> None:
    assert status(gate, method, path, query) < 500


def test_no_query_and_no_cookie_makes_an_error_that_nobody_foresaw(gate: Gate) -> None:
    @settings(max_examples=150, deadline=None)
    @given(
        st.sampled_from(("GET", "POST")), st.sampled_from(PATHS), GARBAGE, st.text(st.characters(max_codepoint=255), max_size=50)
    )
    def ask(method: str, path: str, query: str, cookie: str) -> None:
        assert status(gate, method, path, query, cookie=f"tidegate={cookie}") != 500

    ask()
