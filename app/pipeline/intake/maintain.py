"""The upkeep of the mirrors: beat asks for it each hour, and each mirror is due once a day. Nothing waits for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from app.domain.errors import GateError, StoreUnavailable
from app.integrations.repositories.protocol import Upkeep
from app.pipeline.ports.services import Services


@dataclass(frozen=True, slots=True)
class Maintained:
    """The result of one mirror's upkeep; None with the fault that kept it from being done."""

    repository: str
    upkeep: Upkeep | None
    fault: GateError | None = None


def maintain(services: Services, is_stopping: Callable[[], bool] = lambda: False) -> Iterator[Maintained]:
    """Do the upkeep of each mirror that is due, one after the other. Raises StoreUnavailable.

    A mirror that cannot be maintained now works on as it is.
    """
    guard = services.guard()
    with services.store.reading() as unit:
        repositories = unit.deliveries.repositories()
    for repository in repositories:
        if is_stopping():
            return
        if repository.partition(":")[0] in guard.forges:
            yield _maintain(services, repository)


def _maintain(services: Services, repository: str) -> Maintained:
    def keep() -> list[str]:
        with services.store.reading() as unit:
            return unit.deliveries.commits(repository)

    try:
        return Maintained(repository, services.guard().repositories.maintain(repository, services.clock.now(), keep))
    except StoreUnavailable:
        raise
    except GateError as fault:
        return Maintained(repository, None, fault)
