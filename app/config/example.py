"""Write a first configuration if there is none, and never over an existing file."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.domain.errors import BadConfiguration
from app.integrations.system import random_bytes, write_private

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
# tidegate.toml comes last: if it exists, the rest exists too.
POLICIES = ("deploy", "push", "rollback", "rights")
FILES = ("people.toml", *(f"policies/{name}.cedar" for name in POLICIES), "tidegate.toml")
SECRET = Path(".tidegate/webhook.secret")


def write_example(folder: Path) -> list[Path]:
    """Write the example files that are missing, and a random webhook secret (mode 0600); return what was written.

    Does nothing if tidegate.toml already exists. Raises BadConfiguration if the folder cannot be written.
    """
    try:
        return _write_missing(folder)
    except OSError as fault:
        raise BadConfiguration([f"{folder}: cannot be written: {fault.strerror}"]) from None


def _write_missing(folder: Path) -> list[Path]:
    if (folder / "tidegate.toml").exists():
        return []
    written = _write_secret(folder / SECRET)
    for name in FILES:
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            fresh = path.with_name(f"{path.name}.new")
            shutil.copyfile(EXAMPLES / name, fresh)
            fresh.replace(path)
            written.append(path)
    return written


def _write_secret(path: Path) -> list[Path]:
    if path.exists():
        return []
    write_private(path, random_bytes(32).hex() + "\n")
    return [path]
