"""Probes: ready only with a database, its newest schema, and a broker; each says what it lacks, and the process lives on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from app.bootstrap import Process
from app.config.example import write_example
from app.settings import load_settings
from app.stack.redis import EmbeddedRedis
from app.store.engine import make_engine
from app.store.queue.wakes import make_celery
from app.web.factory import create_app
from tests.ports import free_port

NOWHERE = "postgresql+psycopg://nobody@127.0.0.1:1/none"


def client(engine: Engine, broker: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(folder)
    write_example(folder)
    settings = load_settings({"TIDEGATE_DATABASE_URL": NOWHERE, "TIDEGATE_REDIS_URL": broker})
    return create_app(Process(settings, engine, make_celery(broker))).test_client()


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
        {"ready": True, "checks": {"database": "ok", "migrations": "ok", "broker": "ok"}},
    )


def test_without_a_broker_it_is_not_ready_and_says_so(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    probed = client(engine, f"redis://127.0.0.1:{free_port()}/0", tmp_path, monkeypatch)
    answer = probed.get("/readyz")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["checks"] == {"database": "ok", "migrations": "ok", "broker": "the broker does not answer"}
    assert probed.get("/healthz").status_code == 200


def test_with_an_older_schema_it_is_not_ready_and_says_so(
    _engines: tuple[Engine, Engine], redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, owner = _engines
    probed = client(engine, redis_server.url(), tmp_path, monkeypatch)
    with behind(owner):
        answer = probed.get("/readyz")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["checks"] == {
        "database": "ok",
        "migrations": "the schema is not at its newest version",
        "broker": "ok",
    }
    assert probed.get("/readyz").status_code == 200


def test_without_a_database_it_is_not_ready_and_says_so(
    redis_server: EmbeddedRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    probed = client(make_engine(NOWHERE, pool_size=1), redis_server.url(), tmp_path, monkeypatch)
    answer = probed.get("/readyz")
    assert answer.status_code == 503 and answer.json is not None
    assert answer.json["checks"]["broker"] == "ok"
    assert "database cannot be used now" in answer.json["checks"]["database"]
    assert probed.get("/healthz").status_code == 200
