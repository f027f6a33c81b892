"""Links that leave the release: a web server that follows them would serve files of the machine.

Only the text of a link is looked at, as symlink(7) resolves it. A folder on its way may be a link of its own, so a way that goes
down and then up again may lead anywhere, and counts as leaving.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath

from app.domain.change import ChangedFile, FileKind
from app.domain.finding import Finding, FindingKind
from app.domain.text import visible

LONGEST_TARGET = 200  # characters of it in a finding


def look(file: ChangedFile) -> Iterator[Finding]:
    """Report a link whose target is, or may be, outside of the release."""
    if file.kind is not FileKind.LINK:
        return
    what = _fault_of(file)
    if what is not None:
        yield Finding(FindingKind.OUTSIDE_LINK, visible(file.path), None, what)


def _fault_of(file: ChangedFile) -> str | None:
    target = visible(file.link, LONGEST_TARGET)
    if not file.link:
        return "the target of the link is not known"
    if file.link.startswith("/"):
        return f"the link leads to {target}, outside of the release"
    parts = [part for part in file.link.split("/") if part not in ("", ".")]
    ups = next((number for number, part in enumerate(parts) if part != ".."), len(parts))
    if ups > len(PurePosixPath(file.path).parent.parts):
        return f"the link leads to {target}, outside of the release"
    if ".." in parts[ups:]:
        return f"the link goes down and up again ({target}), so it may lead out of the release"
    return None
