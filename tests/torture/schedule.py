"""The seeded schedule of faults: which, when (before which act), how long, to what. Pure. `faults.py` does them."""

from __future__ import annotations

import random
from dataclasses import dataclass

LEASE_SECONDS = 4.0
SWEEP_SECONDS = 2.0

# kind -> (weight, shortest, longest seconds)
KINDS = {
    "kill": (24, 0.0, 0.0),
    "stop": (14, 0.3, 2.5),
    "long-stop": (8, LEASE_SECONDS + 1, LEASE_SECONDS + 4),
    "term": (14, 0.0, 0.0),
    "redis-wipe": (8, 0.2, 3.0),
    "redis-stop": (7, 0.5, 4.0),
    "redis-failover": (6, 0.2, 1.0),
    "postgres-kill": (7, 0.1, 3.0),
    "postgres-stop": (7, 0.5, 5.0),
    "cut": (14, 0.0, 0.0),
    "delay": (10, 1.0, 5.0),
    "stall": (8, 0.5, 5.0),
    "refuse": (8, 0.5, 4.0),
    "disk-full": (8, 1.0, 4.0),
    "forge-away": (8, 0.5, 5.0),
    "clock": (8, 2.0, 8.0),
    "target": (16, 0.5, 5.0),
    "upgrade": (2, 4.0, 8.0),
}
TARGET_MODES = ("down", "busy", "drop", "fail", "slow")
LINKS = ("database", "redis")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: begins when act `at` is due, lasts `seconds`, strikes `what`."""

    index: int
    kind: str
    at: int
    seconds: float
    what: str = ""
    amount: float = 0.0

    def told(self) -> str:
        """Spell it."""
        return f"{self.at:>6} FAULT {self.index} {self.kind} {self.what} {self.amount:g} for {self.seconds:.1f} s"


def schedule(seed: int, faults: int, acts: int, processes: tuple[str, ...]) -> tuple[Fault, ...]:
    """Spread `faults` faults over the acts: every kind at least once where there are enough, in an order by chance."""
    chance = random.Random(f"{seed}:faults")
    kinds = list(KINDS)
    chance.shuffle(kinds)
    weights = [KINDS[k][0] for k in kinds]
    chosen = kinds[:faults] + chance.choices(kinds, weights, k=max(0, faults - len(kinds)))
    chance.shuffle(chosen)
    first, last = acts // 20, acts - acts // 20
    whens = sorted(chance.randint(first, max(first, last)) for _ in chosen)
    return tuple(_fault(chance, n, kind, at, processes) for n, (kind, at) in enumerate(zip(chosen, whens, strict=True)))


def _fault(chance: random.Random, index: int, kind: str, at: int, processes: tuple[str, ...]) -> Fault:
    _, shortest, longest = KINDS[kind]
    what, amount = "", 0.0
    if kind in ("kill", "stop", "long-stop", "term", "clock"):
        what = chance.choice(processes)
    if kind == "clock":
        amount = chance.choice((-1, 1)) * chance.uniform(20, 120)
    if kind in ("cut", "delay", "stall", "refuse"):
        what = chance.choice(LINKS)
    if kind == "delay":
        amount = chance.uniform(0.005, 0.08)
    if kind == "target":
        what = chance.choice(TARGET_MODES)
    return Fault(index, kind, at, round(chance.uniform(shortest, longest), 2), what, round(amount, 3))
