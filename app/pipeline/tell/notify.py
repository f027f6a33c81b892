"""Send due notices to sinks, each sink by itself. A notice is sent at least once, always under the same id.

The row is claimed in a committed transaction before the sink is called, and marked afterwards. After a crash between the two
the notice is sent again when the lease ends. A sink that is away is tried again in 5 s, then 10 s, and so on up to 5 minutes.
A notice that was not taken after a day is given up, with an audit entry.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from app.domain.audit import AuditAction
from app.domain.errors import GateError, SinkRefused, SinkUnavailable
from app.domain.event import GATE_ACCOUNT
from app.domain.notice import StoredNotice
from app.domain.text import plain_line
from app.integrations.sinks.protocol import LONGEST_TIMEOUT, Sink
from app.pipeline.ports.services import Services
from app.pipeline.ports.stores.unit import Unit

LEASE = timedelta(seconds=4 * LONGEST_TIMEOUT)
FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(minutes=5)
GIVEN_UP_AFTER = timedelta(hours=24)
MOST = 20  # notices of one sink in one round
LONGEST_FAULT = 300


@dataclass(slots=True)
class Round:
    """The result of one round at a sink. `fault` is the last one; `has_more`: more may be due now."""

    sent: int = 0
    given_up: int = 0
    has_more: bool = False
    fault: str | None = None


def due_sinks(services: Services) -> list[str]:
    """List the sinks that have due notices."""
    with services.store.reading() as unit:
        return unit.notices.due(services.clock.now())


def notify(services: Services, sink: str, *, is_stopping: Callable[[], bool] = lambda: False) -> Round:
    """Send a sink its due notices, until it is away or has taken `MOST`. Raises StoreUnavailable."""
    result = Round()
    for _ in range(MOST):
        claimed = None if is_stopping() else _claim(services, sink)
        if claimed is None:
            return result
        try:
            _sink(services, sink).emit(claimed.notice)
        except SinkRefused as fault:
            result.fault = _give_up(services, claimed, fault)
            result.given_up += 1
        except Exception as fault:
            result.fault = _postpone(services, claimed, fault)
            if not isinstance(fault, GateError):
                raise
            return result
        else:
            with services.store.unit() as unit:
                unit.notices.sent(claimed, services.clock.now())
            result.sent += 1
    result.has_more = True
    return result


def _claim(services: Services, sink: str) -> StoredNotice | None:
    now = services.clock.now()
    with services.store.unit() as unit:
        return unit.notices.claim(sink, now, now + LEASE)


def _sink(services: Services, name: str) -> Sink:
    """Make the sink. If it has left the configuration it counts as away: it may come back under its name within the day."""
    binding = services.guard().sinks.get(name)
    if binding is None:
        raise SinkUnavailable("no sink of this name is configured")
    return binding.sink()


def _postpone(services: Services, claimed: StoredNotice, fault: Exception) -> str:
    """Pause the sink for a while, and give the notice up if it is too old."""
    why, now = _reason(fault), services.clock.now()
    with services.store.unit() as unit:
        unit.notices.postpone(claimed, now + _pause(unit.notices.tries(claimed.sink)), why)
        if now - claimed.notice.at >= GIVEN_UP_AFTER:
            _end(services, unit, claimed, why)
    return why


def _give_up(services: Services, claimed: StoredNotice, fault: SinkRefused) -> str:
    why = _reason(fault)
    with services.store.unit() as unit:
        _end(services, unit, claimed, why)
    return why


def _end(services: Services, unit: Unit, claimed: StoredNotice, why: str) -> None:
    """Give up and audit it, once."""
    now, notice = services.clock.now(), claimed.notice
    if not unit.notices.give_up(claimed, now, why):
        return
    detail = {"sink": claimed.sink, "event": notice.event, "notice": notice.id, "tries": claimed.tries, "reason": why}
    entry = services.recorder.entry(AuditAction.NOTICE_UNDELIVERED, detail, about=notice, actor=GATE_ACCOUNT.key, at=now)
    unit.audit.append([entry])


def _pause(tries: int) -> timedelta:
    doublings = min(max(tries - 1, 0), 10)
    return min(FIRST_PAUSE * (1 << doublings), LONGEST_PAUSE)


def _reason(fault: Exception) -> str:
    reason = str(fault) if isinstance(fault, GateError) else f"an unexpected {type(fault).__name__}; the log tells more"
    return plain_line(reason, LONGEST_FAULT)
