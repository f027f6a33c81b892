"""Sentry, where a DSN is set: errors and traces with ids as tags, and never a token, body, cookie or header."""

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
from app.settings import Settings

DENIED = [*DEFAULT_DENYLIST, "token", "signature", "payload", "body"]
DENIED += ["x-gogs-signature", "x-gitea-signature", "x-forgejo-signature", "x-hub-signature", "x-hub-signature-256"]
DENIED += ["authorization", "cf-access-jwt-assertion", "x-csrf-token", "referer"]  # a referrer may be a callback with its code


_SIGNATURE = re.compile(r"\b(?:[0-9a-f]{64}|sha1=[0-9a-f]{40})\b", re.IGNORECASE)
_SHORTEST = 6  # a shorter value would also be found where it means nothing
_secrets: set[str] = set()


def never_send(secret: bytes) -> None:
    """Mask this very value in all that is sent from now on: a webhook secret or a password has no shape to know it by."""
    text = secret.decode(errors="replace")
    if len(text) >= _SHORTEST:
        _secrets.add(text)


def start_sentry(settings: Settings) -> None:
    """Start Sentry for this process, if configured; once per process role, never at import."""
    if settings.sentry_dsn is None:
        return
    for url in (settings.database_url, settings.owner_database_url, settings.redis_url):
        never_send((urlsplit(url.get_secret_value()).password or "").encode() if url is not None else b"")
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.sentry_environment,
        release=settings.release,
        max_request_body_size="never",
        include_local_variables=False,
        event_scrubber=EventScrubber(denylist=DENIED, recursive=True),
        before_send=_sent,
        before_breadcrumb=_scrubbed,
        integrations=[FlaskIntegration(), CeleryIntegration(), SqlalchemyIntegration()],
    )


def _sent(event: Any, hint: Any) -> Any:
    """Leave out what of a request proves who sent it: the query of a sign-in's callback holds its code and state."""
    request = event.get("request", {})
    kept = {name: value for name, value in request.items() if name not in ("query_string", "cookies")}
    return _scrubbed(event | ({"request": kept} if kept else {}), hint)


def _scrubbed(event: Any, _hint: Any) -> Any:
    """Mask what is known to be a secret or looks like one in any text of the event."""
    if isinstance(event, dict):
        return {key: _scrubbed(value, None) for key, value in event.items()}
    if isinstance(event, list):
        return [_scrubbed(value, None) for value in event]
    return _masked(event) if isinstance(event, str) else event


def _masked(text: str) -> str:
    for secret in tuple(_secrets):
        text = text.replace(secret, MASK)
    return _SIGNATURE.sub(MASK, mask(text))
