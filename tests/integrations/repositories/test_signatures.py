"""Signatures made by the real git, ssh-keygen and gpg; none of these tests is skipped where a program is missing."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from app.domain.errors import RepositoryUnavailable, UnknownCommit
from app.domain.signature import CommitKey, KeyKind, ObjectKind, SignedObject
from app.domain.signature import SignatureVerdict as Verdict
from app.integrations.repositories import signatures
from app.integrations.repositories.git import Git, GitLimits
from app.integrations.repositories.mirror import Mirror
from app.integrations.repositories.public_keys import read_public_key
from app.integrations.repositories.signatures import TagObject, verify

REPOSITORY = "gogs:acme/shop"
EMAIL = "alice@example.com"
TABLE = ("ssh", "gpg")


@dataclass
class Signer:
    """A key pair: how git is told to sign with it, and the public key as the access map has it."""

    options: tuple[str, ...]
    key: CommitKey


@dataclass
class Rings:
    """Makes key pairs below one folder: SSH ones beside each other, GPG ones in one home."""

    folder: Path
    home: Path
    made: int = field(default=0)

    def ssh(self, subject: str, *options: str) -> Signer:
        self.made += 1
        path = self.folder / f"ssh{self.made}"
        subprocess.run(
            ["ssh-keygen", "-q", *(options or ("-t", "ed25519")), "-N", "", "-C", subject, "-f", str(path)], check=True
        )
        kind, public, fingerprint = read_public_key(path.with_suffix(".pub").read_text())
        key = CommitKey(f"key {self.made}", subject, kind, public, fingerprint, is_revoked=False)
        return Signer(("-c", "gpg.format=ssh", "-c", f"user.signingKey={path}"), key)

    def gpg(self, subject: str, *, algorithm: str = "ed25519", expires: str = "never", more: Sequence[str] = ()) -> Signer:
        self.made += 1
        uid = f"{subject}{self.made} <{subject}{self.made}@example.com>"
        self.run(*more, "--passphrase", "", "--quick-gen-key", uid, algorithm, "sign", expires)
        listed = self.run("--with-colons", "-k", f"={uid}")
        fingerprint = next(line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr"))
        public = self.run("--armor", "--export", fingerprint)
        key = CommitKey(f"key {self.made}", subject, KeyKind.GPG, public, fingerprint, is_revoked=False)
        return Signer(("-c", "gpg.format=openpgp", "-c", f"user.signingKey={fingerprint}!"), key)

    def run(self, *arguments: str, given: str = "") -> str:
        command = ["gpg", "--batch", "--quiet", "--pinentry-mode", "loopback", *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, env=self.env(), input=given)
        return done.stdout

    def env(self) -> dict[str, str]:
        return {**os.environ, "GNUPGHOME": str(self.home)}


@pytest.fixture(scope="module")
def rings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rings]:
    folder = tmp_path_factory.mktemp("keys")
    home = folder / "gnupg"
    home.mkdir(mode=0o700)
    yield Rings(folder, home)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)


@pytest.fixture(scope="module")
def alice(rings: Rings) -> dict[str, Signer]:
    return {"ssh": rings.ssh("alice"), "gpg": rings.gpg("alice")}


@pytest.fixture(scope="module")
def mallory(rings: Rings) -> dict[str, Signer]:
    return {"ssh": rings.ssh("mallory"), "gpg": rings.gpg("mallory")}


class Origin:
    """A bare repository with commits and no work tree, as a forge has it."""

    def __init__(self, folder: Path, rings: Rings, *, hashes: str = "sha1") -> None:
        self.bare = folder / "acme" / "shop.git"
        self.rings = rings
        self.git("init", "-q", "--bare", f"--object-format={hashes}", str(self.bare), at=folder)
        self.tree = self.git("mktree")
        self.head: str | None = None

    def git(self, *arguments: str, at: Path | None = None, given: bytes = b"", email: str = EMAIL, name: str = "Alice") -> str:
        who = ("-c", f"user.email={email}", "-c", f"user.name={name}")
        environment = {**self.rings.env(), "GIT_CONFIG_GLOBAL": "/dev/null"}
        command = ["git", *who, *arguments]
        done = subprocess.run(command, cwd=at or self.bare, check=True, capture_output=True, env=environment, input=given)
        return done.stdout.decode(errors="replace").strip()

    def commit(self, signer: Signer | None, *, parents: Sequence[str] = (), email: str = EMAIL, name: str = "Alice") -> str:
        known = parents or ([self.head] if self.head else [])
        above = [part for parent in known for part in ("-p", parent)]
        options = signer.options if signer else ()
        sign = ["-S"] if signer else []
        made = self.git(*options, "commit-tree", *sign, *above, "-m", "words", self.tree, email=email, name=name)
        self.git("update-ref", "refs/heads/main", made)
        self.head = made
        return made

    def raw(self, oid: str) -> bytes:
        command = ["git", "cat-file", self.git("cat-file", "-t", oid), oid]
        return subprocess.run(command, cwd=self.bare, check=True, capture_output=True).stdout

    def write(self, kind: str, raw: bytes) -> str:
        return self.git("hash-object", "-t", kind, "-w", "--stdin", "--literally", given=raw)

    def tag(self, signer: Signer | None, name: str, what: str, *, email: str = EMAIL, said: str = "words") -> TagObject:
        options = signer.options if signer else ()
        self.git(*options, "tag", "-s" if signer else "-a", "-m", said, name, what, email=email)
        return TagObject(self.git("rev-parse", f"refs/tags/{name}"), name)

    def verify(
        self, commits: Sequence[str], *signers: Signer | CommitKey, tag: TagObject | None = None, timeout: float = 60
    ) -> list[SignedObject]:
        keys = [s.key if isinstance(s, Signer) else s for s in signers]
        return verify(Git({"PATH": os.environ["PATH"]}, GitLimits(seconds=timeout)), self.bare, commits, tag=tag, keys=keys)

    def verdicts(self, commits: Sequence[str], *signers: Signer | CommitKey, tag: TagObject | None = None) -> list[Verdict]:
        return [signed.verdict for signed in self.verify(commits, *signers, tag=tag)]


@pytest.fixture
def origin(tmp_path: Path, rings: Rings) -> Origin:
    return Origin(tmp_path, rings)


@pytest.mark.parametrize("form", TABLE)
@pytest.mark.parametrize("hashes", ["sha1", "sha256"])
def test_a_known_key_signs_well(
    tmp_path: Path, rings: Rings, alice: dict[str, Signer], mallory: dict[str, Signer], form: str, hashes: str
) -> None:
    origin, signer = Origin(tmp_path, rings, hashes=hashes), alice[form]
    sha = origin.commit(signer)
    tag = origin.tag(signer, "v1", sha)
    found = origin.verify([sha], *mallory.values(), *alice.values(), tag=tag)
    expected = SignedObject(sha, ObjectKind.COMMIT, EMAIL, Verdict.GOOD, "alice", signer.key.fingerprint)
    assert found == [expected, replace(expected, id=tag.id, kind=ObjectKind.TAG)]


@pytest.mark.parametrize("form", TABLE)
def test_a_key_that_nobody_has_is_unknown(
    origin: Origin, alice: dict[str, Signer], mallory: dict[str, Signer], form: str
) -> None:
    sha = origin.commit(mallory[form])
    tag = origin.tag(mallory[form], "v1", sha)
    assert origin.verdicts([sha], *alice.values(), tag=tag) == [Verdict.UNKNOWN_KEY] * 2
    assert origin.verdicts([sha], tag=tag) == [Verdict.UNKNOWN_KEY] * 2
    other = "gpg" if form == "ssh" else "ssh"
    assert origin.verdicts([sha], alice[other], tag=tag) == [Verdict.UNKNOWN_KEY] * 2


@pytest.mark.parametrize("form", TABLE)
def test_a_revoked_key_is_bad_whoever_else_has_it(origin: Origin, alice: dict[str, Signer], form: str) -> None:
    sha = origin.commit(alice[form])
    tag = origin.tag(alice[form], "v1", sha)
    revoked = replace(alice[form].key, is_revoked=True)
    assert origin.verdicts([sha], revoked, tag=tag) == [Verdict.BAD] * 2
    assert origin.verdicts([sha], alice[form], replace(revoked, subject="bob")) == [Verdict.BAD]


@pytest.mark.parametrize("form", TABLE)
def test_a_key_of_two_principals_proves_neither(origin: Origin, alice: dict[str, Signer], form: str) -> None:
    sha = origin.commit(alice[form])
    found = origin.verify([sha], alice[form], replace(alice[form].key, subject="bob"))
    assert [(signed.verdict, signed.signer_subject) for signed in found] == [(Verdict.UNKNOWN_KEY, None)]


@pytest.mark.parametrize("form", TABLE)
def test_a_text_changed_after_it_was_signed_is_bad(origin: Origin, alice: dict[str, Signer], form: str) -> None:
    sha = origin.commit(alice[form])
    tag = origin.tag(alice[form], "v1", sha)
    changed = origin.write("commit", origin.raw(sha).replace(b"words", b"swords"))
    changed_tag = TagObject(origin.write("tag", origin.raw(tag.id).replace(b"words", b"swords")), "v1")
    assert origin.verdicts([changed, sha], *alice.values(), tag=changed_tag) == [
        Verdict.BAD,
        Verdict.GOOD,
        Verdict.BAD,
    ]


@pytest.mark.parametrize("form", TABLE)
def test_a_signature_of_another_commit_is_bad(origin: Origin, alice: dict[str, Signer], form: str) -> None:
    first, second = origin.raw(origin.commit(alice[form])), origin.raw(origin.commit(None, name="Bob"))
    signature = first[first.index(b"gpgsig ") : first.index(b"\n\n") + 1]
    stuck = origin.write("commit", second.replace(b"\n\n", b"\n" + signature + b"\n", 1))
    assert origin.verdicts([stuck], *alice.values()) == [Verdict.BAD]


GREASED: dict[str, tuple[Callable[[bytes], bytes], Verdict]] = {
    "two signatures": (lambda raw: raw[: raw.index(b"\n\n") + 1] + raw[raw.index(b"gpgsig ") :], Verdict.BAD),
    "parents hidden behind a header that is not signed": (
        lambda raw: raw.replace(b"parent", b"gpgsigs x\nparent", 1),
        Verdict.BAD,
    ),
    "a header of our own name without text": (lambda raw: raw.replace(b"gpgsig ", b"gpgsig\ngpgsig ", 1), Verdict.BAD),
    "unsigned text smuggled in": (lambda raw: raw.replace(b"\n\n", b"\ngpgsig-note free text\n\n", 1), Verdict.BAD),
    "text after the signature": (lambda raw: raw.replace(b"\n\n", b"\n free text\n\n", 1), Verdict.BAD),
    "a header of the other hash, which nobody checks": (
        lambda raw: raw.replace(b"gpgsig ", b"gpgsig-sha256 ", 1),
        Verdict.UNSIGNED,
    ),
    "both headers": (lambda raw: raw.replace(b"\n\n", b"\ngpgsig-sha256 x\n\n", 1), Verdict.GOOD),
    "X.509": (
        lambda raw: raw.replace(b"SSH SIGNATURE", b"SIGNED MESSAGE").replace(b"PGP SIGNATURE", b"SIGNED MESSAGE"),
        Verdict.UNKNOWN_KEY,
    ),
    "a form that git does not know": (lambda raw: raw.replace(b" SIGNATURE-", b" SEAL-"), Verdict.UNKNOWN_KEY),
    "a blank line at its end, as GitHub writes it": (lambda raw: raw.replace(b"\n\n", b"\n \n\n", 1), Verdict.GOOD),
    "no committer": (lambda raw: raw.replace(b"\ncommitter", b"\nforger", 1), Verdict.BAD),
    "a NUL": (lambda raw: raw.replace(b"\n\n", b"\nx \0\n\n", 1), Verdict.BAD),
    "garbage": (lambda raw: raw[: raw.index(b"gpgsig ") + 60] + b"\n \xff\xfe\n\nwords\n", Verdict.BAD),
}


@pytest.mark.parametrize("form", TABLE)
@pytest.mark.parametrize("how", GREASED)
def test_what_is_done_to_a_signed_commit(origin: Origin, alice: dict[str, Signer], form: str, how: str) -> None:
    change, expected = GREASED[how]
    origin.commit(None)
    changed = origin.write("commit", change(origin.raw(origin.commit(alice[form]))))
    assert origin.verdicts([changed], *alice.values()) == [expected]


def test_two_openpgp_signatures_in_one_block_are_not_good(origin: Origin, rings: Rings, alice: dict[str, Signer]) -> None:
    payload = origin.raw(origin.commit(None))
    users = [part for signer in (alice["gpg"], rings.gpg("second")) for part in ("-u", signer.key.fingerprint)]
    armor = rings.run("--armor", "--detach-sign", *users, given=payload.decode())
    header = "gpgsig " + armor.strip().replace("\n", "\n ")
    twice = origin.write("commit", payload.replace(b"\n\n", b"\n" + header.encode() + b"\n\n", 1))
    assert origin.verdicts([twice], *alice.values()) == [Verdict.UNKNOWN_KEY]


def test_a_signed_message_that_holds_its_own_text_is_not_good(origin: Origin, rings: Rings, alice: dict[str, Signer]) -> None:
    armor = rings.run("--armor", "--sign", "-u", alice["gpg"].key.fingerprint, given="anything")
    for name in ("PGP SIGNATURE", "PGP MESSAGE"):
        header = "gpgsig " + armor.strip().replace("PGP MESSAGE", name).replace("\n", "\n ")
        sha = origin.write("commit", origin.raw(origin.commit(None)).replace(b"\n\n", b"\n" + header.encode() + b"\n\n", 1))
        assert origin.verdicts([sha], *alice.values()) == [Verdict.UNKNOWN_KEY]


def test_an_ssh_signature_made_for_something_else_is_bad(origin: Origin, alice: dict[str, Signer]) -> None:
    payload, path = origin.raw(origin.commit(None)), alice["ssh"].options[-1].partition("=")[2]
    sign = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", path]
    armor = subprocess.run(sign, input=payload, check=True, capture_output=True).stdout.strip().replace(b"\n", b"\n ")
    sha = origin.write("commit", payload.replace(b"\n\n", b"\ngpgsig " + armor + b"\n\n", 1))
    assert origin.verdicts([sha], *alice.values()) == [Verdict.BAD]


def test_an_expired_gpg_key_is_bad(origin: Origin, rings: Rings) -> None:
    old = rings.gpg("old", expires="seconds=100", more=("--faked-system-time", "20200101T000000"))
    program = rings.folder / "then"
    program.write_text('#!/bin/sh\nexec gpg --faked-system-time 20200101T000010 "$@"\n')
    program.chmod(0o755)
    then = Signer((*old.options, "-c", f"gpg.program={program}"), old.key)
    sha = origin.commit(then)
    assert origin.verdicts([sha], old, tag=origin.tag(then, "v1", sha)) == [Verdict.BAD] * 2


def test_a_gpg_key_that_its_owner_revoked_is_bad(origin: Origin, rings: Rings) -> None:
    signer = rings.gpg("gone")
    sha = origin.commit(signer)
    tag = origin.tag(signer, "v1", sha)
    paper = (rings.home / "openpgp-revocs.d" / f"{signer.key.fingerprint}.rev").read_text()
    rings.run("--import", given=paper.replace(":-----BEGIN", "-----BEGIN"))
    revoked = replace(signer.key, public=rings.run("--armor", "--export", signer.key.fingerprint))
    assert origin.verdicts([sha], revoked, tag=tag) == [Verdict.BAD] * 2


def test_a_subkey_signs_for_its_primary_key(origin: Origin, rings: Rings) -> None:
    signer = rings.gpg("many")
    rings.run("--passphrase", "", "--quick-add-key", signer.key.fingerprint, "ed25519", "sign", "never")
    listed = rings.run("--with-colons", "-k", signer.key.fingerprint)
    subkey = [line.split(":")[9] for line in listed.splitlines() if line.startswith("fpr")][1]
    by_subkey = Signer(("-c", "gpg.format=openpgp", "-c", f"user.signingKey={subkey}!"), signer.key)
    key = replace(signer.key, public=rings.run("--armor", "--export", signer.key.fingerprint))
    sha = origin.commit(by_subkey)
    found = origin.verify([sha], key, tag=origin.tag(by_subkey, "v1", sha))
    assert [(signed.verdict, signed.fingerprint) for signed in found] == [(Verdict.GOOD, signer.key.fingerprint)] * 2


def test_a_second_key_in_a_block_is_nobodys(origin: Origin, alice: dict[str, Signer], mallory: dict[str, Signer]) -> None:
    both = replace(alice["gpg"].key, public=alice["gpg"].key.public + mallory["gpg"].key.public)
    assert origin.verdicts([origin.commit(mallory["gpg"])], both) == [Verdict.UNKNOWN_KEY]


def test_a_broken_key_takes_no_other_with_it(origin: Origin, alice: dict[str, Signer]) -> None:
    broken = replace(alice["gpg"].key, public="-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nAAAA\n", fingerprint="F" * 40)
    shas = [origin.commit(alice[form]) for form in TABLE]
    assert origin.verdicts(shas, *alice.values(), broken) == [Verdict.GOOD] * 2


def test_a_sha1_digest_signs_nothing(origin: Origin, rings: Rings, alice: dict[str, Signer]) -> None:
    program = rings.folder / "weak"
    program.write_text('#!/bin/sh\nexec gpg --digest-algo SHA1 "$@"\n')
    program.chmod(0o755)
    rsa = rings.gpg("weak", algorithm="rsa2048")
    sha = origin.commit(Signer((*rsa.options, "-c", f"gpg.program={program}"), rsa.key))
    assert origin.verdicts([sha, origin.commit(rsa)], rsa) == [Verdict.UNKNOWN_KEY, Verdict.GOOD]


@pytest.mark.parametrize("options", [("-t", "rsa", "-b", "2048"), ("-t", "ecdsa", "-b", "384")])
def test_other_kinds_of_ssh_keys_sign_too(origin: Origin, rings: Rings, options: tuple[str, ...]) -> None:
    signer = rings.ssh("carol", *options)
    sha = origin.commit(signer)
    assert origin.verdicts([sha], signer, tag=origin.tag(signer, "v1", sha)) == [Verdict.GOOD] * 2


def test_a_mixed_range_with_merges_is_told_object_by_object(
    origin: Origin, alice: dict[str, Signer], mallory: dict[str, Signer]
) -> None:
    base = origin.commit(None)
    left, right = (origin.commit(alice[form], parents=[base]) for form in TABLE)
    merge = origin.commit(alice["ssh"], parents=[left, right])
    unknown = origin.commit(mallory["ssh"])
    expected = [
        Verdict.UNKNOWN_KEY,
        Verdict.GOOD,
        Verdict.GOOD,
        Verdict.GOOD,
        Verdict.UNSIGNED,
    ]
    assert origin.verdicts([unknown, merge, right, left, base], *alice.values()) == expected


def test_three_hundred_commits_come_back_in_their_order(origin: Origin, alice: dict[str, Signer]) -> None:
    signed = origin.raw(origin.commit(alice["ssh"]))
    shas = [origin.commit(alice["ssh"] if n % 3 == 0 else None, name=f"N{n}") for n in range(60)]
    shas += [origin.write("commit", signed.replace(b"words", b"w%d" % n)) for n in range(240)]
    found = origin.verify(shas, *alice.values())
    assert [f.id for f in found] == shas
    expected = [Verdict.GOOD if n % 3 == 0 else Verdict.UNSIGNED for n in range(60)] + [Verdict.BAD] * 240
    assert [f.verdict for f in found] == expected


def test_many_gpg_signatures_are_verified_side_by_side(origin: Origin, alice: dict[str, Signer]) -> None:
    shas = [origin.commit(alice["gpg"], name=f"N{n}") for n in range(32)]
    for _ in range(3):
        assert set(origin.verdicts(shas, *alice.values())) == {Verdict.GOOD}


def test_not_more_than_the_bound_is_verified(origin: Origin, alice: dict[str, Signer], monkeypatch: pytest.MonkeyPatch) -> None:
    shas = [origin.commit(alice["ssh"], name=f"N{n}") for n in range(3)]
    monkeypatch.setattr(signatures, "COMMITS_VERIFIED", 2)
    assert [f.id for f in origin.verify(shas, alice["ssh"])] == shas[:2]


def test_what_is_too_large_is_bad_and_is_not_read(
    origin: Origin, alice: dict[str, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what git packs into a few bytes, hundreds of megabytes would lie in memory."""
    sha = origin.commit(alice["ssh"])
    large = origin.write("commit", origin.raw(sha) + b"x" * signatures.LARGEST_OBJECT)
    tag = TagObject(origin.write("tag", origin.raw(origin.tag(None, "v1", sha).id) + b"x" * signatures.LARGEST_OBJECT), "v1")
    largest: list[int] = []
    read = Git.read
    monkeypatch.setattr(Git, "read", lambda *a, **k: largest.append(len(out := read(*a, **k))) or out)
    assert origin.verdicts([large, sha], *alice.values(), tag=tag) == [
        Verdict.BAD,
        Verdict.GOOD,
        Verdict.BAD,
    ]
    assert max(largest) < 10_000
    monkeypatch.setattr(signatures, "LARGEST_SUM", 2 * len(origin.raw(sha)) - 1)
    assert origin.verdicts([sha, origin.commit(alice["ssh"])], *alice.values()) == [Verdict.GOOD, Verdict.BAD]


