"""Freezes for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from app.domain.freeze import Freeze

BERLIN, NEW_YORK, LORD_HOWE = "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"


def utc(text: str) -> datetime:
    """Read an instant."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def frozen_from(
    start: str,
    hours: float,
    rule: str | None = None,
    *,
    zone: str = BERLIN,
    until: str | None = None,
    name: str = "quiet",
    environment: str | None = "production",
) -> Freeze:
    """Make a freeze that starts at a time on the wall."""
    starts_at = datetime.fromisoformat(start)
    last = starts_at if rule is None else datetime.fromisoformat(until) if until else None
    return Freeze(
        id="0190aaaa-1111-7222-8333-444444aaaaaa",
        name=name,
        environment=environment,
        reason="nobody is in",
        time_zone=zone,
        starts_at=starts_at,
        lasts=timedelta(hours=hours),
        rule=rule,
        until=last,
        added_by="os:root",
        added_at=utc("2026-01-01"),
    )
