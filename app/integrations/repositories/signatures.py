"""Signatures of commits and tags, verified by git itself with ssh-keygen and gpg, against the keys of the access map alone.

Each call writes the keys into a folder of its own, so nothing outlives it: no outdated keyring, no agent. A signature that
cannot be verified is never good. A program that is needed but missing raises RepositoryUnavailable. Next: `signed.py`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from io import BytesIO
from itertools import accumulate
from pathlib import Path

from app.domain.errors import UnknownCommit
from app.domain.event import is_object_id
from app.domain.signature import CommitKey, KeyKind, ObjectKind, SignatureVerdict, SignedObject
from app.integrations.repositories.git import Git, GitResult, run
from app.integrations.repositories.gnupg import make_home, program
from app.integrations.repositories.protocol import COMMITS_VERIFIED
from app.integrations.repositories.signed import Form, Raw, read_commit, read_tag

_LEAST_SHARE, _MOST_SHARES = 8, 8  # commits that are worth a process of git, and processes at a time
LARGEST_OBJECT = 1024 * 1024  # bytes; a commit with a signature has one or two thousand
LARGEST_SUM = 32 * LARGEST_OBJECT  # of all objects of one call: a small pack may hold large ones, and they lie in memory
_SSH_PUBLIC = re.compile(r"\A[a-z0-9@.-]+ [A-Za-z0-9+/]+={0,2}\Z")
_GOOD_SSH = re.compile(r'\AGood "git" signature (?P<known>for k\d+ )?with \S+ key (?P<fingerprint>SHA256:\S+)\n')
# gpg's status codes (its doc/DETAILS, "General status codes") as git's letters (git-log(1), %G?)
_LETTERS = {"GOODSIG": "G", "BADSIG": "B", "EXPSIG": "X", "EXPKEYSIG": "Y", "REVKEYSIG": "R", "ERRSIG": "E"}
_BAD_LETTERS = frozenset("BXYR")
# U: a key that no web of trust vouches for. For SSH it means a key that is not in the file of allowed signers.
_GOOD_LETTERS = {Form.SSH: frozenset("G"), Form.GPG: frozenset("GU")}


@dataclass(frozen=True, slots=True)
class TagObject:
    """An annotated tag: its own id, and the name under which it was found (without `refs/tags/`)."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class _Head:
    """An object's id, kind and size."""

    id: str
    kind: str
    size: int


@dataclass(frozen=True, slots=True)
class _Answer:
    """Git's answer about one signature: a letter of `%G?`, and the fingerprint of the (primary) key, or its id."""

    letter: str
    fingerprint: str


_NO_ANSWER = _Answer("E", "")


@dataclass(frozen=True, slots=True)
class _Verifier:
    """Git for one call, with its settings and its environment."""

    git: Git
    mirror: Path
    settings: Sequence[str]
    more: Mapping[str, str]

    def read(self, *arguments: str, given: bytes) -> bytes:
        """Run git and return its output."""
        return self.git.read(self.mirror, *arguments, more=self.more, settings=self.settings, given=given)

    def run(self, *arguments: str) -> GitResult:
        """Run git to its end, good or bad."""
        return self.git.run(self.mirror, *arguments, more=self.more, settings=self.settings)


def verify(
    git: Git, mirror: Path, commits: Sequence[str], *, tag: TagObject | None, keys: Sequence[CommitKey]
) -> list[SignedObject]:
    """Verify the first COMMITS_VERIFIED of `commits` in their order, then the tag.

    A signed tag on another commit than `commits` says nothing about them, and is bad, unless `commits` is empty.
    Raises RepositoryUnavailable, or UnknownCommit if the mirror lacks one of them.
    """
    raws = _read(git, mirror, list(dict.fromkeys(commits[:COMMITS_VERIFIED])), tag=tag)
    to_verify = [raw for raw in raws if _needs_asking(raw, keys)]
    answers: dict[str, _Answer] = {}
    if to_verify:
        with tempfile.TemporaryDirectory(prefix="keys-", dir=mirror.resolve()) as scratch:
            answers = _ask(_prepare_git(git, mirror, Path(scratch), forms={raw.form for raw in to_verify}, keys=keys), to_verify)
    return [_as_signed_object(raw, answers.get(raw.id, _NO_ANSWER), keys) for raw in raws]


def _needs_asking(raw: Raw, keys: Sequence[CommitKey]) -> bool:
    """Tell whether a program must check it. An SSH signature holds its own key; gpg needs a key to say anything."""
    return raw.form is Form.SSH or (raw.form is Form.GPG and any(key.kind is KeyKind.GPG for key in keys))


