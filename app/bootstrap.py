"""Put a process together: settings and tidegate.toml in, services out. Only this file knows every room."""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from celery import Celery
from sqlalchemy import Engine

from app.config.load import Configuration
from app.domain.audit import AuditAction, AuditEntry
from app.domain.clock import Clock
from app.domain.delivery import Delivery
from app.domain.deployment import Stage
from app.domain.errors import BadConfiguration, GateError
from app.guard.load import Memory, load_guard
from app.guard.source import GuardSource, at_once
from app.integrations.http import HealthProbe, HttpClient
from app.integrations.inspection.inspector import ContentInspector
from app.integrations.repositories.turns import MANY
from app.integrations.system import SystemClock, SystemIds
from app.integrations.tokens.endorsement import EndorsementCheck, Endorser
from app.integrations.tokens.issuer import Issuer
from app.keyring import Keyring, PublishedKeys
from app.pipeline.people.serve_scim import ScimWriter
from app.pipeline.ports.limit import DeliveryLimits
from app.pipeline.ports.record import Recorder
from app.pipeline.ports.services import Guard, Limits, Services
from app.settings import Settings
from app.store.engine import make_engine
from app.store.inbox.inbox import SqlInbox
from app.store.inbox.spool import Spool
from app.store.queue.consumers import consumers
from app.store.queue.wakes import CeleryWakes, make_celery
from app.store.reads import Reads
from app.store.signing_keys import SqlSigningKeys
from app.store.unit import SqlStore

if TYPE_CHECKING:
    from scim2_models import ScimProvider
    from scim2_server.storage import ScimStorage

HEALTH_TIMEOUT = 5.0
# New objects until the young are collected, such collections until a middle one, middle ones until a full one.
GARBAGE = (20_000, 20, 50)


@dataclass
class Process:
    """The parts that one process of Tidegate (receiver, worker, command line) works with."""

    settings: Settings
    engine: Engine
    celery: Celery
    clock: Clock = field(default_factory=SystemClock)
    ids: SystemIds = field(default_factory=SystemIds)
    aside: Callable[[Callable[[], None]], None] = at_once
    queues_read: Callable[[], Collection[str]] | None = None  # the queues that workers read now, for readiness
    threads: int = MANY

    @cached_property
    def reads(self) -> Reads:
        """Read-only queries for people and probes."""
        return Reads(self.engine)

    @cached_property
    def store(self) -> SqlStore:
        """The database, as the pipeline's steps use it."""
        return SqlStore(self.engine)

    @cached_property
    def spool(self) -> Spool | None:
        """The folder where deliveries wait on disk while the database is away, or None."""
        limit = self.settings.spool_bytes
        return Spool(self.settings.state_dir / "spool", limit) if limit else None

    @cached_property
    def inbox(self) -> SqlInbox:
        """The store of received deliveries."""
        return SqlInbox(self.engine, self._delivery_entry, self.spool)

    @cached_property
    def recorder(self) -> Recorder:
        """The maker of audit entries."""
        return Recorder(self.clock, self.ids)

    @cached_property
    def keyring(self) -> Keyring:
        """The keys that sign tokens; raises BadConfiguration in a process that was not given the master key."""
        return Keyring(SqlSigningKeys(self.engine), self.settings.master_key_bytes(), self.recorder, self.clock)

    @cached_property
    def published_keys(self) -> PublishedKeys:
        """The keys that verifiers fetch; raises BadConfiguration if nothing is set by which to check them."""
        return PublishedKeys(SqlSigningKeys(self.engine), EndorsementCheck(keyset_key(self.settings)), self.clock)

    @cached_property
    def services(self) -> Services:
        """The services that the pipeline's steps may use."""
        settings, store = self.settings, self.store
        return Services(
            clock=self.clock,
            ids=self.ids,
            store=store,
            inbox=self.inbox,
            wakes=CeleryWakes(self.celery, self._may_block, settings.queue_limit),
            guard=GuardSource(settings, store, self.clock, self.ids, aside=self.aside, threads=self.threads),
            tokens=Issuer(str(settings.public_url).rstrip("/"), lambda: self.keyring.current(), self.clock, self.ids),
            health=HealthProbe(HttpClient(connect_timeout=HEALTH_TIMEOUT, read_timeout=HEALTH_TIMEOUT)),
            limits=Limits(
                sweep_after=settings.sweep_after,
                poll_every=settings.poll_every,
                lease=settings.lease_seconds,
                dispatch_attempts=settings.dispatch_attempts,
                keep_trying=settings.keep_trying_for,
                keep_bodies=settings.keep_bodies,
                window=settings.window,
            ),
            inspector=ContentInspector(),
            public_url=str(settings.public_url).rstrip("/"),
            holder=f"{socket.gethostname()}:{os.getpid()}",
            delivery_limits=DeliveryLimits.of(settings.delivery_rate, settings.delivery_burst),
        )

    def scim_storages(self, provider: ScimProvider) -> Callable[[ScimWriter], ScimStorage]:
        """Return a factory of the storage that serves one request of a SCIM client.

        Only the receiver calls this. The SCIM library is loaded only then, because that takes a second.
        """
        from app.store.scim.resources import Desk, SqlScim

        def storage_of(writer: ScimWriter) -> ScimStorage:
            desk = Desk(self.store.unit, writer.open, writer.record, clock=self.clock, ids=self.ids, provider=provider)
            return SqlScim(writer.source, desk)

        return storage_of

    def _may_block(self, environment: str, stage: Stage) -> bool:
        """Tell whether this stage may wait long for others. A stage of an environment that was removed does not."""
        try:
            configured = self.services.guard().environment(environment)
        except GateError:
            return False
        return configured is not None and configured.may_block(stage)

    def _delivery_entry(self, delivery: Delivery) -> AuditEntry:
        action = AuditAction.DELIVERY_RECEIVED if delivery.event else AuditAction.DELIVERY_IGNORED
        detail = {"forge": delivery.forge, "forge_delivery_id": delivery.forge_delivery_id}
        if delivery.reason:
            detail["reason"] = delivery.reason
        return self.recorder.entry(action, detail, about=delivery, at=delivery.received_at)


