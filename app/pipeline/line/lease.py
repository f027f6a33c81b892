"""Keep a dispatch's lease while its target is being started, however long that takes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from app.domain.deployment import Dispatch
from app.domain.errors import StoreUnavailable
from app.pipeline.ports.services import Services


@contextmanager
def keep_alive(services: Services, dispatch: Dispatch) -> Iterator[None]:
    """Renew the lease three times per term until the block ends.

    A worker that dies or is stopped no longer renews, and another takes over after one term. The target's own lock and
    key, not the lease, keep a resumed worker from starting a second time.
    """
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(services.limits.lease / 3):
            try:
                with services.store.unit() as unit:
                    if not unit.dispatches.renew(dispatch, services.limits.lease):
                        return
            except StoreUnavailable:
                continue  # the database is away, also for every worker that might take over

    thread = threading.Thread(target=renew, name=f"lease-{dispatch.id}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
