"""Checks as earlier releases installed them: they go on asking this gate until they are installed anew."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.pipeline.ask.cast import Hub

GIT_LOG_OF_1 = (
    "-c diff.suppressBlankEmpty=false log --no-color --no-ext-diff --no-textconv --no-renames --no-relative"
    " --no-show-signature --no-notes --encoding=UTF-8 --unified=0 --inter-hunk-context=0 --patch --text"
    " --diff-merges=first-parent --ignore-submodules=none --submodule=short --src-prefix=a/ --dst-prefix=b/"
    " --format=%x00%H%x00%an%x00%ae%x00%ce%x00%B%x00"
).split()


def install_check_1(hub: Hub, *, inspects: bool = True) -> None:
    """Put the check of the first release in place."""
    values = {
        "URL": hub.gate.url,
        "FORGE": "gogs",
        "SECRET_FILE": str(hub.secret_file),
        "AWAY": "closed",
        "SECONDS": "60",
        "INSPECT": "yes" if inspects else "no",
    }
    quoted = {name: shlex.quote(value) for name, value in values.items()} | {"GIT_LOG": shlex.join(GIT_LOG_OF_1)}
    template = (Path(__file__).parent / "check_1.sh").read_text()
    script = hub.bare / "custom_hooks" / "pre-receive"
    script.write_text(re.sub(r"@([A-Z_]+)@", lambda place: quoted[place[1]], template))
