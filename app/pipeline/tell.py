"""Write down, in the transaction of a step, what sinks are to be told; they are told after it (`notify.py`)."""

from __future__ import annotations

from app.domain.notice import Notice
from app.pipeline.services import Guard, Services
from app.pipeline.stores import Unit


def tell(services: Services, unit: Unit, notice: Notice, *, guard: Guard, environment: str | None) -> None:
    """Keep the notice for each sink that wants to know; call `services.wakes.notify()` after the commit."""
    sinks = [name for name, binding in guard.sinks.items() if binding.wants(notice.event, environment)]
    unit.notices.add(notice, sinks, services.clock.now())
