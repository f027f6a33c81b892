"""TLS to Postgres and Redis, as the URLs say: with a known authority it works, otherwise nothing is sent in clear."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from app.domain.errors import StoreUnavailable
from app.stack.postgres import APP, EmbeddedPostgres
from app.stack.redis import EmbeddedRedis
from app.store.engine import make_engine, transaction
from app.store.queue.wakes import PLAN, broker_answers, make_celery
from tests.tls import HANDSHAKE, make_certificate, relay_to


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def of_another_host(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return make_certificate(tmp_path_factory.mktemp("tls"), "192.0.2.1")


def redis_url(server: EmbeddedRedis, port: int, query: str = "") -> str:
    return server.url().replace("redis://", "rediss://").replace(f":{server.port}/", f":{port}/") + query


def test_redis_by_tls_takes_messages(redis_server: EmbeddedRedis, certificate: tuple[Path, Path]) -> None:
    with relay_to(redis_server.port, certificate) as relay:
        app = make_celery(redis_url(redis_server, relay.port, f"?ssl_ca_certs={certificate[0]}"))
        assert broker_answers(app)
        app.send_task(PLAN, args=("a delivery",), queue="tls-test", ignore_result=True, retry=False)
    assert set(relay.first) == {HANDSHAKE}


@pytest.mark.parametrize("query", ["", "?ssl_cert_reqs=required"])
def test_redis_of_an_unknown_authority_is_refused_and_hears_no_password_in_clear(
    redis_server: EmbeddedRedis, certificate: tuple[Path, Path], query: str
) -> None:
    with relay_to(redis_server.port, certificate) as relay:
        assert not broker_answers(make_celery(redis_url(redis_server, relay.port, query)))
    assert set(relay.first) == {HANDSHAKE}


def test_redis_of_another_host_is_refused(redis_server: EmbeddedRedis, of_another_host: tuple[Path, Path]) -> None:
    with relay_to(redis_server.port, of_another_host) as relay:
        query = f"?ssl_ca_certs={of_another_host[0]}"
        assert not broker_answers(make_celery(redis_url(redis_server, relay.port, query)))
    assert set(relay.first) == {HANDSHAKE}


def ask(postgres: EmbeddedPostgres, port: int, query: str) -> None:
    engine = make_engine(postgres.url(APP).replace(f":{postgres.port}/", f":{port}/") + query, pool_size=1)
    try:
        with transaction(engine) as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
    finally:
        engine.dispose()


def test_postgres_by_tls_answers(postgres: EmbeddedPostgres, certificate: tuple[Path, Path]) -> None:
    with relay_to(postgres.port, certificate, is_postgres=True) as relay:
        ask(postgres, relay.port, f"?sslmode=verify-full&sslrootcert={certificate[0]}")
    assert set(relay.first) == {HANDSHAKE}


def test_postgres_of_another_authority_or_host_is_refused(
    postgres: EmbeddedPostgres, certificate: tuple[Path, Path], of_another_host: tuple[Path, Path]
) -> None:
    for served, known in ((certificate, of_another_host), (of_another_host, of_another_host)):
        with relay_to(postgres.port, served, is_postgres=True) as relay, pytest.raises(StoreUnavailable):
            ask(postgres, relay.port, f"?sslmode=verify-full&sslrootcert={known[0]}")


def test_postgres_that_must_speak_tls_is_not_spoken_to_in_clear(postgres: EmbeddedPostgres) -> None:
    with pytest.raises(StoreUnavailable):  # the embedded server has no TLS
        ask(postgres, postgres.port, "?sslmode=require")
