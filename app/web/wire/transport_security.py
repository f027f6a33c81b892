"""HTTP Strict Transport Security (RFC 6797), if `TIDEGATE_HSTS` says for how long; sent over HTTPS only (§7.2)."""

from __future__ import annotations

from flask import Flask, Request, Response, request

from app.settings import Settings

HEADER = "Strict-Transport-Security"


def add_hsts(app: Flask, settings: Settings) -> None:
    """Have browsers come by HTTPS only, for the seconds that are set. Only the gate's own host is meant, no subdomain."""
    if not settings.hsts or settings.public_url.scheme != "https":
        return
    value = f"max-age={settings.hsts}"

    @app.after_request
    def add(response: Response) -> Response:
        if _is_https(request):
            response.headers[HEADER] = value
        return response


def _is_https(asked: Request) -> bool:
    """Tell whether the browser came by HTTPS: the public URL does, unless the proxy says that this request did not."""
    return asked.headers.get("X-Forwarded-Proto", "https").rpartition(",")[2].strip().lower() == "https"
