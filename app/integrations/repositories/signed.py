"""Raw commits and tags: who committed, and what kind of signature is on it. Bytes in, values out; nothing is verified here.

Git leaves every `gpgsig…` header out of what a signature covers (its `commit.c`, parse_signed_commit), wherever it stands: so an
object that is not laid out as git writes it could read otherwise than it was signed, and counts as malformed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from app.domain.signature import ObjectKind

_PERSON = rb"[^<>\n\0]*<(?P<email>[^<>\n\0]*)> \d+ [+-]\d+(?:\n|\Z)"
_COMMIT = re.compile(rb"\Atree [0-9a-f]+\n(?:parent [0-9a-f]+\n)*author [^\n\0]*\ncommitter " + _PERSON)
_TAG = re.compile(rb"\Aobject [0-9a-f]+\ntype [a-z]+\ntag (?P<name>[^\n\0]+)\n(?:tagger " + _PERSON + rb")?")
_SIGNATURE_HEADER = re.compile(rb"^(gpgsig[^ \n]*)((?: [^\n]*\n)*)", re.M)
_TAG_SIGNATURE = re.compile(rb"^-----BEGIN (?:PGP SIGNATURE|PGP MESSAGE|SIGNED MESSAGE|SSH SIGNATURE)-----", re.M)
_HEADERS = {40: b"gpgsig", 64: b"gpgsig-sha256"}  # by the length of an id: gitformat-signature(5)


class Form(StrEnum):
    """What kind of signature an object carries. OTHER (such as X.509) is none that a key here could make."""

    NONE = "none"
    SSH = "ssh"
    GPG = "gpg"
    OTHER = "other"
    MALFORMED = "malformed"


@dataclass(frozen=True, slots=True)
class Raw:
    """An object as it lies in the repository."""

    id: str
    kind: ObjectKind
    email: str
    form: Form


def read_commit(object_id: str, raw: bytes) -> Raw:
    """Read a commit's committer and the form of its signature."""
    head = raw.partition(b"\n\n")[0]
    headers = _SIGNATURE_HEADER.findall(head + b"\n")
    own = [text for name, text in headers if name == _HEADERS[len(object_id)]]
    laid_out = _COMMIT.match(head)
    if not headers or (laid_out and not own and _only_known(headers)):
        form = Form.NONE
    elif laid_out is None or len(own) != 1 or not _only_known(headers) or b"\0" in head:
        form = Form.MALFORMED
    else:
        form = _form(own[0].replace(b"\n ", b"\n")[1:])
    return Raw(object_id, ObjectKind.COMMIT, _email(laid_out), form)


def read_tag(object_id: str, raw: bytes, name: str) -> Raw:
    """Read an annotated tag's tagger and the form of its signature; a tag under another name than its own is malformed.

    Else whoever can push could show an old signed release under a new name.
    """
    head = raw.partition(b"\n\n")[0]
    laid_out = _TAG.match(head + b"\n")
    begins = [match.start() for match in _TAG_SIGNATURE.finditer(raw)]
    if not begins:
        form = Form.NONE
    elif laid_out is None or laid_out["name"] != name.encode() or begins[-1] < len(head) or b"\0" in head:
        form = Form.MALFORMED
    else:
        form = _form(raw[begins[-1] :])
    return Raw(object_id, ObjectKind.TAG, _email(laid_out), form)


def _only_known(headers: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in headers]
    return set(names) <= set(_HEADERS.values()) and len(set(names)) == len(names)


def _form(signature: bytes) -> Form:
    """Tell the form by the first line, as git does; more than one signature, or anything around it, is malformed."""
    lines = [line.rstrip() for line in signature.rstrip().split(b"\n")]
    for form, name in ((Form.SSH, b"SSH SIGNATURE"), (Form.GPG, b"PGP SIGNATURE")):
        if lines[0] == b"-----BEGIN " + name + b"-----":
            is_one = lines[-1] == b"-----END " + name + b"-----" and sum(line.startswith(b"-----") for line in lines) == 2
            return form if is_one else Form.MALFORMED
    return Form.OTHER


def _email(laid_out: re.Match[bytes] | None) -> str:
    email = laid_out["email"] if laid_out else None
    return (email or b"").decode(errors="replace")
