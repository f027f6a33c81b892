"""Read the body of `POST /api/v1/decide`: JSON (`decide_bodies.py`), or the form that the pre-receive check sends.

The form, as `app/integrations/forges/pre_receive.sh` writes it: `updates` has one line for each ref, `OLD NEW FORCED COMMIT REF`
(FORCED: yes, no or unknown; COMMIT may be `-`). Fields `NAME.N` belong to its N-th line. Everything is bytes, in forms as in git.

- From `check=2` on: `commits.N`, `paths.N` and `log.N`, whole if they end with a mark (`decide_lists.py`). Only these tell
  the e-mails of authors and committers apart.
- Earlier checks send no `check`, and `emails.N`, `paths.N` and `log.N`; if some are missing or cut off, the field is
  `emails_part.N`, `paths_part.N` or `log_part.N`. E-mails stand in `<>`, and paths as git quotes them, one a line.
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
from app.web.api.decide_bodies import DecideRequest, Extras
from app.web.api.decide_lists import END, read_commits, read_paths

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
    fields = read_fields(body)
    lines = [line for line in _text(fields.get("updates", b"")).split("\n") if line]
    version = check_version(fields)
    both = [_read(line, fields, number, version) for number, line in enumerate(lines, 1)]
    push = {
        "forge": _text(fields.get("forge", b"")),
        "repository": _party(fields, "repository", ("id", "owner", "name")),
        "account": _party(fields, "account", ("id", "login")),
        "updates": [update for update, _ in both],
    }
    try:
        return DecideRequest.model_validate(push).to_domain([extras for _, extras in both], check_version=version)
    except ValidationError as fault:
        raise _bad_request(fault) from None


def read_fields(body: bytes) -> dict[str, bytes]:
    """Read a form's names and values in their own bytes: a patch may be in any encoding. Raises BadRequest."""
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, encoding="latin-1", max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadRequest("the form cannot be read, or has too many fields") from None
    fields = {name: value.encode("latin-1") for name, value in pairs}
    if len(fields) != len(pairs):
        raise BadRequest("a field of the form appears more than once")
    return fields


def check_version(fields: Mapping[str, bytes]) -> int:
    """Return the version of the check that sends this form; 1 is that of the checks that do not say it. Raises BadRequest."""
    version = _text(fields.get("check", b"1"))
    if not re.fullmatch(r"[1-9][0-9]{0,3}", version):
        raise BadRequest("check: is not a version of the check")
    return int(version)


def _read(line: str, fields: Mapping[str, bytes], number: int, version: int) -> tuple[dict[str, Any], Extras]:
    words = line.split(" ", 4)
    if len(words) != 5:
        raise BadRequest(f"updates: line {number} is not OLD NEW FORCED COMMIT REF")
    old, new, forced, commit, ref = words
    update: dict[str, Any] = {
        "ref": ref,
        "old": old,
        "new": new,
        "commit": None if commit == "-" else commit,
        "forced": _FORCED.get(forced),
    }
    if version == 1:
        return update | _facts_of_check_1(fields, number), Extras(_changes_of_check_1(fields, number))
    commits = read_commits(fields.get(f"commits.{number}"))
    paths, paths_known = read_paths(fields.get(f"paths.{number}"))
    sha = new if commit == "-" else commit
    facts = {
        "forced": commits.forced(old, sha),
        "emails": [_email(email) for email in commits.emails],
        "emails_known": commits.is_whole,
        "paths": [_text(_path(path)) for path in paths],
        "paths_known": paths_known,
        "bases": list(commits.bases(sha)),
    }
    commit_of = {_email(email): first for email, first in commits.emails.items()}
    authors = {_email(email) for email in commits.emails if email not in commits.committers}
    return update | facts, Extras(_changes(fields.get(f"log.{number}")), commit_of, frozenset(commit_of) - authors)


def _changes(log: bytes | None) -> Changes | None:
    """Read a log, whole or cut off. A log that cannot be read counts as not inspected."""
    if log is None:
        return None
    text = log.removesuffix(END + b"\n")
    try:
        return parse(text) if text != log else _cut_off(log)
    except BadRequest as fault:
        return Changes(is_whole=False, paths_known=False, why_not=str(fault))


def _cut_off(log: bytes) -> Changes:
    return replace(parse(log[: log.rfind(b"\n") + 1]), is_whole=False, paths_known=False, why_not=CUT_OFF)


def _facts_of_check_1(fields: Mapping[str, bytes], number: int) -> dict[str, Any]:
    emails, emails_known = _lines(fields, "emails", number)
    paths, paths_known = _lines(fields, "paths", number)
    addresses = [match[1] for match in map(_EMAIL.match, emails) if match]
    return {
        "emails": [_email(email) for email in addresses],
        "emails_known": emails_known and len(addresses) == len(emails),
        "paths": [_text(_path(path)) for path in paths],
        "paths_known": paths_known,
    }


def _changes_of_check_1(fields: Mapping[str, bytes], number: int) -> Changes | None:
    """Read a log that git log wrote (of a git that writes another format: it counts as not inspected)."""
    log, part = fields.get(f"log.{number}"), fields.get(f"log_part.{number}")
    try:
        return parse(log) if log is not None else _cut_off(part) if part is not None else None
    except BadRequest as fault:
        return Changes(is_whole=False, paths_known=False, why_not=str(fault))


def _lines(fields: Mapping[str, bytes], name: str, number: int) -> tuple[list[bytes], bool]:
    """Return the lines of a field, and whether they are all. A whole field has its own name, so no line can claim that."""
    whole, part = fields.get(f"{name}.{number}"), fields.get(f"{name}_part.{number}")
    if whole is None:
        return _split(part or b""), False
    return _split(whole), True


def _email(raw: bytes) -> str:
    return plain_line(_text(raw), LONGEST_EMAIL)


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
