"""Sentry, if a DSN is set: errors and traces with ids as tags, and never a token, body, cookie or header."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

from app.logs import MASK, mask
from app.settings import Transport

DENIED = [*DEFAULT_DENYLIST, "token", "signature", "payload", "body"]
DENIED += ["x-gogs-signature", "x-gitea-signature", "x-forgejo-signature", "x-hub-signature", "x-hub-signature-256"]
DENIED += ["authorization", "cf-access-jwt-assertion", "x-csrf-token", "referer"]  # a referrer may be a callback with its code


_SIGNATURE = re.compile(r"\b(?:[0-9a-f]{64}|sha1=[0-9a-f]{40})\b", re.IGNORECASE)
_SHORTEST = 6  # a shorter value would also occur in harmless text
_secrets: set[str] = set()


def never_send(secret: bytes) -> None:
    """Mask this exact value in everything sent from now on: a webhook secret or a password has no recognizable form."""
    text = secret.decode(errors="replace")
    if len(text) >= _SHORTEST:
        _secrets.add(text)


def start_sentry(settings: Transport) -> None:
    """Start Sentry for this process, if configured; once per process role, never at import."""
    if settings.sentry_dsn is None:
        return
    for url in settings.server_urls():
        never_send((urlsplit(url.get_secret_value()).password or "").encode())
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.sentry_environment,
        release=settings.release,
        max_request_body_size="never",
        include_local_variables=False,
        event_scrubber=EventScrubber(denylist=DENIED, recursive=True),
        before_send=_without_request_secrets,
        before_breadcrumb=_scrub,
        integrations=[FlaskIntegration(), CeleryIntegration(), SqlalchemyIntegration()],
    )


def _without_request_secrets(event: Any, hint: Any) -> Any:
    """Leave out the parts of a request that prove its sender: the query of a sign-in's callback holds its code and state."""
    request = event.get("request", {})
    harmless = {name: value for name, value in request.items() if name not in ("query_string", "cookies")}
    return _scrub(event | ({"request": harmless} if harmless else {}), hint)


def _scrub(event: Any, _hint: Any) -> Any:
    """Mask known secrets, and everything that looks like a secret, in every text of the event."""
    if isinstance(event, dict):
        return {key: _scrub(value, None) for key, value in event.items()}
    if isinstance(event, list):
        return [_scrub(value, None) for value in event]
    return _mask_text(event) if isinstance(event, str) else event


def _mask_text(text: str) -> str:
    for secret in tuple(_secrets):
        text = text.replace(secret, MASK)
    return _SIGNATURE.sub(MASK, mask(text))
