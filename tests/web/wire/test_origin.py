"""Where a request comes from: headers are believed of the trusted edge and of nobody else."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine
from werkzeug.datastructures import Headers

from app.domain.errors import BadConfiguration
from app.settings import load_settings
from app.web.wire.origin import Origin, origin_of
from tests.integrations.targets.cast import serving
from tests.oidc.cast import Provider
from tests.web.gate import NOWHERE, Browser, a_gate

EDGE = {"TIDEGATE_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8, 127.0.0.1", "TIDEGATE_COUNTRY_HEADER": "CF-IPCountry"}
BOTH = {"X-Forwarded-For": "203.0.113.7", "CF-IPCountry": "DE"}


def settings(**env: str) -> object:
    needed = {"TIDEGATE_DATABASE_URL": "postgresql://x", "TIDEGATE_REDIS_URL": NOWHERE}
    return load_settings(needed | env)


@pytest.mark.parametrize(
    ("peer", "headers", "env", "place"),
    [
        ("198.51.100.1", {}, {}, Origin("198.51.100.1", "")),
        ("198.51.100.1", BOTH, {}, Origin("198.51.100.1", "")),
        ("198.51.100.1", BOTH, EDGE, Origin("198.51.100.1", "")),
        ("127.0.0.1", BOTH, {}, Origin("127.0.0.1", "")),
        ("10.1.2.3", BOTH, EDGE, Origin("203.0.113.7", "DE")),
        ("[fd00::1]", BOTH, EDGE, Origin("203.0.113.7", "DE")),
        ("::ffff:10.1.2.3", BOTH, EDGE, Origin("203.0.113.7", "DE")),
        ("10.1.2.3", {}, EDGE, Origin("10.1.2.3", "")),
        ("10.1.2.3", {"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.9.9.9"}, EDGE, Origin("203.0.113.7", "")),
        ("10.1.2.3", {"X-Forwarded-For": "203.0.113.7, garbage"}, EDGE, Origin("10.1.2.3", "")),
        ("10.1.2.3", {"X-Forwarded-For": "10.7.7.7"}, EDGE, Origin("10.1.2.3", "")),
        ("10.1.2.3", {"X-Forwarded-For": "2001:db8::1"}, EDGE, Origin("2001:db8::1", "")),
        ("10.1.2.3", {"CF-IPCountry": "XX"}, EDGE, Origin("10.1.2.3", "")),
        ("10.1.2.3", {"CF-IPCountry": "T1"}, EDGE, Origin("10.1.2.3", "T1")),
        ("10.1.2.3", {"CF-IPCountry": "DE, FR"}, EDGE, Origin("10.1.2.3", "")),
        ("10.1.2.3", {"CF-IPCountry": "de"}, EDGE, Origin("10.1.2.3", "")),
        (
            "10.1.2.3",
            {"Cf-Connecting-Ip": "203.0.113.9"},
            EDGE | {"TIDEGATE_ADDRESS_HEADER": "CF-Connecting-IP"},
            Origin("203.0.113.9", ""),
        ),
        ("10.1.2.3", BOTH, EDGE | {"TIDEGATE_ADDRESS_HEADER": ""}, Origin("10.1.2.3", "DE")),
        ("garbage", BOTH, EDGE, Origin("", "")),
    ],
)
def test_headers_count_from_the_edge_only(peer: str, headers: dict[str, str], env: dict[str, str], place: Origin) -> None:
    assert origin_of(peer, Headers(headers), settings(**env)) == place  # type: ignore[arg-type]


@pytest.mark.parametrize("text", ["all", "*", "10.0.0.1/8", "10.0.0.0/8;fd00::/8", "localhost"])
def test_what_is_no_network_is_a_fault(text: str) -> None:
    with pytest.raises(BadConfiguration, match="TIDEGATE_TRUSTED_PROXIES"):
        settings(TIDEGATE_TRUSTED_PROXIES=text)


@pytest.mark.parametrize(("proxies", "place"), [("", ("127.0.0.1", "")), ("127.0.0.1/32", ("203.0.113.7", "DE"))])
def test_a_session_knows_where_it_was_begun(
    engine: Engine, tmp_path: object, provider: Provider, gate_port: int, proxies: str, place: tuple[str, str]
) -> None:
    env = {"TRUSTED_PROXIES": proxies, "COUNTRY_HEADER": "CF-IPCountry"}
    with serving() as forge, a_gate(engine, tmp_path, provider, forge, port=gate_port, **env) as gate:  # type: ignore[arg-type]
        browser = Browser(gate, **BOTH)
        browser.sign_in()
        assert gate.rows("SELECT address, country FROM sessions") == [place]
        assert (gate.audit("session:started")[0]["detail"]["address"]) == place[0]
