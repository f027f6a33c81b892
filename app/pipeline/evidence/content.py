"""Spell what inspection finds in changes as facts: paths, findings, and whether everything was looked at."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import PurePosixPath
from typing import Any

from app.domain.finding import Inspection

LISTED = 50
MOST_PATHS = 2_000  # that policies see; each one is a text in every stored decision
NOTHING_NEW: dict[str, Any] = {"forced": False, "paths": [], "paths_known": True, "findings": [], "inspected": True}


def content_facts(inspection: Inspection) -> dict[str, Any]:
    """Spell the results of an inspection as evidence."""
    paths, are_all = path_facts(inspection.paths)
    return {
        "paths": paths,
        "paths_known": inspection.paths_known and are_all,
        "findings": [asdict(finding) for finding in inspection.findings],
        "inspected": inspection.inspected,
        "not_inspected": inspection.why_not,
    }


def path_facts(paths: Sequence[str]) -> tuple[list[str], bool]:
    """Spell changed paths so that a policy can ask with `contains`; tell whether the list is complete.

    It also lists the folders of each path (`db/migrations/`) and its suffix (`*.sql`), since Cedar compares whole texts only;
    both also in lower case, since some targets take `DB/x.SQL` for `db/x.sql`. If there are too many, they come before files.
    """
    parts = [PurePosixPath(path) for path in paths]
    folders = {f"{parent}/" for path in parts for parent in path.parents if str(parent) != "."}
    suffixes = {f"*{path.suffix}" for path in parts if path.suffix}
    wide = sorted({spelled for name in folders | suffixes for spelled in (name, name.casefold())})
    files = sorted(set(paths))
    return [*wide, *files][:MOST_PATHS], len(wide) + len(files) <= MOST_PATHS
