"""Public keys as people hand them in: OpenSSH lines and ASCII-armoured OpenPGP blocks, checked and spelled in one way.

An error never repeats the text that it refuses, which may be a private key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_ssh_public_key

from app.domain.errors import BadKey
from app.domain.signature import KeyKind
from app.integrations.repositories.git import GitLimits, run
from app.integrations.repositories.gnupg import make_home, program

LONGEST_KEY = 64 * 1024
LEAST_RSA_BITS = 2048
MOST_RSA_BITS = 16384  # the most that OpenSSH accepts
_GPG_LIMITS = GitLimits(seconds=10.0)
_SSH_TYPES = frozenset(
    {
        "ssh-ed25519",
        "ssh-rsa",
        "ecdsa-sha2-nistp256",
        "ecdsa-sha2-nistp384",
        "ecdsa-sha2-nistp521",
        "sk-ssh-ed25519@openssh.com",
        "sk-ecdsa-sha2-nistp256@openssh.com",
    }
)
_GPG_BLOCK = re.compile(r"\A-----BEGIN PGP PUBLIC KEY BLOCK-----\n(?:(?!-----)[\s\S])+\n-----END PGP PUBLIC KEY BLOCK-----\Z")
_PRIVATE = "This is a private key; it was not kept. Hand in the public key, and replace this pair if others saw it."
_NOT_VOUCHED = "The key has no user id that it signed itself with a valid signature; SHA-1 does not count."
_GPG_RSA, _GPG_CURVES = "1", {"19", "22", "27", "28"}  # RFC 9580 §9.1; 16 and 18 only encrypt
_GPG_ONLY_ENCRYPT = {"16", "18", "25", "26"}


def read_public_key(text: str, *, environ: Mapping[str, str] | None = None) -> tuple[KeyKind, str, str]:
    """Read one public key: return its kind, its normalized text and its fingerprint, as `ssh-keygen -l` or gpg shows it.

    Raises BadKey with a reason, and RepositoryUnavailable if gpg is missing. `environ` may hold the PATH for gpg.
    """
    if len(text) > LONGEST_KEY:
        raise BadKey(f"A public key may not be longer than {LONGEST_KEY // 1024} KB.")
    text = text.encode("ascii", "replace").decode().replace("\r\n", "\n").strip()  # only comments hold more than ASCII
    if "PRIVATE KEY" in text:
        raise BadKey(_PRIVATE)
    if text.startswith("-----BEGIN PGP"):
        return KeyKind.GPG, *_gpg(text, {"PATH": (environ or {}).get("PATH", os.defpath), "LC_ALL": "C"})
    return KeyKind.SSH, *_ssh(text)


def _ssh(text: str) -> tuple[str, str]:
    """Read `TYPE BASE64 [COMMENT]` (sshd(8), AUTHORIZED_KEYS FILE FORMAT, without options)."""
    if "\n" in text or "\r" in text:
        raise BadKey("Hand in one public key, on one line.")
    kind, _, rest = text.partition(" ")
    if kind.endswith("-cert-v01@openssh.com"):
        raise BadKey("This is a certificate: hand in the public key itself.")
    if kind == "ssh-dss":
        raise BadKey("DSA keys are too weak.")
    if kind not in _SSH_TYPES:
        raise BadKey("This is neither an OpenSSH public key without options nor an armoured OpenPGP public key.")
    blob = _from_base64(rest.split(" ")[0])
    _check_ssh(kind, blob)
    fingerprint = base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")
    return f"{kind} {base64.b64encode(blob).decode()}", f"SHA256:{fingerprint}"


def _from_base64(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise BadKey("The key is damaged: it is not base64.") from None


def _check_ssh(kind: str, blob: bytes) -> None:
    """Refuse a key that is not of this kind, is weak, or is spelled so that it would have a second fingerprint."""
    line = kind.encode() + b" " + base64.b64encode(blob)
    try:
        key = load_ssh_public_key(line)
        canonical = line if kind.startswith("sk-") else key.public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    except (ValueError, UnsupportedAlgorithm):
        raise BadKey(f"The key is damaged: it is not a {kind} key.") from None
    if isinstance(key, RSAPublicKey) and not LEAST_RSA_BITS <= key.key_size <= MOST_RSA_BITS:
        raise BadKey(f"An RSA key must have {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits; this one has {key.key_size}.")
    if canonical != line:
        raise BadKey("The key is damaged: OpenSSH would spell it otherwise.")


def _gpg(text: str, environment: Mapping[str, str]) -> tuple[str, str]:
    """Read a block with gpg itself, in a home of its own: list it, then let gpg write its smallest form."""
    if not _GPG_BLOCK.match(text):
        raise BadKey("Hand in one armoured OpenPGP public key block, and nothing else.")
    gpg = program("gpg", environment)
    with tempfile.TemporaryDirectory(prefix="tidegate-key-") as folder:
        home = make_home(Path(folder))
        more = {**environment, "GNUPGHOME": str(home)}

        def ask(*options: str) -> str:
            command = [gpg, *options, "--import"]
            result = run(command, home, more, name="gpg", given=text.encode(), limits=_GPG_LIMITS)
            return result.out.decode(errors="replace")

        fingerprint = _fingerprint(ask("--with-colons", "--import-options", "show-only"))
        smallest = ask("--armor", "--no-emit-version", "--import-options", "import-export,import-minimal").strip()
    if not _GPG_BLOCK.match(smallest):
        raise BadKey(_NOT_VOUCHED)
    return smallest + "\n", fingerprint


def _fingerprint(listing: str) -> str:
    """Check gpg's listing (its doc/DETAILS, "Format of the colon listings"); return the primary key's fingerprint."""
    rows = [line.split(":") for line in listing.split("\n")]
    if any(row[0] in {"sec", "ssb"} for row in rows):
        raise BadKey(_PRIVATE)
    if [row[0] for row in rows].count("pub") != 1:
        raise BadKey("Hand in exactly one OpenPGP public key.")
    for row in rows:
        if row[0] in {"pub", "sub"}:
            _check_strength(row)
    primary = next(row for row in rows if row[0] == "pub")
    if primary[1] in {"e", "r", "i", "d"}:
        raise BadKey({"e": "The key has expired.", "r": "The key is revoked."}.get(primary[1], _NOT_VOUCHED))
    return next(row[9] for row in rows if row[0] == "fpr")


def _check_strength(row: list[str]) -> None:
    """Refuse RSA below LEAST_RSA_BITS, DSA, and unknown algorithms."""
    bits, algorithm = int(row[2] or 0), row[3]
    if algorithm == _GPG_RSA and not LEAST_RSA_BITS <= bits <= MOST_RSA_BITS:
        raise BadKey(f"An RSA key must have {LEAST_RSA_BITS} to {MOST_RSA_BITS} bits; this one has a part with {bits}.")
    if algorithm != _GPG_RSA and algorithm not in _GPG_CURVES and algorithm not in _GPG_ONLY_ENCRYPT:
        raise BadKey("The key has a part of a kind that is too weak, such as DSA, or not known.")
