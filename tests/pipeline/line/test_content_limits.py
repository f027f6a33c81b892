"""Content that no try can make smaller ends a deployment with the limit as its reason; it does not stand still for ever."""

from __future__ import annotations

import pytest

from app.domain.deployment import State
from app.domain.errors import ContentTooLarge, GateError, UnsafeContent
from tests.pipeline.conftest import Line


@pytest.mark.parametrize("fault", [ContentTooLarge("its pack is too large (TIDEGATE_FETCH_BYTES)"), UnsafeContent("x/.git")])
def test_a_content_limit_ends_the_deployment_with_its_reason(line: Line, fault: GateError) -> None:
    deployment = line.push("one")
    line.repositories.fault = fault
    ended = line.run(deployment)
    assert ended.state in (State.FAILED, State.DENIED) and str(fault) in (ended.reason or "")
