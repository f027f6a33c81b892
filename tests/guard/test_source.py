"""The rules in force change whole or not at all, and every change is on the audit log once."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Engine

import app.guard.source
from app.config.example import write_example
from app.config.load import Configuration
from app.domain.audit import AuditEntry
from app.domain.clock import Clock
from app.domain.errors import BadConfiguration
from app.guard.load import Memory, load_guard
from app.guard.source import GuardSource
from app.integrations.system import SystemClock, SystemIds
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.ports.services import Guard
from app.settings import Settings, load_settings
from app.store.engine import make_engine
from app.store.reads import Reads
from app.store.unit import SqlStore
from tests.ports import free_port

BOB = '\n[[people]]\nsubject = "bob"\nemails = ["bob@example.com"]\naccounts = ["gogs:2"]\n'


@pytest.fixture(autouse=True)
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example configuration in a folder of its own; what is not yet audited is tried at every call."""
    write_example(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(app.guard.source, "AUDIT_EVERY", -1.0)
    return tmp_path


def settings_of(folder: Path) -> Settings:
    return load_settings(
        {
            "TIDEGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1/none",
            "TIDEGATE_REDIS_URL": "redis://127.0.0.1/0",
            "TIDEGATE_CONFIG": str(folder / "tidegate.toml"),
            "TIDEGATE_STATE_DIR": str(folder / ".tidegate"),
        }
    )


def source(folder: Path, engine: Engine) -> GuardSource:
    return GuardSource(settings_of(folder), SqlStore(engine), SystemClock(), SystemIds())


def knows(guard: Guard, email: str) -> bool:
    """Tell whether the people.toml of this version has the e-mail."""
    access_map = guard.identity
    assert isinstance(access_map, StoredAccessMap) and access_map.people is not None
    return any(email in person.emails for person in access_map.people.identities())


def audited(engine: Engine) -> list[AuditEntry]:
    return sorted(Reads(engine).audit(), key=lambda entry: entry.seq)


def actions(engine: Engine) -> list[str]:
    return [entry.action for entry in audited(engine)]


def write(path: Path, text: str) -> None:
    """Write as an editor does, and make sure that the time of change differs."""
    before = path.stat().st_mtime_ns if path.exists() else 0
    path.write_text(text)
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def add(path: Path, text: str) -> None:
    write(path, path.read_text() + text)


def test_the_first_version_is_taken_and_audited_once(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    guard = guards()
    assert guards() is guard
    (entry,) = audited(engine)
    assert (entry.action, entry.actor) == ("config:taken", "tidegate:gate")
    assert entry.detail == {"digest": guard.digest, "former_digest": ""}
    assert (entry.deployment_id, entry.delivery_id) == (None, None)


def test_a_version_is_audited_once_for_all_processes(rules: Path, engine: Engine) -> None:
    digests = {source(rules, engine)().digest for _ in range(3)}
    assert len(digests) == 1
    assert actions(engine) == ["config:taken"]


@pytest.mark.parametrize("name", ["tidegate.toml", "people.toml", "policies/deploy.cedar"])
def test_a_changed_file_gives_a_new_version_audited_with_both_digests(rules: Path, engine: Engine, name: str) -> None:
    guards = source(rules, engine)
    former = guards()
    add(rules / name, "\n#\n" if name.endswith("toml") else "\n// changed\n")
    new = guards()
    assert new.digest != former.digest
    assert audited(engine)[-1].detail == {"digest": new.digest, "former_digest": former.digest}
    assert actions(engine) == ["config:taken", "config:taken"]


def test_a_new_version_says_what_its_files_say(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    former = guards()
    add(rules / "people.toml", BOB)
    assert knows(guards(), "bob@example.com")
    assert not knows(former, "bob@example.com")


def test_a_policy_that_is_added_or_removed_gives_a_new_version(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    first = guards()
    extra = rules / "policies" / "extra.cedar"
    write(extra, '@id("none")\n@reason("nothing")\nforbid (principal, action, resource);\n')
    second = guards()
    assert '@id("none")' in second.policy.text
    extra.unlink()
    third = guards()
    assert '@id("none")' not in third.policy.text
    assert third.digest == first.digest


def test_people_may_move_to_another_file_that_is_watched_from_then_on(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    guards()
    shutil.copy(rules / "people.toml", rules / "staff.toml")
    toml = rules / "tidegate.toml"
    write(toml, toml.read_text().replace('people = "people.toml"', 'people = "staff.toml"'))
    guards()
    add(rules / "staff.toml", BOB)
    assert knows(guards(), "bob@example.com")


FAULTS = {
    "tidegate.toml": ("nonsense =", "not TOML"),
    "people.toml": ("[[people]]\n", "Field required"),
    "policies/deploy.cedar": ("permit (", "deploy.cedar"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_version_leaves_the_former_one_in_force_and_is_told_once(
    rules: Path, engine: Engine, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    fault, told = FAULTS[name]
    guards = source(rules, engine)
    former = guards()
    add(rules / name, f"\n{fault}")
    with caplog.at_level(logging.ERROR, "app.guard.source"):
        assert [guards() for _ in range(3)] == [former] * 3
    assert [record.name for record in caplog.records].count("app.guard.source") == 1
    assert told in caplog.text
    assert actions(engine) == ["config:taken", "config:refused"]
    detail = audited(engine)[-1].detail
    assert detail["digest"] == former.digest
    assert told in detail["faults"]


def test_every_faulty_version_is_audited(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    guards()
    people = rules / "people.toml"
    good = people.read_text()
    write(people, good + "first fault")
    guards()
    write(people, good + '\n[[people]]\nsubject = ""\n')
    guards()
    assert actions(engine) == ["config:taken", "config:refused", "config:refused"]


def test_a_mended_version_is_taken(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    former = guards()
    people = rules / "people.toml"
    good = people.read_text()
    write(people, good + "nonsense =")
    guards()
    write(people, good + BOB)
    new = guards()
    assert knows(new, "bob@example.com")
    assert actions(engine) == ["config:taken", "config:refused", "config:taken"]
    assert audited(engine)[-1].detail == {"digest": new.digest, "former_digest": former.digest}


def test_a_version_that_is_mended_in_a_file_it_newly_names_is_taken(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    guards()
    toml = rules / "tidegate.toml"
    write(toml, toml.read_text().replace('people = "people.toml"', 'people = "staff.toml"'))
    guards()
    write(rules / "staff.toml", (rules / "people.toml").read_text() + BOB)
    assert knows(guards(), "bob@example.com")


def test_going_back_to_a_former_version_takes_and_audits_it_again(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    first = guards()
    people = rules / "people.toml"
    text = people.read_text()
    write(people, text + BOB)
    second = guards()
    write(people, text)
    third = guards()
    assert (third.digest, knows(third, "bob@example.com")) == (first.digest, False)
    assert [entry.detail for entry in audited(engine)] == [
        {"digest": first.digest, "former_digest": ""},
        {"digest": second.digest, "former_digest": first.digest},
        {"digest": first.digest, "former_digest": second.digest},
    ]


def test_a_change_while_the_files_are_read_is_taken_with_the_next_look(
    rules: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    guards = source(rules, engine)
    guards()
    people = rules / "people.toml"
    pending = [BOB]

    def slow(
        settings: Settings, clock: Clock, memory: Memory, on_read: Callable[[Configuration], None]
    ) -> tuple[Configuration, Guard]:
        loaded = load_guard(settings, clock, memory, on_read)
        if pending:
            add(people, pending.pop())
        return loaded

    monkeypatch.setattr(app.guard.source, "load_guard", slow)
    add(people, "\n#\n")
    guards()
    assert knows(guards(), "bob@example.com")


@pytest.mark.parametrize("gone", ["policies", "people.toml", "tidegate.toml"])
def test_deleted_rules_leave_the_former_ones_in_force_until_they_are_back(rules: Path, engine: Engine, gone: str) -> None:
    guards = source(rules, engine)
    former = guards()
    (rules / gone).rename(rules / "away")
    assert guards() is former
    assert guards() is former
    (rules / "away").rename(rules / gone)
    assert guards().digest == former.digest
    assert actions(engine)[:2] == ["config:taken", "config:refused"]


def test_an_emptied_policies_folder_leaves_the_former_rules_in_force(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    former = guards()
    shutil.rmtree(rules / "policies")
    (rules / "policies").mkdir()
    assert guards() is former
    assert "has no *.cedar file" in audited(engine)[-1].detail["faults"]


def test_a_faulty_first_version_is_refused_at_every_call(rules: Path, engine: Engine) -> None:
    add(rules / "people.toml", "\n[[people]]\n")
    shutil.rmtree(rules / "policies")
    guards = source(rules, engine)
    for _ in range(2):
        with pytest.raises(BadConfiguration) as caught:
            guards()
        assert len(caught.value.faults) == 2
        assert any("people.toml" in fault for fault in caught.value.faults)
        assert any("policies" in fault for fault in caught.value.faults)
    assert audited(engine) == []


def test_a_faulty_first_version_that_is_mended_is_taken(rules: Path, engine: Engine) -> None:
    people = rules / "people.toml"
    good = people.read_text()
    write(people, "nonsense =")
    guards = source(rules, engine)
    with pytest.raises(BadConfiguration):
        guards()
    write(people, good)
    assert knows(guards(), "alice@example.com")
    assert actions(engine) == ["config:taken"]


def test_a_database_that_is_away_is_not_asked_at_every_call(
    rules: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    away = make_engine(f"postgresql+psycopg://nobody:x@127.0.0.1:{free_port()}/none", pool_size=1)
    monkeypatch.setattr(app.guard.source, "AUDIT_EVERY", 3600.0)
    guards = source(rules, away)
    guard = guards()
    assert [guards() for _ in range(3)] == [guard] * 3
    assert caplog.text.count("not yet audited") == 1
    away.dispose()


def test_a_file_that_was_written_again_as_it_was_is_no_new_version(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    former = guards()
    add(rules / "people.toml", "")
    assert guards().digest == former.digest
    assert actions(engine) == ["config:taken"]


def test_a_file_that_another_of_the_same_time_and_size_replaced_is_a_new_version(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    guards()
    people = rules / "people.toml"
    before = people.stat()
    (rules / "fresh").write_text(people.read_text().replace("alice@example.com", "carol@example.com"))
    os.utime(rules / "fresh", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (rules / "fresh").stat().st_size == before.st_size
    (rules / "fresh").replace(people)
    assert knows(guards(), "carol@example.com")


def test_a_change_is_in_force_while_the_database_is_away_and_audited_when_it_is_back(
    rules: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    guards = source(rules, engine)
    first = guards()
    away = make_engine(f"postgresql+psycopg://nobody:x@127.0.0.1:{free_port()}/none", pool_size=1)
    monkeypatch.setattr(guards, "_store", SqlStore(away))
    add(rules / "people.toml", BOB)
    second = guards()
    assert knows(second, "bob@example.com")
    assert "not yet audited" in caplog.text
    monkeypatch.setattr(guards, "_store", SqlStore(engine))
    assert guards() is second
    away.dispose()
    assert audited(engine)[-1].detail == {"digest": second.digest, "former_digest": first.digest}


SLIP = '\n[[people]]\nsubject = "eve"\naccounts = ["gogs:eve"]\n'


def test_a_slip_in_a_new_version_leaves_the_former_one_in_force(rules: Path, engine: Engine) -> None:
    guards = source(rules, engine)
    former = guards()
    add(rules / "people.toml", SLIP)
    assert guards() is former
    assert actions(engine) == ["config:taken", "config:refused"]
    assert "'gogs:eve' of eve can belong to nobody" in str(audited(engine)[-1].detail["faults"])


def test_an_existing_slip_does_not_stop_a_start_and_is_warned_of(
    rules: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    add(rules / "people.toml", SLIP)
    with caplog.at_level(logging.WARNING):
        source(rules, engine)()
    assert "people.toml:" in caplog.text and "'gogs:eve' of eve can belong to nobody" in caplog.text


def test_an_existing_slip_does_not_hold_up_a_change_such_as_a_leaver(rules: Path, engine: Engine) -> None:
    add(rules / "people.toml", SLIP)
    guards = source(rules, engine)
    guards()
    write(rules / "people.toml", "# a line more\n" + (rules / "people.toml").read_text() + BOB)
    assert knows(guards(), "bob@example.com")
