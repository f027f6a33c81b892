"""Wakes on a real Redis: the right queue for each stage, and no repetition into a queue that is already long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery
from kombu import Consumer, Message

from app.domain.deployment import STAGES, Stage, Wake
from app.domain.environment import Environment, HealthCheck
from app.stack.redis import EmbeddedRedis
from app.store.queue.wakes import (
    COMMIT_QUEUE,
    DEPLOY_QUEUE,
    SLOW_DEPLOY_QUEUE,
    STAGE_QUEUE,
    WAKE_QUEUE,
    CeleryWakes,
    chain_from,
    make_celery,
)

LONGEST = 5


def environment(name: str, *, is_slow: bool = False, health: HealthCheck | None = None) -> Environment:
    return Environment(name, "gogs:acme/shop", None, ("branch:main",), ("box",), "https://x", health, is_slow)


ENVIRONMENTS = {
    "fast": environment("fast"),
    "slow": environment("slow", is_slow=True),
    "checked": environment("checked", health=HealthCheck("http://127.0.0.1/healthz", 5)),
}


def may_block(name: str, stage: Stage) -> bool:
    return ENVIRONMENTS[name].may_block(stage)


def wakes(name: str, stage: Stage, count: int) -> list[Wake]:
    return [Wake(f"d{n}", "c", name, stage) for n in range(count)]


def client_of(channel: Any) -> Any:
    """Return the client of Redis's channel, which kombu's types do not know."""
    return channel.client


@pytest.fixture
def celery(redis_server: EmbeddedRedis) -> Iterator[Celery]:
    app = make_celery(redis_server.url())
    with app.connection_for_write() as connection:
        client_of(connection.default_channel).flushdb()
    yield app
    app.close()


def length(app: Celery, queue: str) -> int:
    with app.connection_for_write() as connection:
        return int(client_of(connection.default_channel).llen(queue))


@pytest.mark.parametrize(
    ("name", "dispatch", "confirm"),
    [
        ("fast", DEPLOY_QUEUE, DEPLOY_QUEUE),
        ("slow", SLOW_DEPLOY_QUEUE, SLOW_DEPLOY_QUEUE),
        ("checked", DEPLOY_QUEUE, SLOW_DEPLOY_QUEUE),
    ],
)
def test_what_may_take_long_goes_to_a_queue_of_its_own(celery: Celery, name: str, dispatch: str, confirm: str) -> None:
    chain = chain_from(celery, Wake("d", "c", name, Stage.VALIDATE_IDENTITY), may_block)
    assert [task.task for task in chain.tasks] == [stage.value for stage in STAGES]
    assert [task.options["queue"] for task in chain.tasks] == [COMMIT_QUEUE, STAGE_QUEUE, STAGE_QUEUE, dispatch, confirm]


@pytest.mark.parametrize(("name", "queue"), [("fast", DEPLOY_QUEUE), ("slow", SLOW_DEPLOY_QUEUE)])
def test_a_wake_in_the_middle_goes_the_same_way(celery: Celery, name: str, queue: str) -> None:
    CeleryWakes(celery, may_block, LONGEST).run(Wake("d", "c", name, Stage.DISPATCH_DEPLOY))
    assert length(celery, queue) == 1


def test_a_sink_is_told_by_the_pool_that_may_wait_and_found_by_the_one_that_does_not(celery: Celery) -> None:
    sender = CeleryWakes(celery, may_block, LONGEST)
    sender.notify()
    sender.notify_sink("ops")
    assert (length(celery, WAKE_QUEUE), length(celery, SLOW_DEPLOY_QUEUE)) == (1, 1)


def test_nothing_is_sent_again_into_a_long_queue_and_another_queue_is_not_held_up_by_it(celery: Celery) -> None:
    sender = CeleryWakes(celery, may_block, LONGEST)
    sender.repeat(wakes("slow", Stage.DISPATCH_DEPLOY, 20))
    sender.repeat(wakes("slow", Stage.DISPATCH_DEPLOY, 20) + wakes("fast", Stage.DISPATCH_DEPLOY, 2))
    assert length(celery, SLOW_DEPLOY_QUEUE) == LONGEST
    assert length(celery, DEPLOY_QUEUE) == 2


def test_without_a_broker_nothing_is_raised_and_nobody_waits_long(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("kombu.utils.functional.sleep", slept.append)
    app = make_celery("redis://127.0.0.1:1/0")
    sender = CeleryWakes(app, may_block, LONGEST)
    sender.run(Wake("d", "c", "fast", Stage.DISPATCH_DEPLOY))
    sender.repeat(wakes("fast", Stage.DISPATCH_DEPLOY, 3))
    sender.notify()
    sender.notify_sink("ops")
    app.close()
    assert slept and slept == [0.2, 0.5] * (len(slept) // 2)  # seconds, of each that is sent


def test_a_message_on_redis_is_gone_once_it_is_read_and_nothing_is_kept_for_an_acknowledgement(celery: Celery) -> None:
    """The sweeper sends lost wakes again; bookkeeping beside it would only cost time (ADR 1)."""
    chain_from(celery, Wake("d", "c", "fast", Stage.VALIDATE_IDENTITY), may_block).apply_async()
    read: list[Message] = []
    with celery.connection_for_read() as connection, connection.channel() as channel:
        with Consumer(channel, [celery.amqp.queues[COMMIT_QUEUE]], callbacks=[lambda _, message: read.append(message)]):
            connection.drain_events(timeout=10)
        client = client_of(channel)
        commands = client.info("commandstats")
        read[0].ack()
        assert {name: told["calls"] for name, told in client.info("commandstats").items() if name != "cmdstat_info"} == {
            name: told["calls"] for name, told in commands.items() if name != "cmdstat_info"
        }
        assert client.exists("unacked", "unacked_index") == 0
    assert length(celery, COMMIT_QUEUE) == 0


def test_a_channel_keeps_its_client(celery: Celery) -> None:
    with celery.connection_for_write() as connection:
        channel: Any = connection.default_channel
        with channel.conn_or_acquire() as one, channel.conn_or_acquire() as other:
            assert one is other


def test_other_brokers_are_acknowledged_and_speak_their_own_transport() -> None:
    """Other brokers push messages, and need acknowledgements to know when to hold back."""
    assert make_celery("amqp://127.0.0.1//").amqp.queues[STAGE_QUEUE].no_ack is False
    assert make_celery("amqp://127.0.0.1//").conf.broker_transport is None
    assert make_celery("redis://127.0.0.1/0").amqp.queues[STAGE_QUEUE].no_ack is True