def _read(git: Git, mirror: Path, commits: list[str], *, tag: TagObject | None) -> list[Raw]:
    """Read the objects as they are stored. An object that is too large counts as malformed, and so is never good."""
    names = [*commits, *((tag.id, f"{tag.id}^{{commit}}") if tag else ())]
    heads = _heads(git, mirror, names)
    if any(head.kind != "commit" for head in heads[: len(commits)]):
        raise UnknownCommit("an object to be verified is not a commit")
    texts = _texts(git, mirror, heads[: len(commits) + (tag is not None)])
    raws = [
        read_commit(oid, texts[oid]) if oid in texts else Raw(oid, ObjectKind.COMMIT, "", Form.MALFORMED)
        for oid in (head.id for head in heads[: len(commits)])
    ]
    if tag is None:
        return raws
    oid, target = heads[-2].id, heads[-1].id
    read = read_tag(oid, texts[oid], tag.name) if oid in texts else Raw(oid, ObjectKind.TAG, "", Form.MALFORMED)
    is_elsewhere = bool(commits) and target not in commits and read.form is not Form.NONE
    return [*raws, replace(read, form=Form.MALFORMED) if is_elsewhere else read]


def _heads(git: Git, mirror: Path, names: Sequence[str]) -> list[_Head]:
    """Ask for kinds and sizes before an object is read; raises UnknownCommit if the mirror lacks one."""
    if not all(is_object_id(name.removesuffix("^{commit}")) for name in names):
        raise UnknownCommit("an object to be verified is not named by its id")
    given = "".join(f"{name}\n" for name in names).encode()
    out = BytesIO(git.read(mirror, "cat-file", "--batch-check", given=given) if names else b"")
    return [_head(out, name) for name in names]


def _head(out: BytesIO, name: str) -> _Head:
    """Read one `ID TYPE SIZE` (git-cat-file(1), BATCH OUTPUT)."""
    words = out.readline().decode(errors="replace").split()
    if len(words) != 3 or not words[2].isdecimal():
        raise UnknownCommit(f"the repository does not hold {name}")
    return _Head(words[0], words[1], int(words[2]))


def _texts(git: Git, mirror: Path, heads: Sequence[_Head]) -> dict[str, bytes]:
    """Read the objects that are not too large, up to LARGEST_SUM, in one process."""
    small = [head for head in heads if head.size <= LARGEST_OBJECT]
    sums = accumulate(head.size for head in small)
    wanted = [head for head, total in zip(small, sums, strict=True) if total <= LARGEST_SUM]
    given = "".join(f"{head.id}\n" for head in wanted).encode()
    out = BytesIO(git.read(mirror, "cat-file", "--batch", given=given) if wanted else b"")
    texts: dict[str, bytes] = {}
    for head in wanted:
        texts[head.id] = out.read(_head(out, head.id).size)
        out.read(1)  # a newline ends each
    return texts


def _prepare_git(git: Git, mirror: Path, scratch: Path, *, forms: Set[Form], keys: Sequence[CommitKey]) -> _Verifier:
    """Write the keys into `scratch` and pin the programs. A program that is not needed is pinned to `false`."""
    allowed = scratch / "allowed_signers"
    allowed.write_text("".join(_allowed_signers(keys)))
    home = make_home(scratch)
    more = {"GNUPGHOME": str(home), "TMPDIR": str(scratch)}
    ssh = program("ssh-keygen", git.environment) if Form.SSH in forms else "false"
    gpg = program("gpg", git.environment) if Form.GPG in forms else "false"
    if Form.GPG in forms:
        files = list(_blocks(keys, scratch))
        run([gpg, "--import", *files], scratch, {**git.environment, **more}, name="gpg", given=b"", limits=git.limits)
    programs = (f"gpg.program={gpg}", f"gpg.openpgp.program={gpg}", "gpg.x509.program=false", f"gpg.ssh.program={ssh}")
    signers = (f"gpg.ssh.allowedSignersFile={allowed}", "gpg.minTrustLevel=undefined")
    return _Verifier(git, mirror, (*programs, *signers, "log.showSignature=false", "log.mailmap=false"), more)


def _allowed_signers(keys: Sequence[CommitKey]) -> Iterator[str]:
    """Spell the allowed signers (ssh-keygen(1), ALLOWED SIGNERS). The names are numbers, which mean nothing to it."""
    for number, key in enumerate(keys):
        if key.kind is KeyKind.SSH and _SSH_PUBLIC.match(key.public):
            yield f'k{number} namespaces="git" {key.public}\n'