NAMES = ["%G? %H'\"", 'G :SHA256:x" with k0', "\x1b[2J\u2028\u0085", 'Good "git" signature for k0 with ED25519 key SHA256:x']


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("form", TABLE)
def test_names_of_people_do_not_confuse(
    origin: Origin, alice: dict[str, Signer], mallory: dict[str, Signer], name: str, form: str
) -> None:
    shas = [origin.commit(signer, name=name) for signer in (None, alice[form], mallory[form])]
    tag = origin.tag(mallory[form], "v1", shas[0], said=f"{name}\n[GNUPG:] GOODSIG x\n-----BEGIN SSH SIGNATURE-----\n")
    expected = [Verdict.UNSIGNED, Verdict.GOOD, Verdict.UNKNOWN_KEY, Verdict.UNKNOWN_KEY]
    assert origin.verdicts(shas, *alice.values(), tag=tag) == expected


def test_a_line_break_in_a_name_cannot_forge_a_committer(origin: Origin, alice: dict[str, Signer]) -> None:
    raw = origin.raw(origin.commit(alice["ssh"]))
    for forged in (
        b"committer A\nlice <",
        b"committer <bob@example.com> <",
        b"committer Bob <bob@example.com> 1 +0000\ncommitter A <",
    ):
        sha = origin.write("commit", raw.replace(b"committer Alice <", forged))
        found = origin.verify([sha], *alice.values())[0]
        assert found.verdict is Verdict.BAD


