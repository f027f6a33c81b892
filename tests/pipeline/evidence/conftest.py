"""A line over real git."""

from __future__ import annotations

import pytest

from app.integrations.repositories.mirror import Mirror
from tests.integrations.repositories.test_mirror import Origin, mirror, origin
from tests.pipeline.conftest import Line, environment

__all__ = ("Origin", "mirror", "origin")  # fixtures


@pytest.fixture
def gate(line: Line, mirror: Mirror) -> Line:
    """The line over git, with an environment that deploys main and tags."""
    line.repositories = mirror  # type: ignore[assignment]
    line.environments[0] = environment(deploys=("branch:main", "tag:*"))
    return line
