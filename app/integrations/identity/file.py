"""People in a TOML file, for teams without an identity provider. Accounts link by forge and id, never by e-mail."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.domain.errors import BadConfiguration
from app.domain.event import GATE_ACCOUNT, Account
from app.domain.principal import GATE_PRINCIPAL, Principal, PrincipalKind
from app.toml_lines import bad_places

_HEADER = re.compile(r"^\s*\[\[\s*people\s*\]\]")
_EMAIL = Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")]  # an empty one would vouch for a commit without author
_ACCOUNT = Annotated[str, Field(pattern=r"^[a-z0-9-]+:[^\s:]+$")]


class _Person(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    subject: str = Field(min_length=1, max_length=200)
    kind: PrincipalKind = Field(PrincipalKind.HUMAN, strict=False)
    emails: list[_EMAIL] = []
    accounts: list[_ACCOUNT] = []
    groups: list[str] = []
    active: bool = True


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    people: list[_Person] = []


class FilePeople:
    """One version of people.toml (protocol: IdentitySource)."""

    def __init__(self, people: list[Principal], digest: str) -> None:
        self.people = tuple(people)
        self.digest = digest
        self._by_account = {account: person for person in people for account in person.accounts}
        self._emails = frozenset(email for person in people if person.active for email in person.emails)

    def principal_of(self, account: Account) -> Principal | None:
        """Return who is linked to this account by forge and id, or None."""
        return GATE_PRINCIPAL if account.key == GATE_ACCOUNT.key else self._by_account.get(account.key)

    def knows_email(self, email: str) -> bool:
        """Tell whether an active person has this e-mail."""
        return email.casefold() in self._emails


def load(path: Path) -> FilePeople:
    """Read people.toml; raises BadConfiguration with every fault as `FILE:LINE: what`."""
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode())
        file = _File.model_validate(data)
    except OSError as fault:
        raise BadConfiguration([f"{path}: cannot be read: {fault.strerror}"]) from None
    except ValidationError as fault:
        faults = [_located(path, raw.decode(), e["loc"], e["msg"]) for e in fault.errors()]
        raise BadConfiguration(faults) from None
    except (ValueError, RecursionError) as fault:  # not TOML, not UTF-8, nested too deep, or a number too long to read
        found = re.search(r"\(at line (\d+)", str(fault))
        raise BadConfiguration([f"{path}:{found[1] if found else 1}: not TOML: {fault}"]) from None
    faults = [_located(path, raw.decode(), where, what) for where, what in bad_places(data)]
    faults += [_located(path, raw.decode(), ("people", index), what) for index, what in _clashes(file.people)]
    if faults:
        raise BadConfiguration(faults)
    return FilePeople([_principal(person) for person in file.people], hashlib.sha256(raw).hexdigest())


def _principal(person: _Person) -> Principal:
    return Principal(
        subject=person.subject,
        kind=person.kind,
        active=person.active,
        groups=frozenset(person.groups),
        emails=frozenset(email.casefold() for email in person.emails),
        accounts=frozenset(person.accounts),
    )


def _clashes(people: list[_Person]) -> list[tuple[int, str]]:
    """Find what would make it unclear who acts: a subject or an account that two people have."""
    faults: list[tuple[int, str]] = []
    subjects: set[str] = {GATE_PRINCIPAL.subject}
    owners: dict[str, str] = {GATE_ACCOUNT.key: GATE_PRINCIPAL.subject}
    for index, person in enumerate(people):
        if person.subject in subjects:
            faults.append((index, f"the subject {person.subject!r} is already taken"))
        subjects.add(person.subject)
        for account in person.accounts:
            if account in owners:
                faults.append((index, f"the account {account!r} already belongs to {owners[account]!r}"))
            owners.setdefault(account, person.subject)
    return faults


def _located(path: Path, text: str, where: tuple[str | int, ...], what: str) -> str:
    """Name the line of the key in its [[people]] table, or of the table."""
    index = where[1] if len(where) > 1 and isinstance(where[1], int) else None
    key = where[2] if len(where) > 2 else None
    current, line_found = -1, 1
    for number, line in enumerate(text.splitlines(), start=1):
        if _HEADER.match(line):
            current += 1
            line_found = number if current == index else line_found
        elif current == index and isinstance(key, str) and re.match(rf"\s*{re.escape(key)}\s*=", line):
            line_found = number
    return f"{path}:{line_found}: {'.'.join(map(str, where))}: {what}"
