"""`[issuers.NAME]` of tidegate.toml: what is right loads, every fault has its line, and held keys outlive a change elsewhere."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config.example import write_example
from app.config.load import Configuration, load_configuration
from app.domain.access import SourceKind, SourceRule
from app.domain.errors import BadConfiguration
from app.guard.load import KINDS
from app.guard.source import GuardSource
from app.integrations.identity.oidc.validator import Validator
from app.integrations.system import SystemIds
from app.store.unit import SqlStore
from tests.config.test_load import GOOD
from tests.fakes import FakeClock
from tests.guard.test_source import BOB, add, settings_of

CORP = """
[issuers.corp]
kind = "oidc"
issuer = "https://corp.example"
audience = "urn:gate"
client_id = "gate"
"""
OTHER = CORP.replace("corp]", "other]").replace("corp.example", "other.example")


def load(folder: Path, text: str) -> Configuration:
    path = folder / "tidegate.toml"
    path.write_text(text)
    return load_configuration(path, KINDS)


def fault(folder: Path, text: str) -> str:
    with pytest.raises(BadConfiguration) as caught:
        load(folder, text)
    (told,) = caught.value.faults
    return told.removeprefix(f"{folder / 'tidegate.toml'}:").partition(": ")[2]


def test_an_issuer_with_max_age_is_a_source_and_another_is_none(tmp_path: Path) -> None:
    found = load(tmp_path, GOOD + CORP + 'max_age = "8h"\n' + OTHER)
    assert found.rules() == {"corp": SourceRule("corp", SourceKind.OIDC, timedelta(hours=8))}
    assert set(found.issuers) == {"corp", "other"} and found.people is None
    assert load(tmp_path, GOOD + CORP).people == tmp_path / "people.toml"


def test_issuers_that_are_demanded_must_be_there(tmp_path: Path) -> None:
    assert fault(tmp_path, 'access_issuer = "edge"\n' + GOOD) == "access_issuer: there is no issuer 'edge'"
    text = GOOD.replace('kind = "gogs"', 'kind = "gogs"\naccess_issuer = "edge"')
    assert fault(tmp_path, text) == "forges.gogs.access_issuer: there is no issuer 'edge'"
    found = load(tmp_path, 'access_issuer = "corp"\n' + text.replace('"edge"', '"corp"') + CORP)
    assert found.access_issuer == found.forges["gogs"].access_issuer == "corp"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('kind = "oidc"\n', "", "issuers.corp.kind: Field required"),
        ('"oidc"', '"saml"', "issuers.corp.kind: Input should be "),
        ('"https://corp', '"http://corp', "issuers.corp.issuer: must be an https URL"),
        ('client_id = "gate"', 'client_secret = "env:X"', "issuers.corp: a client_secret needs a client_id"),
        ('client_id = "gate"', 'client_secret = "hunter2"', "issuers.corp.client_secret: String should match"),
        ('client_id = "gate"', 'client_id = ["gate"]', "issuers.corp.client_id: Input should be a valid string"),
        ('issuer = "https://corp.example"', 'issuer = ["x"]', "issuers.corp.issuer: Input should be a valid string"),
        ('client_id = "gate"', "clientid = 1", "issuers.corp.clientid: Extra inputs are not permitted"),
        ('client_id = "gate"', 'max_age = "x"', "issuers.corp.max_age: 'x' is not a time: write seconds"),
        ('client_id = "gate"', "max_age = 0", "issuers.corp.max_age: Input should be greater than 0"),
        ("[issuers.corp]", "[issuers.Corp_]", "issuers.Corp_.[key]: String should match pattern"),
    ],
)
def test_a_fault_is_told_with_its_place(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert fault(tmp_path, GOOD + CORP.replace(old, new)).startswith(told)


def test_two_issuers_that_would_take_the_same_tokens_are_a_fault(tmp_path: Path) -> None:
    told = fault(tmp_path, GOOD + CORP + CORP.replace("corp]", "twin]"))
    assert told == "issuers.twin: has the issuer and audience of 'corp'"


@pytest.mark.parametrize("name", ["file", "directory"])
def test_an_issuer_that_is_a_source_has_a_name_of_its_own(tmp_path: Path, name: str) -> None:
    text = GOOD + CORP.replace("corp]", f"{name}]") + "max_age = 60\n"
    if name == "directory":
        text += f'\n[identity.{name}]\nkind = "okta"\n'
        with pytest.raises((BadConfiguration, ModuleNotFoundError)):
            load(tmp_path, text)
    else:
        assert fault(tmp_path, text).startswith(f"issuers.{name}.max_age: makes it a source of people")


def test_keys_are_held_from_version_to_version_and_let_go_with_their_issuer(
    tmp_path: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    add(tmp_path / "tidegate.toml", CORP + OTHER)
    source = GuardSource(settings_of(tmp_path), SqlStore(engine), FakeClock(), SystemIds())

    def keys(name: str) -> tuple[object, object]:
        issuer = source().issuers[name]
        assert isinstance(issuer.tokens, Validator) and isinstance(issuer.logins, Validator)
        return issuer.tokens._keys, issuer.logins._keys

    first, digest = keys("corp"), source().digest
    assert first[0] is first[1]
    add(tmp_path / "people.toml", BOB)
    assert keys("corp") == first and source().digest != digest
    text = (tmp_path / "tidegate.toml").read_text()
    (tmp_path / "tidegate.toml").write_text(text.replace("https://other.example", "https://new.example"))
    assert keys("corp") == first
    assert {issuer for issuer, _ in source._memory.keys} == {"https://corp.example", "https://new.example"}
    (tmp_path / "tidegate.toml").write_text(text + "\n")
    assert keys("corp") == first


def test_an_audience_that_is_a_client_is_a_fault_since_id_tokens_would_open_the_api(tmp_path: Path) -> None:
    text = GOOD + CORP.replace('audience = "urn:gate"', 'audience = "gate"')
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path, text)
    line = text.splitlines().index('audience = "gate"') + 1
    assert caught.value.faults[0].startswith(f"{tmp_path / 'tidegate.toml'}:{line}: issuers.corp.audience: is also the client_id")
    api = '\n[issuers.api]\nkind = "oidc"\nissuer = "https://corp.example"\naudience = "gate"\n'
    assert fault(tmp_path, GOOD + CORP + api).startswith("issuers.api.audience: is the client_id of 'corp'")
    assert fault(tmp_path, GOOD + api + CORP).startswith("issuers.api.audience: is the client_id of 'corp'")


def test_at_another_issuer_and_in_a_pool_of_cognito_an_audience_may_be_a_client(tmp_path: Path) -> None:
    pool = CORP.replace('audience = "urn:gate"', 'audience = "gate"').replace('"oidc"', '"cognito"')
    assert set(load(tmp_path, GOOD + pool).issuers) == {"corp"}
    api = '\n[issuers.api]\nkind = "oidc"\nissuer = "https://other.example"\naudience = "gate"\n'
    assert set(load(tmp_path, GOOD + CORP + api).issuers) == {"corp", "api"}