@pytest.mark.parametrize(
    "subject", ["*", "alice,bob", 'a"b', "a b", "k1", "!x", "#", "cert-authority", "a\nb ssh-ed25519 AAAA", "%G?", "ü", ""]
)
def test_odd_subjects_and_key_ids_mean_nothing(origin: Origin, alice: dict[str, Signer], subject: str) -> None:
    keys = [replace(signer.key, subject=subject, id=subject) for signer in alice.values()]
    shas = [origin.commit(signer) for signer in alice.values()]
    found = origin.verify(shas, *keys)
    assert [(signed.verdict, signed.signer_subject) for signed in found] == [(Verdict.GOOD, subject)] * 2


def test_a_key_text_with_options_or_lines_is_left_out(
    origin: Origin, alice: dict[str, Signer], mallory: dict[str, Signer]
) -> None:
    sha = origin.commit(mallory["ssh"])
    odd = replace(mallory["ssh"].key, fingerprint="SHA256:none")
    texts = [f"cert-authority {odd.public}", f"{alice['ssh'].key.public}\n* {odd.public}", f"{odd.public} x", ""]
    for text in texts:
        assert origin.verdicts([sha], replace(odd, public=text)) == [Verdict.UNKNOWN_KEY]


@pytest.mark.parametrize("form", TABLE)
def test_tags(origin: Origin, alice: dict[str, Signer], mallory: dict[str, Signer], form: str) -> None:
    first, second = origin.commit(alice[form]), origin.commit(alice[form])
    signed, unsigned = origin.tag(alice[form], "v1", second), origin.tag(None, "v2", second)
    theirs, nested = origin.tag(mallory[form], "v3", second), origin.tag(alice[form], "v4", "v2")
    renamed = TagObject(signed.id, "v9")
    table = [
        (signed, [second, first], Verdict.GOOD),
        (signed, [], Verdict.GOOD),
        (signed, [first], Verdict.BAD),
        (renamed, [second], Verdict.BAD),
        (unsigned, [second], Verdict.UNSIGNED),
        (unsigned, [first], Verdict.UNSIGNED),
        (theirs, [second], Verdict.UNKNOWN_KEY),
        (nested, [second], Verdict.GOOD),
    ]
    for tag, commits, expected in table:
        assert origin.verdicts(commits, *alice.values(), tag=tag)[-1] is expected, tag.name
    by_mallory = origin.verify([second], *alice.values(), mallory[form], tag=theirs)[-1]
    assert (by_mallory.signer_subject, by_mallory.committer_email) == ("mallory", EMAIL)