def build(
    settings: Settings,
    *,
    celery: Celery | None = None,
    pool_size: int = 10,
    aside: Callable[[Callable[[], None]], None] = at_once,
    threads: int = MANY,
) -> Process:
    """Put a process together; connects to nothing yet. `aside` runs work that may not hold up a request (`guard/source.py`).

    `threads`: how many the process has for its work.
    """
    engine = make_engine(settings.database_url.get_secret_value(), pool_size=pool_size)
    broker = celery or make_celery(settings.redis_url.get_secret_value())
    return Process(settings, engine, broker, aside=aside, threads=threads, queues_read=lambda: consumers(broker))


def keyset_key(settings: Settings) -> str:
    """Return the key that published keys are checked by; raises BadConfiguration if neither it nor the master key is set."""
    if settings.keyset_key is None and settings.master_key is None:
        raise BadConfiguration(["TIDEGATE_KEYSET_KEY: is not set; set it to what `tidegate config keyset-key` prints"])
    return settings.keyset_key or endorsing_key(settings)


def endorsing_key(settings: Settings) -> str:
    """Return the public half of the key that endorses published keys; raises BadConfiguration without the master key."""
    return Endorser(settings.master_key_bytes()).public


def check_rules(settings: Settings) -> tuple[Configuration, Guard]:
    """Load the rules as a process would, and connect to nothing; raises BadConfiguration with every fault and slip."""
    store = SqlStore(make_engine(settings.database_url.get_secret_value(), pool_size=1))
    configuration, guard = load_guard(settings, SystemClock(), Memory(store, SystemIds()))
    if guard.slips:
        raise BadConfiguration([str(slip) for slip in guard.slips])
    return configuration, guard


def freeze_loaded() -> None:
    """Hide the objects loaded so far from the garbage collector, when a process is about to begin its work.

    Some hundred thousand objects live as long as the process. To scan them again and again took a sixth of a worker's time,
    and 90 ms in which no delivery was answered (docs.python.org, gc.freeze).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE)
