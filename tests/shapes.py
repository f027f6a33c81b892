"""Golden files: what programs outside read, pinned by name and type or to the letter. Change one only by adding to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).parent / "golden"


def golden(name: str) -> Any:
    """Read a golden file."""
    return json.loads((GOLDEN / name).read_text())


def shape(value: Any) -> Any:
    """Spell a JSON value by its names and types; of a list, the different shapes in it."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        shapes = [shape(each) for each in value]
        return [each for number, each in enumerate(shapes) if each not in shapes[:number]]
    return "null" if value is None else type(value).__name__
