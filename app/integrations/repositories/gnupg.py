"""A private home for gpg: its own options, its own keys, no agent, no network (gpg(1), OPTIONS)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from app.domain.errors import RepositoryUnavailable

_OPTIONS = """\
batch
no-tty
quiet
no-greeting
no-autostart
no-auto-key-retrieve
no-auto-key-import
disable-dirmngr
no-auto-check-trustdb
trust-model direct
weak-digest SHA1
"""


def make_home(folder: Path) -> Path:
    """Make a home below `folder` that only this user can enter.

    Trust is `direct`: the access map says whose key it is, not a web of trust. `common.conf` is empty, so that keys lie in
    this folder and not with a daemon (gpg(1), use-keyboxd).
    """
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    (home / "gpg.conf").write_text(_OPTIONS)
    (home / "common.conf").touch()
    return home


def program(name: str, environment: Mapping[str, str]) -> str:
    """Return the absolute path of a program on PATH; raises RepositoryUnavailable if it is missing."""
    path = shutil.which(name, path=environment["PATH"])
    if path is None:
        raise RepositoryUnavailable(f"{name} is not installed: its signatures cannot be checked")
    return str(Path(path).absolute())
