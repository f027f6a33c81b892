"""Over HTTP: a source beyond its limit gets 429 with Retry-After, is counted, and another one does not notice."""

from __future__ import annotations

import hmac
import json
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from app.bootstrap import Process
from app.config.example import write_example
from app.pipeline.ports.limit import DeliveryLimits
from app.settings import load_settings
from app.store.queue.wakes import make_celery
from app.store.reads import Reads
from app.web.factory import create_app
from tests.fakes import FakeWakes
from tests.pipeline.conftest import sha


@pytest.fixture
def client(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path)
    urls = {"TIDEGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    process = Process(load_settings(urls), engine, make_celery(urls["TIDEGATE_REDIS_URL"]))
    limits = DeliveryLimits.of(rate=0.4, burst=2)
    process.__dict__["services"] = replace(process.services, wakes=FakeWakes(), delivery_limits=limits)
    return create_app(process).test_client()


def post(client: FlaskClient, word: str, repository: int) -> tuple[int, str | None]:
    owner = {"id": 7, "login": "acme", "username": "acme"}
    named = {"id": repository, "owner": owner, "name": "shop", "full_name": "acme/shop"}
    user = {"id": 2, "login": "alice", "username": "alice"}
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha(word), "repository": named, "sender": user}
    body = json.dumps(push).encode()
    headers = {
        "X-Gogs-Delivery": f"{repository}-{word}",
        "X-Gogs-Event": "push",
        "X-Gogs-Signature": hmac.digest(Path(".tidegate/webhook.secret").read_bytes().strip(), body, "sha256").hex(),
    }
    answer = client.post("/hooks/gogs", data=body, headers=headers, content_type="application/json")
    return answer.status_code, answer.headers.get("Retry-After")


def test_a_source_beyond_its_limit_is_told_when_to_come_again_and_another_does_not_notice(
    client: FlaskClient, engine: Engine
) -> None:
    assert [post(client, word, 1) for word in ("a", "b")] == [(202, None)] * 2
    assert post(client, "c", 1) == (429, "3")
    assert post(client, "a", 2) == (202, None)
    assert len(Reads(engine).deliveries(10)) == 3
    counted = [line for line in client.get("/metrics").get_data(as_text=True).splitlines() if 'outcome="rate-limited"' in line]
    assert any(line.startswith('tidegate_deliveries_total{forge="gogs"') and line.endswith(" 1.0") for line in counted)
