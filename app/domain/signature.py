"""Signatures of commits and tags: whose key stands behind what is to be deployed. Pure.

A key is a principal's because the access map says so. A good signature proves who holds the key, not who is named as the
committer: an object counts only where both are the same. Verified in `integrations/repositories/signatures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.text import plain_line

_LONGEST_EMAIL = 254


class KeyKind(StrEnum):
    """Which program makes and checks a key's signatures."""

    SSH = "ssh"
    GPG = "gpg"


@dataclass(frozen=True, slots=True)
class CommitKey:
    """A public key that stands for a principal.

    `public` and `fingerprint` are as `integrations/repositories/public_keys.py` spells them. What a revoked key signs is bad.
    """

    id: str
    subject: str
    kind: KeyKind
    public: str
    fingerprint: str
    is_revoked: bool


class ObjectKind(StrEnum):
    """What can be signed."""

    COMMIT = "commit"
    TAG = "tag"


class SignatureVerdict(StrEnum):
    """What a signature is worth. BAD: it does not verify, is malformed, or its key has expired or was revoked."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class SignedObject:
    """A commit or an annotated tag, and what its signature is worth.

    `committer_email` (of a tag: the tagger's) is what the object says, empty where that cannot be read. `signer_subject` is whose
    key made the signature, None where the key is unknown or it does not verify. `fingerprint` may be empty or a key id.
    """

    id: str
    kind: ObjectKind
    committer_email: str
    verdict: SignatureVerdict
    signer_subject: str | None
    fingerprint: str


class Signatures(StrEnum):
    """What the signatures of a deployment come to."""

    ALL = "all"
    SOME = "some"
    NONE = "none"
    BAD = "bad"


def summary(objects: Sequence[SignedObject], owners: Mapping[str, str], *, is_whole: bool) -> Signatures:
    """Sum up. `owners` holds the subject of each e-mail, in lower case; `is_whole`: nothing was left out of `objects`.

    One bad signature makes all bad. ALL needs at least one object, and that nothing was left out.
    """
    if any(o.verdict is SignatureVerdict.BAD for o in objects):
        return Signatures.BAD
    counted = sum(objection(o, owners) is None for o in objects)
    if counted == 0:
        return Signatures.NONE
    return Signatures.ALL if is_whole and counted == len(objects) else Signatures.SOME


def objection(signed: SignedObject, owners: Mapping[str, str]) -> str | None:
    """Say in one line why this object does not count as signed; None where it counts. `owners` as for `summary`."""
    what = f"{signed.kind} {signed.id}"
    match signed.verdict:
        case SignatureVerdict.UNSIGNED:
            return f"{what} is not signed"
        case SignatureVerdict.UNKNOWN_KEY:
            return f"{what} is signed with an unknown key ({signed.fingerprint or 'which one is not known'})"
        case SignatureVerdict.BAD:
            return f"{what} has a bad signature" + (f", by a key of {signed.signer_subject}" if signed.signer_subject else "")
        case SignatureVerdict.GOOD:
            return _not_theirs(what, signed, owners)


def _not_theirs(what: str, signed: SignedObject, owners: Mapping[str, str]) -> str | None:
    """Compare who signed with whose e-mail the object carries."""
    email = signed.committer_email.casefold()
    if email and signed.signer_subject is not None and owners.get(email) == signed.signer_subject:
        return None
    return f"{what} of {plain_line(email, _LONGEST_EMAIL) or 'no readable e-mail'} is signed by {signed.signer_subject}"
