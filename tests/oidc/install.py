"""Install the packages of the tests' OpenID Connect provider: `python -m tests.oidc.install`, as `make test` does first.

Each version of the lock file has a folder of its own. It is filled under another name and renamed when it is complete, so
no one ever sees half of it. A lock lets one process at a time install.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

FOLDER = Path(__file__).parent
PLACE = FOLDER.parents[1] / ".venv" / "oidc"
GIVEN = ("package.json", "package-lock.json")
INSTALL_SECONDS = 600


class NotInstalled(Exception):
    """The provider's packages cannot be installed."""


def installed() -> Path:
    """Return the folder of the pinned packages, and install them if they are not there. Raises NotInstalled."""
    digest = hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in GIVEN)).hexdigest()
    folder = PLACE / digest[:16]
    if not folder.exists():
        _install(folder)
    return folder


def _install(folder: Path) -> None:
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # let go with the process, however it ends
        if not folder.exists():
            _clear()
            fresh = Path(mkdtemp(dir=PLACE))  # an npm whose parent was killed may still write to the one before
            _fill(fresh)
            fresh.rename(folder)


def _clear() -> None:
    """Remove earlier versions, and what an install that was cut short has left."""
    for old in PLACE.iterdir():
        if old.is_dir():
            shutil.rmtree(old, ignore_errors=True)
        elif old.name != "lock":
            old.unlink()


def _fill(folder: Path) -> None:
    if not (shutil.which("node") and shutil.which("npm")):
        raise NotInstalled("the tests need Node.js and npm: make test-tools")
    for name in GIVEN:
        shutil.copyfile(FOLDER / name, folder / name)
    command = ["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as late:
        raise NotInstalled(f"npm ci did not end in {INSTALL_SECONDS} s: {late.stderr!r}") from None
    if done.returncode != 0:
        raise NotInstalled(f"npm ci failed with {done.returncode}:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    try:
        installed()
    except NotInstalled as fault:
        sys.exit(str(fault))
