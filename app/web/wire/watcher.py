"""Who may see the gate's inside (`/metrics`, the checks of `/readyz`): the machine itself, or a bearer of the metrics token.

A proxy on the same machine connects from the loopback, too. It is told by the headers that proxies add, or by the name that
was asked for; one that adds nothing and asks for 127.0.0.1 cannot be told, so it must hold these pages back itself.
"""

from __future__ import annotations

import hmac
from ipaddress import ip_address

from flask import Request

from app.domain.errors import BadToken, Forbidden
from app.settings import Settings

_ADDED_BY_PROXIES = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via", "CF-Ray")


class Watchers:
    """Tells watchers from strangers. With a token set, the token alone counts, from this machine, too."""

    def __init__(self, settings: Settings) -> None:
        self._token = settings.metrics_token_bytes()
        self._headers = (*_ADDED_BY_PROXIES, settings.address_header or "Forwarded")

    def include(self, request: Request) -> bool:
        """Tell whether the request is a watcher's."""
        if self._token is None:
            return self._is_from_here(request)
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        return scheme.lower() == "bearer" and hmac.compare_digest(given.strip().encode(), self._token)

    def check(self, request: Request) -> None:
        """Refuse a stranger; raises BadToken or Forbidden."""
        if self.include(request):
            return
        if self._token is not None:
            raise BadToken("send the value of TIDEGATE_METRICS_TOKEN as a bearer token")
        raise Forbidden("this page is shown on the gate's own machine only; others need TIDEGATE_METRICS_TOKEN to be set")

    def _is_from_here(self, request: Request) -> bool:
        host = request.host.rpartition(":")[0] if request.host[-1:].isdigit() and ":" in request.host else request.host
        is_proxied = any(name in request.headers for name in self._headers)
        return not is_proxied and _is_loopback(request.remote_addr or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(text: str) -> bool:
    try:
        address = ip_address(text.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)  # an IPv4 address, on a socket of both kinds
    return bool((mapped or address).is_loopback)
