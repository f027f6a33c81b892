"""Read the body of `POST /api/v1/decide`: JSON (`decide_bodies.py`), or the form that the pre-receive check sends.

The form, as `app/integrations/forges/pre_receive.sh` writes it: `updates` has one line for each ref, `OLD NEW FORCED COMMIT REF`
(FORCED: yes, no or unknown; COMMIT may be `-`). `emails.N`, `paths.N` and `log.N` belong to its N-th line. If some are missing
or cut off, the field is `emails_part.N`, `paths_part.N` or `log_part.N`. E-mails stand in `<>`, and paths as git quotes them,
one a line. Everything is bytes, in forms as in git.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from app.domain.change import Changes
from app.domain.errors import BadRequest
from app.domain.push import PushRequest
from app.domain.text import plain_line
from app.integrations.inspection.patch import parse, unquoted
from app.web.api.decide_bodies import DecideRequest

MOST_FIELDS = 400
LONGEST_EMAIL = 254
CUT_OFF = "the new content is more than the check sends, or more than git could list in time"
_EMAIL = re.compile(rb"<(.*)>\Z", re.DOTALL)
_FORCED = {"yes": True, "no": False}


def read_json(body: bytes) -> PushRequest:
    """Read JSON; raises BadRequest, which names the fault but no value."""
    try:
        return DecideRequest.model_validate_json(body).to_domain()
    except ValidationError as fault:
        raise _bad_request(fault) from None


def read_form(body: bytes) -> PushRequest:
    """Read the check's form; raises BadRequest, which names the fault but no value."""
    fields = _fields(body)
    lines = [line for line in _text(fields.get("updates", b"")).split("\n") if line]
    updates = [_update(line, fields, number) for number, line in enumerate(lines, 1)]
    push = {
        "forge": _text(fields.get("forge", b"")),
        "repository": _party(fields, "repository", ("id", "owner", "name")),
        "account": _party(fields, "account", ("id", "login")),
        "updates": updates,
    }
    try:
        return DecideRequest.model_validate(push).to_domain([_changes(fields, number) for number in range(1, len(updates) + 1)])
    except ValidationError as fault:
        raise _bad_request(fault) from None


def _fields(body: bytes) -> dict[str, bytes]:
    """Read names and values in their own bytes: a patch may be in any encoding."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding="latin-1", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("the form cannot be read, or has too many fields") from None
    fields = {name: value.encode("latin-1") for name, value in pairs}
    if len(fields) != len(pairs):
        raise BadRequest("a field of the form appears more than once")
    return fields


def _update(line: str, fields: Mapping[str, bytes], number: int) -> dict[str, Any]:
    words = line.split(" ", 4)
    if len(words) != 5:
        raise BadRequest(f"updates: line {number} is not OLD NEW FORCED COMMIT REF")
    old, new, forced, commit, ref = words
    emails, emails_known = _lines(fields, "emails", number)
    paths, paths_known = _lines(fields, "paths", number)
    addresses = [match[1] for match in map(_EMAIL.match, emails) if match]
    return {
        "ref": ref,
        "old": old,
        "new": new,
        "commit": None if commit == "-" else commit,
        "forced": _FORCED.get(forced),
        "emails": [plain_line(_text(email), LONGEST_EMAIL) for email in addresses],
        "emails_known": emails_known and len(addresses) == len(emails),
        "paths": [_text(_path(path)) for path in paths],
        "paths_known": paths_known,
    }


def _changes(fields: Mapping[str, bytes], number: int) -> Changes | None:
    """Read a log, whole or cut off. A log that cannot be read (of a git that writes another format) counts as not inspected."""
    log, part = fields.get(f"log.{number}"), fields.get(f"log_part.{number}")
    try:
        if log is not None:
            return parse(log)
        if part is not None:
            return replace(parse(part[: part.rfind(b"\n") + 1]), is_whole=False, paths_known=False, why_not=CUT_OFF)
    except BadRequest as fault:
        return Changes(is_whole=False, paths_known=False, why_not=str(fault))
    return None


def _lines(fields: Mapping[str, bytes], name: str, number: int) -> tuple[list[bytes], bool]:
    """Return the lines of a field, and whether they are all. A whole field has its own name, so no line can claim that."""
    whole, part = fields.get(f"{name}.{number}"), fields.get(f"{name}_part.{number}")
    if whole is None:
        return _split(part or b""), False
    return _split(whole), True


def _split(value: bytes) -> list[bytes]:
    return [line for line in value.split(b"\n") if line]


def _path(line: bytes) -> bytes:
    return unquoted(line[1:-1]) if len(line) > 1 and line.startswith(b'"') and line.endswith(b'"') else line


def _party(fields: Mapping[str, bytes], what: str, names: tuple[str, ...]) -> dict[str, Any]:
    party = {name: _text(fields.get(f"{what}_{name}", b"")) for name in names}
    return party | {"id": int(party["id"]) if re.fullmatch(r"[0-9]{1,19}", party["id"]) else 0}


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def _bad_request(fault: ValidationError) -> BadRequest:
    """Name the faults; the JSON parser's own message is left out, since it could quote the body."""
    faults = {
        f"{'.'.join(map(str, error['loc'])) or 'body'}: {'not JSON' if error['type'] == 'json_invalid' else error['msg']}"
        for error in fault.errors(include_url=False, include_input=False)
    }
    return BadRequest("; ".join(sorted(faults)[:5]))
