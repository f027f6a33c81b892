"""How answers are made: models for the API, plain JSON for `--json`. Next: `deployment.py`."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

Json = dict[str, Any]


class Answer(BaseModel):
    """An answer, or a part of one."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Problem(BaseModel):
    """A problem document (RFC 9457); `title` is the error's code, `detail` says what is wrong."""

    type: str
    title: str
    status: int
    detail: str = ""


def fields_json(value: Any) -> Json:
    """Spell a dataclass as one JSON object."""
    fields: Json = to_json(value)
    return fields


def to_json(value: Any) -> Any:
    """Spell a value of the domain field by field; bodies and internal fields are left out."""
    if is_dataclass(value) and not isinstance(value, type):
        told = (field.name for field in fields(value) if not field.metadata.get("is_internal"))
        return {name: to_json(getattr(value, name)) for name in told if name != "body"}
    if isinstance(value, dict):
        return {key: to_json(item) for key, item in value.items() if key != "body"}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [to_json(item) for item in value]
    return value.isoformat() if isinstance(value, datetime) else value
