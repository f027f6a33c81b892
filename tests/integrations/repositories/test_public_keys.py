"""Public keys, made by the real ssh-keygen and gpg, and everything that is none."""

from __future__ import annotations

import base64
import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from app.domain.errors import BadKey, GateError, RepositoryUnavailable
from app.domain.signature import KeyKind
from app.integrations.repositories.public_keys import LONGEST_KEY, read_public_key

PATH = {"PATH": os.environ["PATH"]}


def made(folder: Path, *options: str) -> str:
    path = folder / "key"
    subprocess.run(["ssh-keygen", "-q", *options, "-N", "", "-C", "a ‘comment’", "-f", str(path)], check=True)
    return path.with_suffix(".pub").read_text()


def shown(folder: Path, line: str) -> str:
    """Ask ssh-keygen for the fingerprint."""
    (folder / "shown").write_text(line)
    done = subprocess.run(["ssh-keygen", "-lf", str(folder / "shown")], check=True, capture_output=True, text=True)
    return done.stdout.split()[1]


def string(raw: bytes) -> bytes:
    return struct.pack(">I", len(raw)) + raw


def line(kind: str, *parts: bytes) -> str:
    return f"{kind} {base64.b64encode(b''.join(map(string, (kind.encode(), *parts)))).decode()}"


POINT = Ed25519PrivateKey.from_private_bytes(b"tests".ljust(32)).public_key().public_bytes_raw()
SK = line("sk-ssh-ed25519@openssh.com", POINT, b"ssh:")


@pytest.mark.parametrize(
    "options", [("-t", "ed25519"), ("-t", "rsa", "-b", "2048"), *(("-t", "ecdsa", "-b", b) for b in ("256", "384", "521"))]
)
def test_an_ssh_key_is_taken_without_its_comment(tmp_path: Path, options: tuple[str, ...]) -> None:
    text = made(tmp_path, *options)
    expected = (KeyKind.SSH, " ".join(text.split()[:2]), shown(tmp_path, text))
    assert read_public_key(f"\r\n {text}\r\n") == expected
    assert read_public_key(expected[1]) == expected


def test_a_security_key_is_taken(tmp_path: Path) -> None:
    assert read_public_key(SK) == (KeyKind.SSH, SK, shown(tmp_path, SK))


ED = line("ssh-ed25519", POINT)
REFUSED = {
    "": "neither",
    "ssh-ed25519": "damaged",
    "ssh-ed25519 !!!": "not base64",
    "ssh-ed25519 AAAA": "damaged",
    "ssh-ed25519 \u00e4": "not base64",
    ED + "\n" + ED: "one line",
    ED + "\r" + ED: "one line",
    f'cert-authority,namespaces="git" {ED}': "without options",
    f"no-pty {ED}": "without options",
    ED.replace("ssh-ed25519 ", "ssh-rsa "): "not a ssh-rsa key",
    line("ssh-ed25519", POINT, b"more"): "damaged",
    line("ssh-ed25519", POINT[:31]): "damaged",
    line("ssh-rsa", b"\x01", b"\0" + b"\xff" * 256): "damaged",
    line("ssh-rsa", b"\x01\0\x01", b"\0" + b"\xff" * 128): "2048 to 16384 bits",
    line("ssh-rsa", b"\0\x01\0\x01", b"\0" + b"\xff" * 256): "not spelled|damaged",
    "ssh-dss AAAAB3NzaC1kc3M=": "DSA",
    "ssh-ed25519-cert-v01@openssh.com AAAA": "certificate",
    "-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n-----END OPENSSH PRIVATE KEY-----": "private key",
    "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nc2VjcmV0\n": "private key",
    "---- BEGIN SSH2 PUBLIC KEY ----\nAAAA\n": "one line",
    "-----BEGIN PGP PUBLIC KEY BLOCK-----": "armoured",
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nc2VjcmV0\n-----END PGP PUBLIC KEY BLOCK-----": "exactly one",
    "-----BEGIN PGP SIGNATURE-----\n\nc2VjcmV0\n-----END PGP SIGNATURE-----": "armoured",
    "x" * (LONGEST_KEY + 1): "64 KB",
    "\0" * 100: "neither",
    "\ud800": "neither",
}


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_no_key_is_refused_and_never_repeated(text: str) -> None:
    with pytest.raises(BadKey, match=REFUSED[text]) as refused:
        read_public_key(text, environ=PATH)
    said = str(refused.value)
    assert said.isprintable() and "c2VjcmV0" not in said and "AAAA" not in said


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("gnupg")
    folder.chmod(0o700)
    yield folder
    subprocess.run(["gpgconf", "--homedir", str(folder), "--kill", "all"], check=True)


