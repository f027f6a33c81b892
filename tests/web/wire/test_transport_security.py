"""HSTS is sent if it is set, over HTTPS only, and on every kind of answer."""

from __future__ import annotations

import pytest
from flask import Flask

from app.settings import load_settings
from app.web.wire.transport_security import HEADER, add_hsts

SERVERS = {"TIDEGATE_DATABASE_URL": "postgresql://x@127.0.0.1:1/none", "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
HTTPS = "https://gate.example"


def sent(path: str = "/", proto: str | None = None, **settings: str) -> str | None:
    app = Flask(__name__)
    app.add_url_rule("/", view_func=lambda: "ok")
    add_hsts(app, load_settings(SERVERS | {f"TIDEGATE_{name}": value for name, value in settings.items()}))
    headers = {} if proto is None else {"X-Forwarded-Proto": proto}
    return app.test_client().get(path, headers=headers).headers.get(HEADER)


@pytest.mark.parametrize("path", ["/", "/nowhere"])
@pytest.mark.parametrize("proto", [None, "https", "HTTPS", "http, https"])
def test_it_is_sent_over_https(path: str, proto: str | None) -> None:
    assert sent(path, proto, HSTS="31536000", PUBLIC_URL=HTTPS) == "max-age=31536000"


@pytest.mark.parametrize("proto", ["http", "https, http", ""])
def test_it_is_not_sent_where_the_proxy_says_http(proto: str) -> None:
    assert sent("/", proto, HSTS="31536000", PUBLIC_URL=HTTPS) is None


def test_it_is_not_sent_unless_it_is_set_nor_if_people_come_by_http() -> None:
    assert sent(PUBLIC_URL=HTTPS) is None
    assert sent(HSTS="31536000", PUBLIC_URL="http://gate.example") is None
