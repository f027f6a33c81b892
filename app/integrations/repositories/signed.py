"""Raw commits and tags: the committer and the kind of signature. Bytes in, values out; nothing is verified here.

A signature covers no `gpgsig…` header, wherever it stands (git's `commit.c`, parse_signed_commit). So an object that is not
laid out as git writes it could read otherwise than it was signed; it counts as malformed.
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
    """The kind of an object's signature. OTHER (such as X.509) is a kind that no key here can make."""

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
    layout = _COMMIT.match(head)
    if not headers or (layout and not own and _only_known(headers)):
        form = Form.NONE
    elif layout is None or len(own) != 1 or not _only_known(headers) or b"\0" in head:
        form = Form.MALFORMED
    else:
        form = _form(own[0].replace(b"\n ", b"\n")[1:])
    return Raw(object_id, ObjectKind.COMMIT, _email(layout), form)


def read_tag(object_id: str, raw: bytes, name: str) -> Raw:
    """Read an annotated tag's tagger and the form of its signature. A tag under another name than its own is malformed.

    Otherwise a pusher could show an old signed release under a new name.
    """
    head = raw.partition(b"\n\n")[0]
    layout = _TAG.match(head + b"\n")
    begins = [match.start() for match in _TAG_SIGNATURE.finditer(raw)]
    if not begins:
        form = Form.NONE
    elif layout is None or layout["name"] != name.encode() or begins[-1] < len(head) or b"\0" in head:
        form = Form.MALFORMED
    else:
        form = _form(raw[begins[-1] :])
    return Raw(object_id, ObjectKind.TAG, _email(layout), form)


def _only_known(headers: list[tuple[bytes, bytes]]) -> bool:
    names = [name for name, _ in headers]
    return set(names) <= set(_HEADERS.values()) and len(set(names)) == len(names)


def _form(signature: bytes) -> Form:
    """Tell the form by the first line, as git does. More than one signature, or other text around it, is malformed."""
    lines = [line.rstrip() for line in signature.rstrip().split(b"\n")]
    for form, name in ((Form.SSH, b"SSH SIGNATURE"), (Form.GPG, b"PGP SIGNATURE")):
        if lines[0] == b"-----BEGIN " + name + b"-----":
            is_one = lines[-1] == b"-----END " + name + b"-----" and sum(line.startswith(b"-----") for line in lines) == 2
            return form if is_one else Form.MALFORMED
    return Form.OTHER


def _email(layout: re.Match[bytes] | None) -> str:
    email = layout["email"] if layout else None
    return (email or b"").decode(errors="replace")
