"""The questions, one a file: each takes an `Effort` and returns figures that JSON can hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.effort import Effort
from bench.parts import backlog, commands, cost, identity, inbox, latency, memory, policy, profile, receiver, rules, scaling

PARTS: dict[str, Callable[[Effort], dict[str, Any]]] = {
    "receiver": receiver.measure,
    "commands": commands.measure,
    "latency": latency.measure,
    "backlog": backlog.measure,
    "inbox": inbox.measure,
    "rules": rules.measure,
    "identity": identity.measure,
    "policy": policy.measure,
    "memory": memory.measure,
    "cost": cost.measure,
    "profile": profile.measure,
    "scaling": scaling.measure,
}
