"""A unit of work opens only the rooms that a step uses."""

from __future__ import annotations

from sqlalchemy import Engine

from app.store.audit import SqlAudit
from app.store.unit import SqlStore


def test_a_unit_opens_a_room_when_it_is_first_asked_for(engine: Engine) -> None:
    with SqlStore(engine).unit() as unit:
        before = set(vars(unit))
        audit = unit.audit
        assert isinstance(audit, SqlAudit) and audit is unit.audit
        assert set(vars(unit)) - before == {"audit"}


def test_a_version_that_was_committed_is_not_written_again(engine: Engine) -> None:
    store = SqlStore(engine)
    with store.unit() as unit:
        assert unit.remember_version("policy", "1" * 64, "text")
    with store.unit() as unit:
        assert not unit.remember_version("policy", "1" * 64, "text")
        assert unit.new_versions == set()