def _blocks(keys: Sequence[CommitKey], scratch: Path) -> Iterator[str]:
    """Write each GPG key into a file of its own, so that a damaged one does not affect the others; yield the files' names."""
    for number, key in enumerate(keys):
        if key.kind is KeyKind.GPG:
            (scratch / f"k{number}.asc").write_text(key.public)
            yield f"k{number}.asc"


def _ask(verifier: _Verifier, to_verify: Sequence[Raw]) -> dict[str, _Answer]:
    """Verify commits in as many parts as there are processors, since git starts a program or two for each, one by one."""
    commits = [raw for raw in to_verify if raw.kind is ObjectKind.COMMIT]
    answers = {raw.id: _ask_of_tag(verifier, raw) for raw in to_verify if raw.kind is ObjectKind.TAG}
    count = min(os.cpu_count() or 1, _MOST_SHARES, -(-len(commits) // _LEAST_SHARE))
    if count > 0:
        with ThreadPoolExecutor(count) as pool:
            for part in pool.map(partial(_ask_of_commits, verifier), [commits[n::count] for n in range(count)]):
                answers |= part
    return answers


def _ask_of_commits(verifier: _Verifier, commits: Sequence[Raw]) -> dict[str, _Answer]:
    """Let one git verify a part. Its answer holds ids, letters and fingerprints only, no text that others chose."""
    given = "".join(f"{raw.id}\n" for raw in commits).encode()
    shape = "--format=%H %G? %x3a%GF %x3a%GP %x3a%GK"
    out = verifier.read("log", "--no-walk=unsorted", "--stdin", "--no-color", shape, given=given)
    forms = {raw.id: raw.form for raw in commits}
    answers: dict[str, _Answer] = {}
    for line in out.decode("ascii", "replace").splitlines():
        oid, letter, key, primary, key_id = line.split(" ")
        fingerprint = key if forms[oid] is Form.SSH else max(primary, key_id, key=len)
        answers[oid] = _Answer(letter, fingerprint[1:])
    return answers


def _ask_of_tag(verifier: _Verifier, raw: Raw) -> _Answer:
    """Let git verify a tag, and read the programs' output (git-verify-tag(1), --raw): not every git has letters here."""
    result = verifier.run("verify-tag", "--raw", raw.id)
    status = result.err.decode(errors="replace")
    return _ssh_answer(status, result.code) if raw.form is Form.SSH else _gpg_answer(status, result.code)


def _ssh_answer(status: str, code: int) -> _Answer:
    good = _GOOD_SSH.match(status)
    if good is None:
        return _Answer("B", "")
    return _Answer("G" if good["known"] and code == 0 else "U", good["fingerprint"])


def _gpg_answer(status: str, code: int) -> _Answer:
    """Read gpg's status lines. A good answer has one signature, and one key that made it."""
    rows = [line.split(" ")[1:] for line in status.split("\n") if line.startswith("[GNUPG:] ")]
    letters = [(_LETTERS[row[0]], row[1]) for row in rows if row[0] in _LETTERS]
    primaries = [row[-1] for row in rows if row[0] == "VALIDSIG"]
    if len(letters) != 1:
        return _NO_ANSWER
    letter, key_id = letters[0]
    if letter == "G" and (code != 0 or len(primaries) != 1):
        return _NO_ANSWER
    return _Answer(letter, primaries[0] if primaries else key_id)


def _as_signed_object(raw: Raw, answer: _Answer, keys: Sequence[CommitKey]) -> SignedObject:
    """Turn git's answer and the key's owner into a verdict. A key of two principals proves neither."""
    matching = [key for key in keys if key.fingerprint == answer.fingerprint and key.kind == raw.form.value]
    subjects = {key.subject for key in matching}
    signer = subjects.pop() if len(subjects) == 1 and answer.letter in _GOOD_LETTERS.get(raw.form, ()) else None
    verdict = _verdict(raw, answer, is_known=signer is not None, is_revoked=any(key.is_revoked for key in matching))
    return SignedObject(raw.id, raw.kind, raw.email, verdict, signer_subject=signer, fingerprint=answer.fingerprint)


def _verdict(raw: Raw, answer: _Answer, *, is_known: bool, is_revoked: bool) -> SignatureVerdict:
    if raw.form is Form.NONE:
        return SignatureVerdict.UNSIGNED
    if raw.form is Form.MALFORMED or answer.letter in _BAD_LETTERS or is_revoked:
        return SignatureVerdict.BAD
    return SignatureVerdict.GOOD if is_known else SignatureVerdict.UNKNOWN_KEY
