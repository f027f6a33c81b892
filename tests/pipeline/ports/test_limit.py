"""Rate limits of verified deliveries: the noisy one is refused, nobody else, and what is refused leaves nothing."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace

import pytest

from app.domain.errors import BadSignature, RateLimited
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import UnverifiedDelivery
from app.pipeline.intake.receive import receive
from app.pipeline.ports.limit import SAME_BODY_BURST, DeliveryLimits
from app.pipeline.ports.services import ForgeBinding, Services
from app.store.reads import Reads
from tests.pipeline.conftest import Line, sha

MINE, THEIRS = b"a secret of one repository", b"a secret of another"
BURST = 3


@pytest.fixture
def services(line: Line) -> Services:
    guard = replace(line.services.guard(), forges={"gogs": ForgeBinding(Gogs(), lambda: [MINE, THEIRS])})
    return replace(line.services, guard=lambda: guard, delivery_limits=DeliveryLimits.of(rate=1.0, burst=BURST))


def push(word: str, *, repository: int = 1, secret: bytes = MINE, delivery: str | None = None) -> UnverifiedDelivery:
    user = {"id": 2, "login": "alice", "username": "alice"}
    owner = {"id": 7, "login": "acme", "username": "acme"}
    named = {"id": repository, "owner": owner, "name": "shop", "full_name": "acme/shop"}
    event = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha(word), "repository": named, "sender": user}
    body = json.dumps(event).encode()
    headers = {
        "content-type": "application/json",
        "x-gogs-delivery": delivery or f"{repository}-{word}".replace(" ", "-"),
        "x-gogs-event": "push",
        "x-gogs-signature": hmac.digest(secret, body, "sha256").hex(),
    }
    return UnverifiedDelivery("gogs", headers, body)


def send(services: Services, unverified: UnverifiedDelivery) -> bool:
    """Tell whether it is taken."""
    try:
        receive(services, unverified, services.ids.new()).result(30)
    except RateLimited:
        return False
    return True


def test_beyond_its_burst_a_repository_is_refused_and_nothing_is_stored(line: Line, services: Services) -> None:
    assert [send(services, push(f"{n}")) for n in range(BURST + 5)] == [True] * BURST + [False] * 5
    assert len(Reads(line.engine).deliveries(100)) == BURST
    line.clock.move(2)
    assert send(services, push("later"))


def test_it_says_when_to_come_again(services: Services) -> None:
    for n in range(BURST):
        send(services, push(f"{n}"))
    with pytest.raises(RateLimited) as refused:
        receive(services, push("more"), services.ids.new())
    assert 0 < refused.value.retry_after <= 1


def test_another_repository_is_not_touched(services: Services) -> None:
    for n in range(50):
        send(services, push(f"{n}", repository=1))
    assert [send(services, push(f"{n}", repository=2)) for n in range(BURST)] == [True] * BURST


def test_who_holds_another_repositorys_secret_cannot_silence_this_one(services: Services) -> None:
    for n in range(50):
        send(services, push(f"forged {n}", repository=1, secret=THEIRS))
    assert [send(services, push(f"{n}", repository=1, secret=MINE)) for n in range(BURST)] == [True] * BURST


def test_a_caught_delivery_sent_again_and_again_uses_up_its_own_share_only(line: Line, services: Services) -> None:
    generous = replace(services, delivery_limits=DeliveryLimits.of(rate=0.001, burst=SAME_BODY_BURST + 2))
    caught = [send(generous, push("caught", delivery=f"d{n}")) for n in range(200)]
    assert caught == [True] * SAME_BODY_BURST + [False] * (200 - SAME_BODY_BURST)
    assert send(generous, push("real 1")) and send(generous, push("real 2"))


def test_what_is_not_proven_is_not_counted(services: Services) -> None:
    for n in range(50):
        with pytest.raises(BadSignature):
            receive(services, push(f"{n}", secret=b"guessed"), services.ids.new())
    assert send(services, push("real"))
