"""Every configured kind leads to an adapter that really is there; every other kind is a fault."""

from __future__ import annotations

import pytest
from pydantic import BaseModel

from app.domain.errors import BadConfiguration
from app.integrations.registry import FORGES, SINKS, TARGETS, forge_class, sink_class, sink_options, target_class, target_options


@pytest.mark.parametrize("kind", sorted(FORGES))
def test_every_forge_kind_makes_a_forge(kind: str) -> None:
    forge = forge_class(kind)()
    assert callable(forge.verify)
    assert callable(forge.parse)


@pytest.mark.parametrize("kind", sorted(TARGETS))
def test_every_target_kind_has_a_class_and_strict_options(kind: str) -> None:
    made = target_class(kind)
    assert callable(made.start)  # type: ignore[attr-defined]  # it is a class, not only a callable
    options = target_options(kind)
    assert issubclass(options, BaseModel)
    assert options.model_config.get("extra") == "forbid"


@pytest.mark.parametrize("kind", sorted(SINKS))
def test_every_sink_kind_has_a_class_and_strict_options(kind: str) -> None:
    assert callable(sink_class(kind).emit)  # type: ignore[attr-defined]  # it is a class, not only a callable
    assert sink_options(kind).model_config.get("extra") == "forbid"


@pytest.mark.parametrize("kind", ["", "Gogs", "gogs ", "os:system", "app.integrations.forges.gogs:Gogs"])
def test_an_unknown_kind_is_a_fault_and_imports_nothing(kind: str) -> None:
    for lookup in (forge_class, target_class, target_options, sink_class, sink_options):
        with pytest.raises(BadConfiguration, match=r"unknown (forge|target|sink) kind"):
            lookup(kind)
