"""Only keys that the gate has endorsed are published: a row in the database is not enough, whoever wrote it."""

from __future__ import annotations

import base64
import json
import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text

from app.bootstrap import Process
from app.config.example import write_example
from app.domain.errors import BadConfiguration, NoKeyYet, SealBroken
from app.integrations.secrets.sealed import Sealer
from app.integrations.system import SystemIds
from app.integrations.tokens.endorsement import EndorsementCheck, Endorser
from app.integrations.tokens.issuer import generate_key
from app.keyring import PUBLISHED_AFTER_SUCCESSOR, READ_AGAIN, Keyring, PublishedKeys, is_genuine, still_published
from app.pipeline.ports.record import Recorder
from app.settings import load_settings
from app.store.queue.wakes import make_celery
from app.store.signing_keys import SqlSigningKeys, StoredSigningKey
from app.web.factory import create_app
from tests.fakes import FakeClock

MASTER, OTHER = bytes(range(32)), bytes(32)
NOWHERE = {"TIDEGATE_DATABASE_URL": "postgresql://x@127.0.0.1:1/none", "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
PUT = text("INSERT INTO signing_keys (kid, public_jwk, sealed, created_at) VALUES (:kid, :jwk, :sealed, :at)")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def keyring(engine: Engine, clock: FakeClock, master: bytes = MASTER) -> Keyring:
    return Keyring(SqlSigningKeys(engine), master, Recorder(clock, SystemIds()), clock)


def published(engine: Engine, clock: FakeClock) -> PublishedKeys:
    return PublishedKeys(SqlSigningKeys(engine), EndorsementCheck(Endorser(MASTER).public), clock)


def kids(engine: Engine, clock: FakeClock) -> list[str]:
    return [jwk["kid"] for jwk in published(engine, clock).jwks()]


def put(engine: Engine, clock: FakeClock, *, kid: str, jwk: dict[str, Any], sealed: str) -> None:
    """Write a row as the application's role, as a release without endorsements did, and as an attacker would."""
    with engine.begin() as connection:
        connection.execute(PUT, {"kid": kid, "jwk": json.dumps(jwk), "sealed": sealed, "at": clock.now()})


def old_row(engine: Engine, clock: FakeClock, master: bytes = MASTER) -> str:
    kid, pem, jwk = generate_key()
    put(engine, clock, kid=kid, jwk=jwk, sealed=Sealer(master).seal(pem, f"signing-key:{kid}"))
    return kid


def audit(engine: Engine) -> list[tuple[str, str, str]]:
    query = text("SELECT action, actor, detail->>'kid' FROM audit_entries ORDER BY seq")
    with engine.connect() as connection:
        return [tuple(row) for row in connection.execute(query)]


def test_the_first_key_is_made_once_endorsed_and_audited(engine: Engine, clock: FakeClock) -> None:
    made = keyring(engine, clock).current()
    assert keyring(engine, clock).current().kid == made.kid
    assert kids(engine, clock) == [made.kid]
    assert audit(engine) == [("key:made", "tidegate:gate", made.kid)]


def test_invariant_13_a_row_of_somebody_else_is_never_published_nor_signs(
    engine: Engine, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    mine = keyring(engine, clock).current()
    clock.move(60)
    kid, pem, jwk = generate_key()
    put(engine, clock, kid=kid, jwk=jwk, sealed=Sealer(OTHER).seal(pem, f"signing-key:{kid}"))
    shown = published(engine, clock)
    with caplog.at_level(logging.ERROR):
        assert [each["kid"] for each in shown.jwks()] == [mine.kid]
        shown.jwks()
    logged = [record.getMessage() for record in caplog.records if "spool" not in record.getMessage()]  # of another test's thread
    assert logged == [f"signing key not published kid={kid!r}: it was not endorsed with this gate's master key"]
    assert shown.foreign == {kid}
    assert keyring(engine, clock).current().kid == mine.kid  # neither adopted nor used, though it is the newest
    assert kids(engine, clock) == [mine.kid]


@pytest.mark.parametrize("what", ["jwk", "kid", "created_at", "endorsement", "another's endorsement", "empty"])
def test_an_endorsement_holds_for_the_row_as_it_stood(what: str, clock: FakeClock) -> None:
    kid, _, jwk = generate_key()
    other, _, foreign = generate_key()
    key = StoredSigningKey(kid, jwk, "", clock.now())
    key = replace(key, endorsement=Endorser(MASTER).endorse(key.public_jwk, key.created_at))
    check = EndorsementCheck(Endorser(MASTER).public)
    assert is_genuine(key, check)
    changes: dict[str, dict[str, Any]] = {
        "jwk": {"public_jwk": foreign | {"kid": kid}},
        "kid": {"kid": other},
        "created_at": {"created_at": clock.now() + timedelta(seconds=1)},
        "endorsement": {"endorsement": "not base64 at all"},
        "another's endorsement": {"endorsement": Endorser(OTHER).endorse(key.public_jwk, key.created_at)},
        "empty": {"endorsement": ""},
    }
    assert not is_genuine(replace(key, **changes[what]), check)


def test_a_row_of_an_earlier_release_is_adopted_by_the_first_process_that_mints(engine: Engine, clock: FakeClock) -> None:
    kid = old_row(engine, clock)
    with pytest.raises(NoKeyYet):
        kids(engine, clock)
    assert keyring(engine, clock).current().kid == kid
    keyring(engine, clock).current()
    assert kids(engine, clock) == [kid]
    assert audit(engine) == [("key:adopted", "tidegate:gate", kid)]


def test_an_endorsement_that_was_taken_away_is_given_again(engine: Engine, clock: FakeClock) -> None:
    kid = keyring(engine, clock).current().kid
    with engine.begin() as connection:
        connection.execute(text("UPDATE signing_keys SET endorsement = 'nonsense'"))
    assert keyring(engine, clock).current().kid == kid
    assert kids(engine, clock) == [kid]


@pytest.mark.parametrize("what", ["public half of another", "sealed for another row", "not a key", "another master key"])
def test_a_row_whose_halves_do_not_fit_is_not_adopted(engine: Engine, clock: FakeClock, what: str) -> None:
    kid, pem, jwk = generate_key()
    _, _, foreign = generate_key()
    sealer = Sealer(OTHER if what == "another master key" else MASTER)
    rows = {
        "public half of another": (foreign | {"kid": kid}, sealer.seal(pem, f"signing-key:{kid}")),
        "sealed for another row": (jwk, sealer.seal(pem, "signing-key:another")),
        "not a key": (jwk, sealer.seal(b"-----BEGIN NOTHING-----", f"signing-key:{kid}")),
        "another master key": (jwk, sealer.seal(pem, f"signing-key:{kid}")),
    }
    put(engine, clock, kid=kid, jwk=rows[what][0], sealed=rows[what][1])
    with pytest.raises(SealBroken, match=f"{kid}.*TIDEGATE_MASTER_KEY"):
        keyring(engine, clock).current()
    with pytest.raises(NoKeyYet):
        kids(engine, clock)
    assert audit(engine) == []


def test_a_process_takes_a_successor_within_minutes_and_keeps_asking_seldom(engine: Engine, clock: FakeClock) -> None:
    mine = keyring(engine, clock)
    first = mine.current()
    clock.move(60)
    second = old_row(engine, clock)
    assert mine.current().kid == first.kid
    clock.move(READ_AGAIN.total_seconds() + 1)
    assert mine.current().kid == second


def test_an_old_key_is_published_until_its_last_tokens_and_caches_are_gone(clock: FakeClock) -> None:
    first, second, third = (
        StoredSigningKey(kid, {}, "", clock.now() + timedelta(days=day)) for day, kid in enumerate(("a", "b", "c"))
    )
    keys, moment = [third, first, second], timedelta(seconds=1)
    assert still_published([first], first.created_at + timedelta(days=900)) == [first]
    replaced = third.created_at + PUBLISHED_AFTER_SUCCESSOR
    assert still_published(keys, replaced - moment) == [third, second]
    assert still_published(keys, replaced + moment) == [third]


def receiver(engine: Engine, clock: FakeClock, **settings: str) -> tuple[FlaskClient, Process]:
    named = {f"TIDEGATE_{name}": value for name, value in settings.items()}
    process = Process(load_settings(NOWHERE | named), engine, make_celery(NOWHERE["TIDEGATE_REDIS_URL"]), clock=clock)
    return create_app(process).test_client(), process


@pytest.fixture
def configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_example(tmp_path)


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize("given", ["KEYSET_KEY", "MASTER_KEY"])
def test_the_receiver_publishes_with_the_public_key_alone_and_caches_no_empty_set(
    engine: Engine, clock: FakeClock, given: str
) -> None:
    values = {"KEYSET_KEY": Endorser(MASTER).public, "MASTER_KEY": base64.b64encode(MASTER).decode()}
    client, process = receiver(engine, clock, **{given: values[given]})
    early = client.get("/.well-known/jwks.json")
    assert (early.status_code, early.headers.get("Cache-Control")) == (503, None)
    kid = keyring(engine, clock).current().kid
    answer = client.get("/.well-known/jwks.json")
    assert answer.json is not None and [key["kid"] for key in answer.json["keys"]] == [kid]
    if given == "KEYSET_KEY":
        with pytest.raises(BadConfiguration):
            _ = process.keyring
