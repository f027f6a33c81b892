"""Find what tidegate.toml says in vain: slips, which are refused, and doubts, of which `config check` warns.

Faults, which stop a start, are found in `check.py`. What can be seen only beside people and policies: `app/guard/advise.py`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from app.config.tables.fields import Fault
from app.config.tables.file import File
from app.domain.refs.glob import glob_doubt, glob_fault
from app.toml_lines import Where

_HOME = re.compile(r"\A(?:file:|env:)?(?:~|\$)")
_PASSWORD = re.compile(r"://[^/\s@:]*:[^/\s@]+@")
_PLAINTEXT = "is http, so {} crosses the network in clear text: use https, or say allow_plaintext = true"
_LOOPBACK = re.compile(r"\A(?:localhost|127\.\d+\.\d+\.\d+|::1)\Z")


def slips_of(file: File, data: Mapping[str, object]) -> Iterator[Fault]:
    """Find values that were taken once and never do what they say."""
    for where, pattern in _patterns(file):
        kind, _, glob = pattern.partition(":")
        if kind != "release" and (fault := glob_fault(glob)):
            yield where, f"the pattern {pattern!r} {fault}"
    for index, environment in enumerate(file.environments):
        if environment.repository.endswith(".git"):
            yield ("environments", index, "repository"), f"{environment.repository!r} ends with .git: leave that out"
    yield from _unexpanded(data)


def doubts_of(file: File, data: Mapping[str, object], folder: Path) -> Iterator[Fault]:
    """Find what is allowed and is probably not meant."""
    for where, pattern in _patterns(file):
        if doubt := glob_doubt(pattern.partition(":")[2]):
            yield where, f"the pattern {pattern!r} {doubt}"
    used = {target for environment in file.environments for target in environment.targets}
    yield from ((("targets", name), "no environment deploys to it") for name in file.targets if name not in used)
    yield from _plaintext(file)
    yield from _modes(file)
    for where, text in _texts(data):
        if _PASSWORD.search(text):
            yield where, "holds a password: give secrets by reference, env:NAME or file:PATH"
    if folder.resolve() != Path.cwd():
        yield from _relative(file)


def _patterns(file: File) -> Iterator[tuple[Where, str]]:
    for index, environment in enumerate(file.environments):
        for number, pattern in enumerate(environment.deploys):
            yield ("environments", index, "deploys", number), pattern


def _unexpanded(data: Mapping[str, object]) -> Iterator[Fault]:
    """Find paths and references that a shell would expand. The arguments of a command are its own."""
    for where, text in _texts(data):
        is_argument = "argv" in where and where[-1] != 0
        if _HOME.match(text) and not is_argument:
            yield where, f"{text!r} is taken as it is written: ~ and $NAME are not expanded, so write the whole path or name"


def _plaintext(file: File) -> Iterator[Fault]:
    """Find forges and targets whose token would be sent in clear text to another machine."""
    for name, forge in file.forges.items():
        for key, url in (("url", forge.url), ("clone", forge.clone)):
            if forge.api_token and not forge.allow_plaintext and _is_plaintext(url):
                yield ("forges", name, key), _PLAINTEXT.format("api_token")
    for name, target in file.targets.items():
        options = target.model_extra or {}
        if _is_plaintext(options.get("url")) and options.get("allow_plaintext") is not True:
            yield ("targets", name, "url"), _PLAINTEXT.format("the deployment token")


def _is_plaintext(url: object) -> bool:
    """Tell whether a URL leads over http to another machine."""
    parts = urlsplit(url) if isinstance(url, str) else None
    return parts is not None and parts.scheme == "http" and not _LOOPBACK.match(parts.hostname or "")


def _modes(file: File) -> Iterator[Fault]:
    """Find targets that get files of a release, and leave it to the umask of the gate who can read them."""
    for name, target in file.targets.items():
        options = target.model_extra or {}
        gets_files = target.kind == "directory" or (target.kind == "command" and "cwd" not in options)
        if gets_files and "modes" not in options:
            yield ("targets", name), 'the umask of the gate decides who can read a release: say modes = "commit" or "umask"'


def _relative(file: File) -> Iterator[Fault]:
    """Find paths that count from the folder in which a process starts, and not from that of the file."""
    for where, path in _process_paths(file):
        if not Path(path).is_absolute():
            what = "counts from the folder in which each process starts, not from that of this file: write the whole path"
            yield where, f"{path!r} {what}"


def _process_paths(file: File) -> Iterator[tuple[Where, str]]:
    for name, target in file.targets.items():
        if isinstance(path := (target.model_extra or {}).get("path"), str):
            yield ("targets", name, "path"), path
    for name, forge in file.forges.items():
        for index, reference in enumerate(forge.webhook_secrets or ()):
            if reference.startswith("file:"):
                yield ("forges", name, "webhook_secrets", index), reference.removeprefix("file:")


def _texts(data: object) -> Iterator[tuple[Where, str]]:
    """Walk the texts of the file, each with its place. Its depth was checked before (`toml_lines.bad_places`)."""
    left: list[tuple[Where, object]] = [((), data)]
    while left:
        where, value = left.pop()
        if isinstance(value, str):
            yield where, value
        elif isinstance(value, list):
            left += [((*where, index), item) for index, item in enumerate(value)]
        elif isinstance(value, dict):
            left += [((*where, key), item) for key, item in value.items()]
