"""How much is done: the whole of it, a look, or a soak."""

from __future__ import annotations

from dataclasses import dataclass, field

from bench.machine import Noise


@dataclass
class Effort:
    """What a part goes by. It samples `noise` between its measurements."""

    quick: bool = False
    soak: bool = False
    noise: Noise = field(default_factory=Noise)

    def of(self, full: int, quick: int) -> int:
        """Choose."""
        return quick if self.quick else full
