"""What a source's own notice of a change comes to: an id that tells repeated ones apart, and what to read again."""

from __future__ import annotations

from dataclasses import dataclass

from app.domain.access import Hint


@dataclass(frozen=True, slots=True)
class Event:
    """One notice. It may come twice under the same id; no hints: nothing that the gate reads has changed."""

    id: str
    hints: tuple[Hint, ...]
