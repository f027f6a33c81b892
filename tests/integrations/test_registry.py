"""Every configured kind leads to an adapter that really is there; every other kind is a fault."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from pydantic import BaseModel

from app.domain.errors import BadConfiguration
from app.integrations import registry
from app.integrations.forges.protocol import Forge
from app.integrations.identity.protocol import IdentitySource
from app.integrations.registry import FORGES, HINT_READERS, SINKS, SLOW_TARGETS, SOURCES, TARGETS, Adapters, HintReader
from app.integrations.sinks.protocol import Sink
from app.integrations.targets.protocol import Target

TABLES: list[Adapters[Any]] = [table for table in vars(registry).values() if isinstance(table, Adapters)]
KINDS = [pytest.param(table, kind, id=f"{table.sort}: {kind}") for table in TABLES for kind in sorted(table.kinds)]
DOES = {  # what each sort of adapter does
    FORGES.sort: Forge,
    TARGETS.sort: Target,
    SOURCES.sort: IdentitySource,
    SINKS.sort: Sink,
    HINT_READERS.sort: HintReader,
}
WITH_OPTIONS = [param for param in KINDS if param.values[0] not in (FORGES, HINT_READERS)]
CALLED_WITH: dict[str, tuple[tuple[object, ...], dict[str, object]]] = {
    FORGES.sort: ((), {}),
    TARGETS.sort: (("name", "options"), {"state_dir": None, "clock": None, "secret": None}),
    SOURCES.sort: (("options", "tools"), {}),
    SINKS.sort: (("options",), {"clock": None, "secret": None}),
}


def test_every_table_is_looked_at() -> None:
    assert {table.sort for table in TABLES} == set(DOES)


@pytest.mark.parametrize(("table", "kind"), KINDS)
def test_every_kind_leads_to_an_adapter_that_does_what_its_protocol_says(table: Adapters[Any], kind: str) -> None:
    adapter = table.load(kind)
    wanted = [name for name in vars(DOES[table.sort]) if not name.startswith("_")]
    assert wanted and all(callable(getattr(adapter, name)) for name in wanted)


@pytest.mark.parametrize(("table", "kind"), [param for param in KINDS if param.values[0] is not HINT_READERS])
def test_every_adapter_of_a_sort_is_called_in_the_same_way(table: Adapters[Any], kind: str) -> None:
    positional, by_name = CALLED_WITH[table.sort]
    inspect.signature(table.load(kind)).bind(*positional, **by_name)


@pytest.mark.parametrize(("table", "kind"), WITH_OPTIONS)
def test_every_kind_has_strict_options(table: Adapters[Any], kind: str) -> None:
    options = table.options(kind)
    assert issubclass(options, BaseModel)
    assert options.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("kind", sorted(HINT_READERS.kinds))
def test_a_source_with_a_notice_reader_has_a_secret_for_it(kind: str) -> None:
    assert "events_secret" in SOURCES.options(kind).model_fields


@pytest.mark.parametrize("kind", ["", "Gogs", "gogs ", "os:system", "app.integrations.forges.gogs:Gogs"])
@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.sort)
def test_an_unknown_kind_is_a_fault_and_imports_nothing(table: Adapters[Any], kind: str) -> None:
    for lookup in (table.load, table.options):
        with pytest.raises(BadConfiguration, match=rf"unknown {table.sort} kind .*; known: "):
            lookup(kind)


def test_slow_kinds_are_kinds_of_targets() -> None:
    assert SLOW_TARGETS <= TARGETS.kinds
