"""Receiving on a real Postgres: the row is there before the wake, and nothing unproven gets in (invariants 1 and 7)."""

from __future__ import annotations

import hmac
import json
import queue
from dataclasses import replace

import pytest

from app.domain.delivery import Receipt
from app.domain.errors import BadSignature, UnknownForge
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import UnverifiedDelivery
from app.pipeline.intake.receive import receive
from app.pipeline.ports.services import ForgeBinding, Services
from app.store.reads import Reads
from tests.pipeline.conftest import Line, sha

SECRET = b"a secret of the test"


def services_with(line: Line, *secrets: bytes) -> Services:
    """Configure a forge that verifies by these secrets."""
    guard = replace(line.services.guard(), forges={"gogs": ForgeBinding(Gogs(), lambda: list(secrets))})
    return replace(line.services, guard=lambda: guard)


def signed(forge: str = "gogs", secret: bytes = SECRET) -> UnverifiedDelivery:
    """Make a push as Gogs signs it."""
    user = {"id": 2, "login": "alice", "username": "alice"}
    owner = {"id": 7, "login": "acme", "username": "acme"}
    repository = {"id": 1, "owner": owner, "name": "shop", "full_name": "acme/shop"}
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha("one"), "repository": repository, "sender": user}
    body = json.dumps(push).encode()
    headers = {
        "content-type": "application/json",
        "x-gogs-delivery": "d1",
        "x-gogs-event": "push",
        "x-gogs-signature": hmac.digest(secret, body, "sha256").hex(),
    }
    return UnverifiedDelivery(forge, headers, body)


def received(services: Services, unverified: UnverifiedDelivery) -> Receipt:
    return receive(services, unverified, services.ids.new()).result(timeout=30)


def test_invariant_1_the_row_is_committed_before_the_wake_is_sent(line: Line) -> None:
    found: queue.Queue[str] = queue.Queue()

    def plan(delivery_id: str) -> None:
        found.put(Reads(line.engine).delivery(delivery_id).id)  # over a connection of its own

    line.wakes.plan = plan  # type: ignore[method-assign]
    receipt = received(services_with(line, SECRET), signed())
    assert found.get(timeout=30) == receipt.delivery_id


def test_a_duplicate_wakes_nobody(line: Line) -> None:
    services = services_with(line, SECRET)
    first, second = received(services, signed()), received(services, signed())
    assert (second.delivery_id, second.is_duplicate) == (first.delivery_id, True)
    assert line.wakes.plans == [first.delivery_id]


def test_an_older_secret_verifies_until_it_is_removed(line: Line) -> None:
    received(services_with(line, b"newest", SECRET), signed())
    with pytest.raises(BadSignature):
        receive(services_with(line, b"newest"), signed(), line.services.ids.new())


@pytest.mark.parametrize("secrets", [(), (b"",)], ids=["none", "an empty one"])
def test_invariant_7_without_a_secret_nothing_is_taken(line: Line, secrets: tuple[bytes, ...]) -> None:
    with pytest.raises(BadSignature):
        receive(services_with(line, *secrets), signed(secret=b""), line.services.ids.new())
    assert Reads(line.engine).deliveries(10) == []


def test_invariant_7_an_unknown_forge_takes_nothing(line: Line) -> None:
    with pytest.raises(UnknownForge):
        receive(services_with(line, SECRET), signed("elsewhere"), line.services.ids.new())
    assert Reads(line.engine).deliveries(10) == []
