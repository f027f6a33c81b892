"""Sentry, where a DSN is set: errors and traces with ids as tags, and never a token, body, cookie or header."""

from __future__ import annotations

from typing import Any

import sentry_sdk
from sentry_sdk.integrations.celery import CeleryIntegration
from sentry_sdk.integrations.flask import FlaskIntegration
from sentry_sdk.integrations.sqlalchemy import SqlalchemyIntegration
from sentry_sdk.scrubber import DEFAULT_DENYLIST, EventScrubber

from app.logs import mask
from app.settings import Settings

DENIED = [*DEFAULT_DENYLIST, "token", "signature", "payload", "body"]
DENIED += ["x-gogs-signature", "x-gitea-signature", "x-forgejo-signature", "x-hub-signature", "x-hub-signature-256"]


def start_sentry(settings: Settings) -> None:
    """Start Sentry for this process, if configured; once per process role, never at import."""
    if settings.sentry_dsn is None:
        return
    sentry_sdk.init(
        dsn=settings.sentry_dsn.get_secret_value(),
        environment=settings.sentry_environment,
        release=settings.release,
        max_request_body_size="never",
        include_local_variables=False,
        event_scrubber=EventScrubber(denylist=DENIED, recursive=True),
        before_send=_scrubbed,
        before_breadcrumb=_scrubbed,
        integrations=[FlaskIntegration(), CeleryIntegration(), SqlalchemyIntegration()],
    )


def _scrubbed(event: Any, _hint: Any) -> Any:
    """Mask what looks like a secret in any text of the event."""
    if isinstance(event, dict):
        return {key: _scrubbed(value, None) for key, value in event.items()}
    if isinstance(event, list):
        return [_scrubbed(value, None) for value in event]
    return mask(event) if isinstance(event, str) else event