def test_the_committers_e_mail_is_what_the_object_says(origin: Origin, alice: dict[str, Signer]) -> None:
    sha = origin.commit(alice["ssh"], email="bob@example.com")
    tag = origin.tag(None, "v1", sha, email="carol@example.com")
    assert [f.committer_email for f in origin.verify([sha], *alice.values(), tag=tag)] == ["bob@example.com", "carol@example.com"]


def path_without(folder: Path, missing: str) -> str:
    """Make a folder of programs that lacks one."""
    folder.mkdir()
    for name in {"git", "ssh-keygen", "gpg", "sh"} - {missing}:
        (folder / name).symlink_to(shutil.which(name) or "")
    return str(folder)


@pytest.mark.parametrize(("form", "missing"), [("ssh", "ssh-keygen"), ("gpg", "gpg")])
def test_a_missing_program_is_said_where_it_is_needed_and_only_there(
    origin: Origin, alice: dict[str, Signer], tmp_path: Path, form: str, missing: str
) -> None:
    git = Git({"PATH": path_without(tmp_path / "bin", missing)}, GitLimits(seconds=60))
    keys = [signer.key for signer in alice.values()]
    plain, other = origin.commit(None), origin.commit(alice["gpg" if form == "ssh" else "ssh"])
    found = verify(git, origin.bare, [plain, other], tag=None, keys=keys)
    assert [f.verdict for f in found] == [Verdict.UNSIGNED, Verdict.GOOD]
    sha = origin.commit(alice[form])
    tag = origin.tag(alice[form], "v1", plain)
    for commits, with_tag in (([sha], None), ([], tag)):
        with pytest.raises(RepositoryUnavailable, match=f"{missing} is not installed"):
            verify(git, origin.bare, commits, tag=with_tag, keys=keys)


