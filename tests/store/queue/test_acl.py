"""`docker/redis.rules`: what the gate may do in Redis is enough for queues and events, and no more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import redis
from celery import Celery

from app.stack.redis import _binary
from app.stack.server import Server
from app.store.queue.wakes import PLAN, broker_answers, make_celery
from app.store.queue.wakes import QUEUES as QUEUE_OF
from tests.ports import free_port

ROOT = Path(__file__).parents[3]
RULES = (ROOT / "docker" / "redis.rules").read_text().strip()
QUEUES = sorted(set(QUEUE_OF.values()))
ADMIN, PASSWORD = "for-the-test", "p@ss%word"


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server with the rules of compose, and an administrator to look at what was denied."""
    folder, port = tmp_path_factory.mktemp("acl"), free_port()
    users = folder / "users.acl"
    users.write_text(f"user default off\nuser tidegate on >{PASSWORD} {RULES}\nuser admin on >{ADMIN} ~* &* +@all\n")
    server = Server("Redis", "none", port, folder / "log")
    server.launch([str(_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--aclfile", str(users)])
    yield port
    server.stop()


@pytest.fixture
def client(port: int) -> redis.Redis:
    return redis.Redis(port=port, username="tidegate", password=PASSWORD)


def denied(port: int) -> list[str]:
    """List what was denied, as the server has logged it."""
    return [str(entry["object"]) for entry in redis.Redis(port=port, username="admin", password=ADMIN).acl_log()]


def test_the_rules_are_enough_for_messages_and_events(port: int, client: redis.Redis) -> None:
    app = make_celery(f"redis://tidegate:p%40ss%25word@127.0.0.1:{port}/0")
    assert broker_answers(app)
    for queue in QUEUES:
        app.send_task(PLAN, args=("a delivery",), queue=queue, ignore_result=True, retry=False)
    assert taken(app) == len(QUEUES)
    with client.pubsub() as events:  # type: ignore[no-untyped-call]
        events.psubscribe("/0.celeryev/*")
        client.publish("/0.celeryev/worker.heartbeat", "{}")
    assert denied(port) == []


def taken(app: Celery) -> int:
    """Read the queues as a worker does; return how many messages came."""
    bodies: list[object] = []
    with app.connection_for_read() as connection:
        queues = [queue for queue in app.amqp.queues.values() if queue.name in QUEUES]
        with connection.Consumer(queues, callbacks=[lambda body, message: bodies.append(body)], accept=["json"]):
            try:
                while len(bodies) < len(QUEUES):
                    connection.drain_events(timeout=5)
            except TimeoutError:
                pass
    return len(bodies)


@pytest.mark.parametrize(
    "command",
    [
        ("FLUSHALL",),
        ("CONFIG", "GET", "*"),
        ("KEYS", "*"),
        ("ACL", "LIST"),
        ("MONITOR",),
        ("SHUTDOWN", "NOSAVE"),
        ("REPLICAOF", "127.0.0.1", "1"),
        ("SET", "anything-else", "1"),
        ("PUBLISH", "anything", "an order"),
        ("SUBSCRIBE", "anything"),
    ],
    ids=" ".join,
)
def test_nothing_else_is_permitted(client: redis.Redis, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        client.execute_command(*command)  # type: ignore[no-untyped-call]


def test_without_a_name_or_password_nothing_is(port: int) -> None:
    with pytest.raises(redis.exceptions.AuthenticationError):
        redis.Redis(port=port).ping()


def test_compose_uses_these_rules() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    assert "./docker/redis.rules:/redis.rules:ro" in compose and "redis://tidegate:${REDIS_PASSWORD" in compose
