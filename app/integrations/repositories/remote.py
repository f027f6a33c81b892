"""The forge's side of a mirror: ask for refs, fetch one, and say plainly why the forge does not give it.

The credential is bound to the forge's own address, and git follows no redirect. Git gets it in the environment of its process
(`GIT_CONFIG_*`, git-config(1)), not in its arguments, and only if the address is an HTTP one.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pygit2
from pygit2.enums import RepositoryOpenFlag

from app.domain.errors import ContentTooLarge, GateError, RepositorySlow, RepositoryUnavailable, UnknownCommit
from app.integrations.repositories.git import Git, GitResult, last_line
from app.integrations.repositories.place import tracking

_EXACTLY = RepositoryOpenFlag.BARE | RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.NO_DOTGIT
_FETCH = ("--quiet", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules", "--force", "--no-show-forced-updates")
_OTHER_FORMAT = re.compile(r"mismatched algorithms: client \w+; server (sha1|sha256)\b")
_LOST = re.compile(r"couldn't find remote ref")
_LEFTOVERS = ("pack/tmp_*", "??/tmp_obj_*", "tmp_objdir-*/*/*", "tmp_objdir-*/*")
_SCHEME = re.compile(r"\A([a-z][a-z0-9+.-]*)://")
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")

_PRIVATE = "{repository} is private or does not exist: set [forges.{forge}] api_token"
_REFUSED = "the forge refused api_token of [forges.{forge}]: set one whose account may read {repository}"
_MISSING = "the forge does not show {repository}: it does not exist, or the account of [forges.{forge}] api_token may not read it"
# What git and the programs that it starts say, and what it means here. The first that matches counts.
_MEANINGS = tuple(
    (re.compile(pattern), meaning)
    for pattern, meaning in (
        (r"could not read (?:Username|Password)|Authentication failed|returned error: 401", "{unauthorized}"),
        (
            r"returned error: 403",
            "the forge forbids to read {repository}: give the account of [forges.{forge}] api_token the right",
        ),
        (r"repository '.*' not found|returned error: 404", "{missing}"),
        (
            r"returned error: 30\d|[Uu]nable to update url base from redirection|redirect",
            "the forge redirects to another address, which is not followed, since it would get the credential: "
            "set url (or clone) of [forges.{forge}] to the last address",
        ),
        (r"returned error: (?P<what>5\d\d)", "the forge answers with an error {what}: see its log"),
        (
            r"(?P<what>certificate[^\n]*|SSL[^\n]*|gnutls_handshake[^\n]*)",
            "the TLS connection to the forge failed ({what}): mend its certificate, or name its authority in SSL_CERT_FILE",
        ),
        (
            r"[Cc]ould not resolve host(?:name)?:? (?P<what>[^\s;,)]+)",
            "the name {what} is not known here: check url of [forges.{forge}], and this machine's DNS",
        ),
        (
            r"Connection refused|[Cc]ouldn't connect to server|[Ff]ailed to connect|No route to host|unreachable",
            "nothing answers at {address}: check that the forge runs, and url (or clone) of [forges.{forge}]",
        ),
        (r"[Tt]imed? ?out|too slow", "the forge at {address} answers too slowly"),
        (r"Permission denied \(", "the forge refused this machine's SSH key: add the key of the gate's user to an account there"),
        (r"Host key verification failed", "the forge's SSH host key is not known: add it to known_hosts of the gate's user"),
        (
            r"dubious ownership|unsafe repository|is owned by someone else",
            "the repository on this disk belongs to another user: set clone of [forges.{forge}] to an HTTP or SSH address",
        ),
        (
            r"does not appear to be a git repository|does not exist",
            "there is no repository at {address}: check url (or clone) of [forges.{forge}]",
        ),
    )
)


class OtherFormat(Exception):
    """The forge makes its ids with another hash than the mirror (git's name of the hash)."""


class Remote:
    """The forge's repositories, by key (`FORGE:OWNER/NAME`)."""

    def __init__(self, git: Git, clone_url: Callable[[str], str], token: Callable[[str], str | None]) -> None:
        self._git = git
        self._clone_url = clone_url
        self._token = token

    def head(self, mirror: Path, repository: str, ref: str) -> str | None:
        """Ask for the commit of `ref`; None: there is none. A forge on this machine is read from disk."""
        url = self._clone_url(repository)
        head = _read_beside(url, ref)
        if head is not None:
            return head
        heads = self._refs(mirror, repository, ref, f"{ref}^{{}}")
        return heads.get(f"{ref}^{{}}") or heads.get(ref)

    def refs(self, mirror: Path, repository: str) -> set[str]:
        """List the names of all branches and tags."""
        return set(self._refs(mirror, repository, "refs/heads/*", "refs/tags/*"))

    def fetch(self, mirror: Path, repository: str, ref: str) -> None:
        """Fetch `ref`; the caller holds the mirror's fetch lock.

        Raises RepositoryUnavailable, UnknownCommit if there is no such ref, ContentTooLarge or OtherFormat.
        """
        try:
            self._ask(mirror, repository, ["fetch", *_FETCH], [f"{ref}:{tracking(ref)}"], missing=f"{repository} has no {ref}")
        except (RepositoryUnavailable, ContentTooLarge):
            largest = _clear_leftovers(mirror)
            if largest < (most := self._git.limits.fetch_bytes) // 512 * 512:
                raise
            raise ContentTooLarge(f"{repository} sends a pack of more than {most} bytes (TIDEGATE_FETCH_BYTES)") from None

    def _refs(self, mirror: Path, repository: str, *patterns: str) -> dict[str, str]:
        answer = self._ask(mirror, repository, ["ls-remote"], list(patterns), missing="")
        rows = (line.partition("\t") for line in answer.out.decode(errors="surrogateescape").splitlines())
        return {name: oid for oid, _, name in rows}

    def _ask(self, mirror: Path, repository: str, verb: list[str], wanted: list[str], *, missing: str) -> GitResult:
        url = self._clone_url(repository)
        token = self._token(repository)
        more = {"GIT_ALLOW_PROTOCOL": _protocol(url), **_credential(url, token)}
        seconds = self._git.limits.fetch_seconds if verb[0] == "fetch" else None
        try:
            result = self._git.run(mirror, *verb, "--", url, *wanted, more=more, seconds=seconds)
        except RepositorySlow as fault:
            raise RepositorySlow(f"the forge answers too slowly: {fault}") from None
        if result.code != 0:
            raise _fault(result, repository, url, has_token=token is not None, missing=missing, verb=verb[0])
        return result


def _clear_leftovers(mirror: Path) -> int:
    """Delete what a fetch that failed has left; return the size of the largest. No other fetch runs meanwhile.

    Each try could leave a whole pack. Git does not say that its pack met the limit, but the file shows it.
    """
    leftovers = [each for pattern in _LEFTOVERS for each in (mirror / "objects").glob(pattern) if each.is_file()]
    largest = max((each.stat().st_size for each in leftovers), default=0)
    for each in leftovers:
        each.unlink(missing_ok=True)
    return largest


def _fault(result: GitResult, repository: str, url: str, *, has_token: bool, missing: str, verb: str) -> GateError | OtherFormat:
    """Say what git's messages mean. What the forge's programs wrote (`remote: …`) does not count."""
    text = "\n".join(x for x in result.err.decode(errors="replace").splitlines() if not x.startswith("remote:"))
    if (other := _OTHER_FORMAT.search(text)) is not None:
        return OtherFormat(other[1])
    if missing and _LOST.search(text):
        return UnknownCommit(missing)
    forge, _, name = repository.partition(":")
    words = {"forge": forge, "repository": name, "address": _address(url)}
    unauthorized, hidden = (_REFUSED, _MISSING) if has_token else (_PRIVATE, _PRIVATE)
    for pattern, meaning in _MEANINGS:
        if (match := pattern.search(text)) is not None:
            sentence = {"{unauthorized}": unauthorized, "{missing}": hidden}.get(meaning, meaning)
            return RepositoryUnavailable(sentence.format(**words, what=_safe(match.groupdict().get("what") or "")))
    return RepositoryUnavailable(f"git {verb}: {_safe(last_line(result))}")


def _safe(text: str) -> str:
    return _CREDENTIALS.sub("", text)[:200]


def _address(url: str) -> str:
    return _CREDENTIALS.sub("", url) if not _protocol(url).startswith("http") else urlsplit(url).netloc.rpartition("@")[2]


def _protocol(url: str) -> str:
    """Return the protocol that git uses for a clone URL (git-clone(1), GIT URLS)."""
    scheme = _SCHEME.match(url)
    if scheme is not None:
        return scheme[1] if scheme[1] in ("http", "https", "ssh", "file") else ""
    return "file" if url.startswith("/") or ":" not in url else "ssh"


def _credential(url: str, token: str | None) -> dict[str, str]:
    """Give the forge's token as the user name of Basic authentication, which every Gogs version accepts."""
    if not token or _protocol(url) not in ("http", "https"):
        return {}
    parts = urlsplit(url)
    basic = base64.b64encode(f"{token}:".encode()).decode()
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"http.{parts.scheme}://{parts.netloc.rpartition('@')[2]}/.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }


def _read_beside(url: str, ref: str) -> str | None:
    """Peel `ref` of a bare repository on this machine. None if anything about it is odd: then git must answer.

    Odd is another owner, whom git refuses (git-config(1), safe.directory), a `%`, which git decodes, or a missing ref.
    """
    folder = url.removeprefix("file://")
    if not folder.startswith("/") or "%" in folder:
        return None
    try:
        if os.stat(folder).st_uid != os.geteuid():
            return None
        reference = pygit2.Repository(folder, _EXACTLY).references.get(ref)
        return str(reference.peel(pygit2.Commit).id) if reference is not None else None
    except (OSError, KeyError, ValueError, pygit2.GitError):
        return None
