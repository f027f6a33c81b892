"""Ask the configured package index for known advisories of every pinned dependency: `make audit`.

Exit codes: 0 none is known; 1 some are, named with the versions that mend them; 2 something was not looked at, whatever else
was found. Silence is not consent: an answer that is missing, cut off, empty or about something else is named. An index that
does not even know an old, public advisory knows none, so nothing was looked at.

The index is the one that pip and uv use here. Its JSON API is asked (`/pypi/NAME/VERSION/json`, field `vulnerabilities`).
"""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

CLEAN, ADVISORIES, NOT_LOOKED_AT = 0, 1, 2
SECONDS = 20.0
LARGEST = 32 * 1024 * 1024  # a project with many releases has a long answer
AT_ONCE = 4
KNOWN = ("jinja2", "2.4.1")  # of 2010; an index that knows advisories knows several of it
_PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)", re.MULTILINE)

Pin = tuple[str, str]


class NotAnswered(Exception):
    """The index did not say what is known of a package. The text says why."""


@dataclass(frozen=True, slots=True)
class Index:
    """A package index. Its URL may hold a password, so it is never printed."""

    url: str

    def advisories(self, pin: Pin) -> list[dict[str, Any]]:
        """Return the advisories of a version that were not withdrawn; raises NotAnswered."""
        name, version = pin
        answer = self._ask(f"/pypi/{name}/{version}/json")
        info, known = answer.get("info"), answer.get("vulnerabilities")
        if not isinstance(info, dict) or not isinstance(known, list) or not all(isinstance(each, dict) for each in known):
            raise NotAnswered("the answer says nothing about advisories")
        if (_plain(str(info.get("name"))), str(info.get("version"))) != (_plain(name), version):
            raise NotAnswered("the answer is about another package or version")
        return [each for each in known if not each.get("withdrawn")]

    def _ask(self, path: str) -> dict[str, Any]:
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        request = urllib.request.Request(urlunsplit((parts.scheme, host, parts.path + path, "", "")))  # noqa: S310 - checked below
        if parts.scheme not in ("http", "https"):
            raise NotAnswered("the index is not reached by HTTP")
        if parts.username:
            secret = f"{parts.username}:{parts.password or ''}".encode()
            request.add_unredirected_header("Authorization", f"Basic {base64.b64encode(secret).decode()}")
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as response:  # noqa: S310
                body = response.read(LARGEST + 1)
                announced = response.headers.get("Content-Length")
        except urllib.error.HTTPError as fault:
            raise NotAnswered(f"the index answers {fault.code}") from None
        except (OSError, ValueError, EOFError) as fault:
            raise NotAnswered(f"the index does not answer ({type(fault).__name__})") from None
        if len(body) > LARGEST or (announced is not None and announced.isdigit() and len(body) != int(announced)):
            raise NotAnswered("the answer is cut off, or too long")
        return _object(body)


def _object(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise NotAnswered("the answer is not JSON, or cut off") from None
    if not isinstance(answer, dict):
        raise NotAnswered("the answer is not an object")
    return answer


def pins(texts: Iterable[str]) -> list[Pin]:
    """List the pinned versions of requirement files, each once."""
    return sorted({(match[1].lower(), match[2]) for text in texts for match in _PIN.finditer(text)})


def configured_index(environ: Mapping[str, str]) -> str:
    """Return the index that uv or pip is configured with, or pip's own default; without `/simple` at its end."""
    found = next(filter(None, _configured(environ)), "") or _default()
    return re.sub(r"/(simple|\+simple)/?$", "", found.rstrip("/"))


def _configured(environ: Mapping[str, str]) -> Iterator[str]:
    yield from (environ.get(name, "") for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"))
    home = Path(environ.get("XDG_CONFIG_HOME") or Path(environ.get("HOME", "/")) / ".config")
    yield from map(_uv_index, (home / "uv" / "uv.toml", Path("/etc/uv/uv.toml")))
    command = [sys.executable, "-m", "pip", "config", "get", "global.index-url"]
    yield subprocess.run(command, capture_output=True, text=True, check=False, env=dict(environ)).stdout.strip()


def _uv_index(path: Path) -> str:
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    indexes = [each for each in settings.get("index", []) if isinstance(each, dict) and each.get("default")]
    return str(indexes[0].get("url", "")) if indexes else str(settings.get("index-url", ""))


def _default() -> str:
    try:
        from pip._internal.models.index import PyPI
    except ImportError:
        return ""
    return str(PyPI.simple_url)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _line(pin: Pin, advisory: dict[str, Any]) -> str:
    names = [str(each) for each in (advisory.get("id"), *(advisory.get("aliases") or [])) if each]
    fixed = ", ".join(map(str, advisory.get("fixed_in") or [])) or "no version yet"
    return _printable(f"{pin[0]} {pin[1]}: {' '.join(names) or 'an advisory without a name'}; mended in {fixed}")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in text)


def _look(index: Index, pin: Pin) -> tuple[list[str], str]:
    """Return the lines of one package, and why it was not looked at (empty if it was)."""
    try:
        return [_line(pin, each) for each in index.advisories(pin)], ""
    except NotAnswered as fault:
        return [], str(fault)


def audit(index: Index, wanted: list[Pin]) -> int:
    """Print what is known of each package; return the exit code."""
    if not wanted:
        print("not looked at: anything, since no pinned package was found")
        return NOT_LOOKED_AT
    silent = _silence(index)
    if silent:
        for name, version in wanted:
            print(f"not looked at: {name} {version} ({silent})")
        return NOT_LOOKED_AT
    with ThreadPoolExecutor(AT_ONCE) as pool:
        results = list(pool.map(lambda pin: _look(index, pin), wanted))
    lines = [line for found, _ in results for line in found]
    unseen = [f"not looked at: {n} {v} ({why})" for (n, v), (_, why) in zip(wanted, results, strict=True) if why]
    print(*lines, *unseen, f"{len(wanted) - len(unseen)} of {len(wanted)} packages looked at", sep="\n")
    if unseen:
        return NOT_LOOKED_AT
    return ADVISORIES if lines else CLEAN


def _silence(index: Index) -> str:
    """Say why this index cannot be believed when it names no advisory; empty if it can."""
    try:
        known = index.advisories(KNOWN)
    except NotAnswered as fault:
        return f"the index was first asked about {KNOWN[0]} {KNOWN[1]}, which has known advisories: {fault}"
    return "" if known else f"the index knows no advisory, not even those of {KNOWN[0]} {KNOWN[1]}"


def main() -> int:
    """Audit the requirement files that are named."""
    files = [Path(argument) for argument in sys.argv[1:]]
    return audit(Index(configured_index(os.environ)), pins(file.read_text(encoding="utf-8") for file in files))


if __name__ == "__main__":
    sys.exit(main())