@pytest.mark.parametrize("form", TABLE)
def test_a_program_that_fails_or_lies_by_its_exit_makes_nothing_good(
    origin: Origin, alice: dict[str, Signer], tmp_path: Path, form: str
) -> None:
    folder = Path(path_without(tmp_path / "bin", {"ssh": "ssh-keygen", "gpg": "gpg"}[form]))
    broken = folder / {"ssh": "ssh-keygen", "gpg": "gpg"}[form]
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    sha = origin.commit(alice[form])
    tag = origin.tag(alice[form], "v1", sha)
    keys = [signer.key for signer in alice.values()]
    try:
        found = verify(Git({"PATH": str(folder)}, GitLimits(seconds=60)), origin.bare, [sha], tag=tag, keys=keys)
    except RepositoryUnavailable:  # git 2.39 crashes where ssh-keygen says nothing at all
        found = verify(Git({"PATH": str(folder)}, GitLimits(seconds=60)), origin.bare, [], tag=tag, keys=keys)
    assert found and not {f.verdict for f in found} & {Verdict.GOOD, Verdict.UNSIGNED}


def test_a_program_that_hangs_is_ended(origin: Origin, alice: dict[str, Signer], tmp_path: Path) -> None:
    folder = Path(path_without(tmp_path / "bin", "ssh-keygen"))
    (folder / "ssh-keygen").write_text("#!/bin/sh\nexec /bin/sleep 60\n")
    (folder / "ssh-keygen").chmod(0o755)
    with pytest.raises(RepositoryUnavailable, match="took longer"):
        verify(
            Git({"PATH": str(folder)}, GitLimits(seconds=0.5)),
            origin.bare,
            [origin.commit(alice["ssh"])],
            tag=None,
            keys=[alice["ssh"].key],
        )


