"""What is written down for ever: one entry a step, in the transaction of that step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """`action` is `subject:verb` (deployment:denied). `detail` is plain JSON and holds no secret."""

    id: str
    at: datetime
    action: str
    actor: str
    deployment_id: str | None
    delivery_id: str | None
    correlation_id: str
    detail: dict[str, Any]
    seq: int = 0
