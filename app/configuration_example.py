"""Write a first configuration where there is none; never over an existing file."""

from __future__ import annotations

import shutil
from pathlib import Path

from app.integrations.system import random_bytes

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"
FILES = ("tidegate.toml", "people.toml", "policies/deploy.cedar", "policies/rollback.cedar")
SECRET = Path(".tidegate/webhook.secret")


def write_example(folder: Path) -> list[Path]:
    """Write the example files that are missing, and a random webhook secret (mode 0600); return what was written.

    Does nothing where tidegate.toml already exists.
    """
    if (folder / "tidegate.toml").exists():
        return []
    written = []
    for name in FILES:
        path = folder / name
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(EXAMPLES / name, path)
            written.append(path)
    return [*written, *_secret(folder / SECRET)]


def _secret(path: Path) -> list[Path]:
    if path.exists():
        return []
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    path.write_text(random_bytes(32).hex() + "\n", encoding="ascii")
    return [path]