def test_nothing_is_left_and_nothing_of_the_machine_is_used(
    origin: Origin, rings: Rings, alice: dict[str, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even a user's own keyring with the very key in it says nothing: only `keys` do."""
    monkeypatch.setenv("GNUPGHOME", str(rings.home))
    before = sorted(origin.bare.iterdir())
    shas = [origin.commit(signer) for signer in alice.values()]
    assert origin.verdicts(shas, *alice.values()) == [Verdict.GOOD] * 2
    assert origin.verdicts(shas, rings.gpg("else")) == [Verdict.UNKNOWN_KEY] * 2
    assert sorted(origin.bare.iterdir()) == before
    running = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if os.access(path, os.R_OK)]
    assert not [line for line in running if b"keys-" in line and b"gpg-agent" in line]


def test_keys_lie_where_only_this_user_can_read_them(
    origin: Origin, alice: dict[str, Signer], monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    real: Callable[[Path], Path] = vars(signatures)["make_home"]

    def noted(folder: Path) -> Path:
        home = real(folder)
        modes.extend(stat.S_IMODE(path.stat().st_mode) for path in (folder, home))
        return home

    monkeypatch.setattr(signatures, "make_home", noted)
    assert origin.verdicts([origin.commit(alice["gpg"])], *alice.values()) == [Verdict.GOOD]
    assert modes == [0o700, 0o700]


@pytest.mark.parametrize("name", ["1" * 40, "HEAD", "--all", "refs/heads/main", ""])
def test_what_is_no_commit_here_is_unknown(origin: Origin, alice: dict[str, Signer], name: str) -> None:
    origin.commit(alice["ssh"])
    with pytest.raises(UnknownCommit):
        origin.verify([name], *alice.values())
    with pytest.raises(UnknownCommit):
        origin.verify([origin.tree], *alice.values())


def test_nothing_to_verify_is_nothing(origin: Origin, alice: dict[str, Signer]) -> None:
    assert origin.verify([], *alice.values()) == []


def test_the_mirror_verifies_what_it_fetched(origin: Origin, alice: dict[str, Signer], tmp_path: Path) -> None:
    mirror = Mirror(tmp_path / "mirrors", lambda _: str(origin.bare), lambda _: None, environ={"PATH": os.environ["PATH"]})
    sha = origin.commit(alice["gpg"])
    tag = origin.tag(alice["ssh"], "release/v1", sha)
    origin.git("update-ref", "refs/tags/light", sha)
    keys = [signer.key for signer in alice.values()]
    for ref in ("refs/heads/main", "refs/tags/release/v1", "refs/tags/light"):
        assert mirror.fetch(REPOSITORY, ref, None) == sha
    found = mirror.signatures(REPOSITORY, commits=[sha], tag_ref="refs/tags/release/v1", keys=keys)
    assert [(f.id, f.verdict) for f in found] == [(sha, Verdict.GOOD), (tag.id, Verdict.GOOD)]
    assert [f.id for f in mirror.signatures(REPOSITORY, commits=[sha], tag_ref="refs/tags/light", keys=keys)] == [sha]
    for ref in ("refs/tags/none", "refs/heads/main", "refs/tags/a b"):
        with pytest.raises(UnknownCommit):
            mirror.signatures(REPOSITORY, commits=[sha], tag_ref=ref, keys=keys)


def test_a_replaced_commit_is_read_as_it_was_signed(origin: Origin, alice: dict[str, Signer]) -> None:
    plain, signed = origin.commit(None), origin.commit(alice["ssh"])
    origin.git("replace", plain, signed)
    assert origin.verdicts([plain], *alice.values()) == [Verdict.UNSIGNED]
    assert hashlib.sha1(b"commit %d\0" % len(raw := origin.raw(signed)) + raw).hexdigest() == signed
