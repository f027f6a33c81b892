"""Signatures of commits and tags: whose key signed what is to be deployed. Pure.

The access map links a key to a principal. A good signature proves who holds the key, not who is named as the committer: an
object counts only if both are the same principal. Verified in `integrations/repositories/signatures.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from app.domain.text import plain_line

_LONGEST_EMAIL = 254


class KeyKind(StrEnum):
    """The program that makes and checks a key's signatures."""

    SSH = "ssh"
    GPG = "gpg"


@dataclass(frozen=True, slots=True)
class CommitKey:
    """A public key that is linked to a principal.

    `public` and `fingerprint` are as `integrations/repositories/public_keys.py` spells them. A revoked key's signatures are bad.
    """

    id: str
    subject: str
    kind: KeyKind
    public: str
    fingerprint: str
    is_revoked: bool


class ObjectKind(StrEnum):
    """The kinds of objects that can be signed."""

    COMMIT = "commit"
    TAG = "tag"


class SignatureVerdict(StrEnum):
    """The verdict on a signature. BAD: it does not verify, is malformed, or its key has expired or was revoked."""

    GOOD = "good"
    UNSIGNED = "unsigned"
    UNKNOWN_KEY = "unknown_key"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class SignedObject:
    """A commit or an annotated tag, and the verdict on its signature.

    `committer_email` (of a tag: the tagger's) is taken from the object, and empty if it cannot be read. `signer_subject` owns
    the key of the signature; None if the key is unknown or the signature does not verify. `fingerprint` may be empty or a key id.
    """

    id: str
    kind: ObjectKind
    committer_email: str
    verdict: SignatureVerdict
    signer_subject: str | None
    fingerprint: str


class Signatures(StrEnum):
    """The signatures of a deployment, summed up."""

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
    """Say in one line why this object does not count as signed; None if it counts. `owners` as for `summary`."""
    name = f"{signed.kind} {signed.id}"
    match signed.verdict:
        case SignatureVerdict.UNSIGNED:
            return f"{name} is not signed"
        case SignatureVerdict.UNKNOWN_KEY:
            return f"{name} is signed with an unknown key ({signed.fingerprint or 'its fingerprint is not known'})"
        case SignatureVerdict.BAD:
            return _why_bad(name, signed)
        case SignatureVerdict.GOOD:
            return _mismatch(name, signed, owners)


def _why_bad(name: str, signed: SignedObject) -> str:
    """Name the key. Its person is known only if the signature itself verifies."""
    key = signed.fingerprint or "its fingerprint is not known"
    if signed.signer_subject is not None:
        return f"{name} is signed with a revoked key of {signed.signer_subject} ({key})"
    return f"{name} has a bad signature: it does not verify, or its key has expired or was revoked ({key})"


def _mismatch(name: str, signed: SignedObject, owners: Mapping[str, str]) -> str | None:
    """Say that the signer is not the owner of the object's e-mail; None if they are the same."""
    email = signed.committer_email.casefold()
    if email and signed.signer_subject is not None and owners.get(email) == signed.signer_subject:
        return None
    return f"{name} of {plain_line(email, _LONGEST_EMAIL) or 'no readable e-mail'} is signed by {signed.signer_subject}"
