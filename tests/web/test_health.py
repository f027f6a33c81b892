"""Probes: ready only with database, schema, signing keys, broker and consumers; each says what it lacks, and to whom."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from app.bootstrap import Process
from app.config.example import write_example
from app.domain.errors import BadConfiguration
from app.settings import load_settings
from app.stack.redis import EmbeddedRedis
from app.store.engine import make_engine
from app.store.queue.wakes import QUEUES, make_celery
from app.web.factory import create_app
from tests.fakes import FakeClock
from tests.ports import free_port

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


MASTER = base64.b64encode(bytes(range(32))).decode()
WELL = {"database": "ok", "migrations": "ok", "signing keys": "ok", "broker": "ok", "consumers": "ok"}
PROXIED = [
    {"X-Forwarded-For": "203.0.113.7"},
    {"Forwarded": "for=203.0.113.7"},
    {"CF-Ray": "230b030023ae2822"},
    {"X-Edge-Address": "203.0.113.7"},
    {"Host": "gate.example"},
    {"Host": "127.0.0.1.evil.example:8300"},
]


@dataclass
class Looked:
    """What workers read, and how often it was asked for."""

    queues: set[str] = field(default_factory=lambda: set(QUEUES.values()))
    times: int = 0

    def __call__(self) -> set[str]:
        self.times += 1
        return self.queues


def process(engine: Engine, broker: str, folder: Path, monkeypatch: pytest.MonkeyPatch, **more: str) -> Process:
    monkeypatch.chdir(folder)
    write_example(folder)
    named = {f"TIDEGATE_{name}": value for name, value in more.items()}
    settings = load_settings(
        {"TIDEGATE_DATABASE_URL": NOWHERE, "TIDEGATE_REDIS_URL": broker, "TIDEGATE_MASTER_KEY": MASTER, **named}
    )
    return Process(settings, engine, make_celery(broker), clock=FakeClock(), queues_read=Looked())


def client(
    engine: Engine, broker: str, folder: Path, monkeypatch: pytest.MonkeyPatch, *, has_key: bool = True, **more: str
) -> FlaskClient:
    made = process(engine, broker, folder, monkeypatch, **more)
    if has_key:
        made.keyring.current()
    return create_app(made).test_client()


def wait_a_second(probed: FlaskClient) -> None:
    cast(FakeClock, probed.application.config["PROCESS"].clock).move(1.1)


@contextmanager
def behind(owner: Engine) -> Iterator[None]:
    """Let the schema be older than the program."""
    with owner.begin() as connection:
        newest = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    try:
        yield
    finally:
        with owner.begin() as connection:
            connection.execute(text("UPDATE alembic_version SET version_num = :newest"), {"newest": newest})


def test_with_all_it_needs_it_is_ready(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client(engine, redis_server.url(), tmp_path, monkeypatch).get("/readyz")
    assert (answer.status_code, answer.json) == (
        200,
        {"ready": True, "checks": WELL},
    )


def test_without_a_broker_it_is_not_ready_and_says_so(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed = client(engine, f"redis://127.0.0.1:{free_port()}/0", tmp_path, monkeypatch)
    answer = probed.get("/readyz")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["checks"] == WELL | {"broker": "the broker does not answer"}
    assert probed.get("/healthz").status_code == 200


def test_with_an_older_schema_it_is_not_ready_and_says_so(
    _engines: tuple[Engine, Engine], redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, owner = _engines
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch)
    with behind(owner):
        answer = probed.get("/readyz")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["checks"] == WELL | {"migrations": "the schema is not at its newest version"}
    wait_a_second(probed)
    assert probed.get("/readyz").status_code == 200


def test_without_a_database_it_is_not_ready_and_says_so(
    redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = client(make_engine(NOWHERE, pool_size=1), redis_server.url(), tmp_path, monkeypatch, has_key=False)
    answer = probed.get("/readyz")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["checks"]["broker"] == "ok"
    assert "database cannot be used now" in answer.json["checks"]["database"]
    assert probed.get("/healthz").status_code == 200


def test_without_a_published_key_it_is_not_ready_and_says_so(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = client(engine, redis_server.url(), tmp_path, monkeypatch, has_key=False).get("/readyz")
    assert answer.status_code == 503 and "No genuine signing key is published yet" in answer.json["checks"]["signing keys"]


def test_a_queue_that_no_worker_reads_makes_it_not_ready_and_is_named(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch)
    assert probed.get("/readyz").status_code == 200
    probed.application.config["PROCESS"].queues_read.queues = set(QUEUES.values()) - {"deploys"}
    wait_a_second(probed)
    answer = probed.get("/readyz")
    assert answer.status_code == 503
    assert answer.json["checks"] == WELL | {"consumers": "no worker reads deploys: start the process that does"}


def test_many_who_ask_cost_one_look_a_second(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch)
    looked = probed.application.config["PROCESS"].queues_read
    assert {probed.get("/readyz").status_code for _ in range(20)} == {200}
    assert looked.times == 1
    wait_a_second(probed)
    probed.get("/readyz")
    assert looked.times == 2


@pytest.mark.parametrize("headers", PROXIED, ids=str)
def test_a_stranger_behind_a_proxy_sees_no_metrics_and_no_part(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str]
) -> None:
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch, ADDRESS_HEADER="X-Edge-Address")
    assert probed.get("/readyz", headers=headers).json == {"ready": True}
    refused = probed.get("/metrics", headers=headers)
    assert refused.status_code == 403 and "TIDEGATE_METRICS_TOKEN" in refused.get_data(as_text=True)
    assert probed.get("/metrics").status_code == 200


@pytest.mark.parametrize("peer", ["203.0.113.7", "10.0.0.8", "fe80::1", ""])
def test_a_stranger_who_connects_sees_no_metrics_and_no_part(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, peer: str
) -> None:
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch)
    assert probed.get("/readyz", environ_base={"REMOTE_ADDR": peer}).json == {"ready": True}
    assert probed.get("/metrics", environ_base={"REMOTE_ADDR": peer}).status_code == 403


def test_with_a_token_set_the_token_alone_counts(
    engine: Engine, redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("a-long-metrics-token\n")
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch, METRICS_TOKEN=f"file:{tmp_path}/token")
    assert probed.get("/metrics").status_code == 401
    assert probed.get("/metrics", headers={"Authorization": "Bearer a-long-metrics-toke"}).status_code == 401
    bearer = {"Authorization": "Bearer a-long-metrics-token", "X-Forwarded-For": "203.0.113.7"}
    afar = {"REMOTE_ADDR": "203.0.113.7"}
    assert probed.get("/metrics", headers=bearer, environ_base=afar).status_code == 200
    assert probed.get("/readyz", headers=bearer, environ_base=afar).json == {"ready": True, "checks": WELL}
    assert probed.get("/readyz").json == {"ready": True}


@pytest.mark.parametrize(
    ("token", "why"), [("", "is 0 characters"), ("short", "is 5 characters"), ("env:NOWHERE", "cannot be read")]
)
def test_a_token_that_is_none_stops_the_start(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str, why: str
) -> None:
    with pytest.raises(BadConfiguration, match=f"TIDEGATE_METRICS_TOKEN: {why}"):
        create_app(process(engine, "redis://127.0.0.1:1/0", tmp_path, monkeypatch, METRICS_TOKEN=token))
