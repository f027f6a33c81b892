"""Render results into the pages, between `<!-- bench:NAME -->` and `<!-- /bench:NAME -->`: `python -m bench.report`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from app.stack.up import ROOT
from bench import model, tables

PAGES = (ROOT / "docs" / "performance.md", ROOT / "docs" / "scaling.md")
RESULTS = ROOT / "docs" / "performance" / "results.json"
_PARTS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "receiver": tables.receiver,
    "commands": tables.commands,
    "latency": tables.latency,
    "backlog": tables.backlog,
    "inbox": tables.inbox,
    "rules": tables.rules,
    "identity": tables.identity,
    "policy": tables.policy,
    "memory": tables.memory,
    "cost": tables.cost,
    "profile": tables.profile,
    "scaling": tables.scaling,
}
_PLACE = re.compile(r"(<!-- bench:(\w+) -->\n).*?(<!-- /bench:\2 -->)", re.DOTALL)


def texts(results: Mapping[str, Any]) -> dict[str, str]:
    """Make every table that the results are enough for."""
    made = {name: _PARTS[name](part["found"]) for name, part in results["parts"].items()}
    if results["parts"]:
        made["machine"] = tables.machine(results)
    if model.can_be_reckoned(results["parts"]):
        made |= {"capacity": tables.capacity(results), "breaking": tables.breaking(results)}
    return made


def filled(page: str, made: Mapping[str, str]) -> str:
    """Put each table between its markers; raises KeyError for a marker without a table."""
    return _PLACE.sub(lambda found: f"{found[1]}{made[found[2]]}\n{found[3]}", page)


def render(results: Mapping[str, Any]) -> None:
    """Fill the pages; a place whose part was not measured stays as it is."""
    made = texts(results)
    for page in PAGES:
        text = page.read_text()
        kept = {found[2]: text[found.end(1) : found.start(3)].rstrip("\n") for found in _PLACE.finditer(text)}
        page.write_text(filled(text, kept | made))


def as_text(results: Mapping[str, Any]) -> str:
    """Put all tables one under the other, for the terminal."""
    return "\n\n".join(f"{name}\n{text}" for name, text in texts(results).items())


if __name__ == "__main__":
    render(json.loads(RESULTS.read_text()))