def gpg(home: Path, *arguments: str) -> str:
    command = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def pair(home: Path, name: str, *options: str, algorithm: str = "ed25519", expires: str = "never") -> str:
    gpg(home, *options, "--quick-gen-key", f"{name} <{name}@example.com>", algorithm, "sign", expires)
    return gpg(home, "--armor", "--export", f"{name}@example.com")


def test_a_gpg_key_is_taken_in_its_smallest_form(home: Path) -> None:
    block = pair(home, "plain")
    pair(home, "friend")
    gpg(home, "--yes", "--default-key", "friend", "--quick-sign-key", fingerprint(home, "plain"))
    signed = gpg(home, "--armor", "--export", "plain@example.com")
    assert signed != block
    expected = (KeyKind.GPG, block, fingerprint(home, "plain"))
    assert read_public_key(signed.replace("\n", "\r\n"), environ=PATH) == expected
    assert read_public_key(block, environ=PATH) == expected


def fingerprint(home: Path, name: str) -> str:
    listed = gpg(home, "--with-colons", "-k", f"{name}@example.com")
    return next(row.split(":")[9] for row in listed.splitlines() if row.startswith("fpr"))


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("expired", {"expires": "seconds=10", "options": ("--faked-system-time", "20200101T000000")}, "expired"),
        ("short", {"algorithm": "rsa1024"}, "RSA key must have"),
        ("dsa", {"algorithm": "dsa2048"}, "too weak"),
        ("sha1", {"algorithm": "rsa2048", "options": ("--cert-digest-algo", "SHA1")}, "SHA-1"),
    ],
)
def test_a_gpg_key_that_cannot_sign_well_is_refused(home: Path, name: str, options: dict[str, object], reason: str) -> None:
    more = options.pop("options", ())
    block = pair(home, name, *more, **options)  # type: ignore[misc,arg-type]
    with pytest.raises(BadKey, match=reason):
        read_public_key(block, environ=PATH)


def test_a_revoked_gpg_key_is_refused(home: Path) -> None:
    pair(home, "revoked")
    paper = (home / "openpgp-revocs.d" / f"{fingerprint(home, 'revoked')}.rev").read_text()
    (home / "paper").write_text(paper.replace(":-----BEGIN", "-----BEGIN"))
    gpg(home, "--import", str(home / "paper"))
    with pytest.raises(BadKey, match="revoked"):
        read_public_key(gpg(home, "--armor", "--export", "revoked@example.com"), environ=PATH)


def test_several_gpg_keys_are_refused(home: Path) -> None:
    one, two = pair(home, "one"), pair(home, "two")
    both = gpg(home, "--armor", "--export", "one@example.com", "two@example.com")
    for text in (both, one + two):
        with pytest.raises(BadKey):
            read_public_key(text, environ=PATH)


def test_a_private_gpg_key_under_a_public_name_is_refused(home: Path) -> None:
    pair(home, "secret")
    block = gpg(home, "--armor", "--export-secret-keys", "secret@example.com")
    for text in (block, block.replace("PRIVATE KEY BLOCK", "PUBLIC KEY BLOCK")):
        with pytest.raises(BadKey, match="private key"):
            read_public_key(text, environ=PATH)


def test_without_gpg_no_gpg_key_is_taken(home: Path, tmp_path: Path) -> None:
    with pytest.raises(RepositoryUnavailable, match="gpg is not installed"):
        read_public_key(pair(home, "lonely"), environ={"PATH": str(tmp_path)})


def test_a_damaged_block_raises_nothing_else(home: Path) -> None:
    block = pair(home, "damaged")
    body = block.index("\n\n") + 2
    places = range(body, len(block) - 40, 37)
    assert len(places) > 3
    for at in places:
        text = block[:at] + ("A" if block[at] != "A" else "B") + block[at + 1 :]
        try:
            read_public_key(text, environ=PATH)
        except GateError as fault:
            assert isinstance(fault, BadKey)
