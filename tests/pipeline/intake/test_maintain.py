"""The upkeep of mirrors keeps what the database may ask for again, on a real Postgres."""

from __future__ import annotations

from dataclasses import replace

import pytest

from app.domain.delivery import Delivery, DeliveryState
from app.domain.errors import RepositoryUnavailable
from app.domain.event import Event, EventKind
from app.integrations.repositories.protocol import Upkeep
from app.pipeline.intake.maintain import Maintained, maintain
from app.pipeline.ports.services import ForgeBinding, Guard
from tests.pipeline.conftest import ALICE, BOB, REPOSITORY, Line, sha

MAIN = "refs/heads/main"


@pytest.fixture
def kept(line: Line) -> Line:
    """The line, with a forge of the name `gogs`."""
    bare = line.services.guard

    def guard() -> Guard:
        return replace(bare(), forges={"gogs": ForgeBinding(None, list)})  # type: ignore[arg-type] # nobody asks it

    line.services = replace(line.services, guard=guard)
    return line


def test_commits_of_releases_of_what_waits_and_of_pending_deliveries_are_kept(kept: Line) -> None:
    kept.repositories.heads[MAIN] = [sha("base"), sha("released")]
    [released] = kept.deliver(Event(EventKind.PUSH, REPOSITORY, MAIN, sha("base"), sha("released"), ALICE))
    assert kept.run(released).state == "succeeded"
    kept.run(kept.push("denied", actor=BOB))
    kept.push("waits")
    spelled = replace(REPOSITORY, full_name="Acme/Shop")  # the forge spells it as its owner does now
    event = Event(EventKind.PUSH, spelled, MAIN, None, sha("pending"), ALICE)
    new_id = kept.services.ids.new()
    delivery = Delivery(new_id, "gogs", new_id, "push", b"{}", event, None, kept.clock.now(), DeliveryState.PENDING)
    kept.services.inbox.put(delivery).result(timeout=30)
    assert [(done.repository, done.upkeep) for done in maintain(kept.services)] == [("gogs:acme/shop", Upkeep.DONE)]
    names = ("base", "released", "denied", "waits", "pending")
    assert set(kept.repositories.kept["gogs:acme/shop"]) == {sha(name) for name in names}


def test_a_mirror_that_cannot_be_maintained_keeps_no_other_from_it(kept: Line) -> None:
    kept.push("one")
    kept.deliver(Event(EventKind.PUSH, replace(REPOSITORY, id=2, full_name="acme/zoo"), MAIN, None, sha("zoo"), ALICE))
    kept.repositories.fault = RepositoryUnavailable("away")
    results = list(maintain(kept.services))
    assert results and all(isinstance(r, Maintained) and r.upkeep is None and str(r.fault) == "away" for r in results)


def test_nothing_is_begun_by_a_worker_that_stops_nor_at_a_forge_that_is_configured_no_longer(kept: Line, line: Line) -> None:
    kept.push("one")
    assert list(maintain(kept.services, lambda: True)) == []
    gone = replace(kept.services, guard=lambda: replace(kept.services.guard(), forges={}))
    assert list(maintain(gone)) == [] and kept.repositories.kept == {}
