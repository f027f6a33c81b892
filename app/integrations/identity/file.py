"""People in a TOML file, for teams without an identity provider. Accounts link by forge and id, never by e-mail."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.domain.access import LONGEST_SUBJECT, Group, Identity, subject_from
from app.domain.errors import BadConfiguration
from app.domain.event import GATE_ACCOUNT, PERSON, Account
from app.domain.principal import GATE_PRINCIPAL, PrincipalKind
from app.toml_lines import Slip, Where, bad_places

_ACCOUNT_FORM = re.compile(r"[a-z0-9-]+:[^\s:]+")
_NUMBER = re.compile(r"[1-9][0-9]*")
_NOT_FORGES = ("os", GATE_ACCOUNT.forge, PERSON)
_HEADER = re.compile(r"^\s*\[\[\s*people\s*\]\]")
_Fault = tuple[Where, str]


def _subject(value: str) -> str:
    if value == GATE_PRINCIPAL.subject:
        raise ValueError(f"the subject {value!r} is already taken")
    if value != subject_from(value):
        raise ValueError(f"must be printable, in lower case and of 1 to {LONGEST_SUBJECT} characters, as in all sources")
    return value


def _account(value: str) -> str:
    if not _ACCOUNT_FORM.fullmatch(value):
        raise ValueError(f"{value!r} is not FORGE:ID or os:NAME, in which FORGE is in lower case and nothing is blank")
    return value


_SUBJECT = Annotated[str, AfterValidator(_subject)]
_EMAIL = Annotated[str, Field(pattern=r"^[^\s@]+@[^\s@]+$")]  # an empty one would vouch for a commit without author
_ACCOUNT = Annotated[str, AfterValidator(_account)]


class _Person(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    subject: _SUBJECT
    kind: PrincipalKind = Field(PrincipalKind.HUMAN, strict=False)
    emails: list[_EMAIL] = []
    accounts: list[_ACCOUNT] = []
    groups: list[str] = []
    owner: _SUBJECT | None = None
    active: bool = True


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")
    people: list[_Person] = []


class FilePeople:
    """One version of people.toml (protocol: pipeline.people.adopt_file.PeopleFile). `slips` are accounts that nobody can have."""

    def __init__(self, people: list[_Person], text: str, path: Path) -> None:
        self.digest = hashlib.sha256(text.encode()).hexdigest()
        self._path = path
        self._text = text
        self._people = tuple(people)
        self.slips = self._placed(_account_slips(people))

    def doubts(self, forges: Collection[str]) -> tuple[Slip, ...]:
        """List what is allowed and is probably not meant, beside the forges that are configured."""
        return self._placed([*_unknown_forges(self._people, forges), *_shared_emails(self._people)])

    def _placed(self, faults: Iterable[_Fault]) -> tuple[Slip, ...]:
        return tuple(Slip(_place(self._path, self._text, where), what) for where, what in faults)

    def is_current(self) -> bool:
        """Tell whether the file still holds these bytes."""
        try:
            return hashlib.sha256(self._path.read_bytes()).hexdigest() == self.digest
        except OSError:
            return False

    def identities(self) -> tuple[Identity, ...]:
        """List the people. A person's id within this source is the subject."""
        return tuple(_identity(person) for person in self._people)

    def groups(self) -> tuple[Group, ...]:
        """List the groups that the file names."""
        members: dict[str, set[str]] = {}
        for person in self._people:
            for group in person.groups:
                members.setdefault(group, set()).add(person.subject)
        return tuple(Group(name, name, frozenset(members[name])) for name in sorted(members))

    def accounts(self) -> list[tuple[Account, str]]:
        """List the accounts, each with the subject of its person."""
        accounts = ((account.partition(":"), person.subject) for person in self._people for account in person.accounts)
        return [(Account(forge, number, ""), subject) for (forge, _, number), subject in accounts]


def load(path: Path) -> FilePeople:
    """Read people.toml; raises BadConfiguration with every fault as `FILE:LINE: what`."""
    try:
        raw = path.read_bytes()
        data = tomllib.loads(raw.decode())
        file = _File.model_validate(data)
    except OSError as fault:
        raise BadConfiguration([f"{path}: cannot be read: {fault.strerror}"]) from None
    except ValidationError as fault:
        faults = [_located_fault(path, raw.decode(), e["loc"], e["msg"].removeprefix("Value error, ")) for e in fault.errors()]
        raise BadConfiguration(faults) from None
    except (ValueError, RecursionError) as fault:  # not TOML, not UTF-8, nested too deep, or a number too long to read
        line = re.search(r"\(at line (\d+)", str(fault))
        raise BadConfiguration([f"{path}:{line[1] if line else 1}: not TOML: {fault}"]) from None
    faults = [_located_fault(path, raw.decode(), where, what) for where, what in bad_places(data)]
    faults += [_located_fault(path, raw.decode(), ("people", index), what) for index, what in _clashes(file.people)]
    if faults:
        raise BadConfiguration(faults)
    return FilePeople(file.people, raw.decode(), path)


def _identity(person: _Person) -> Identity:
    return Identity(
        external_id=person.subject,
        subject=person.subject,
        is_active=person.active,
        kind=person.kind,
        login=person.subject,
        owner=person.owner,
        emails=frozenset(email.casefold() for email in person.emails),
    )


def _clashes(people: list[_Person]) -> list[tuple[int, str]]:
    """Find subjects and accounts that two people have, since it would be unclear who acts."""
    faults: list[tuple[int, str]] = []
    subjects: set[str] = set()
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


def _account_slips(people: list[_Person]) -> Iterator[_Fault]:
    """Find accounts that nobody can have: a forge knows its users by number, which the file must spell as the forge does."""
    for where, person, account in _accounts(people):
        forge, _, number = account.partition(":")
        if forge in _NOT_FORGES or _NUMBER.fullmatch(number):
            continue
        plain = number.lstrip("+0")
        remedy = (
            f'write "{forge}:{plain}"'
            if _NUMBER.fullmatch(plain)
            else f"an account is the forge's number of the user, not the login: write what /api/v1/users/{number} shows as id"
        )
        yield where, f"the account {account!r} of {person.subject} can belong to nobody: {remedy}"


def _unknown_forges(people: Sequence[_Person], forges: Collection[str]) -> Iterator[_Fault]:
    for where, person, account in _accounts(people):
        forge = account.partition(":")[0]
        if forge == "os" and account.removeprefix("os:").isdecimal():
            yield where, f"the account {account!r} of {person.subject} is a number: os:NAME takes the login name on this machine"
        elif forge not in (*forges, *_NOT_FORGES):
            known = ", ".join(sorted(forges))
            yield where, f"the account {account!r} of {person.subject} is at a forge that is not configured; there are {known}"


def _shared_emails(people: Sequence[_Person]) -> Iterator[_Fault]:
    """Find e-mails of two people: a commit with such an author is nobody's."""
    owners: dict[str, str] = {}
    for index, person in enumerate(people):
        for number, email in enumerate(person.emails):
            owner = owners.setdefault(email.casefold(), person.subject)
            if owner != person.subject:
                what = f"{email} of {person.subject} is also of {owner}, so commits with it count as of an unknown author"
                yield ("people", index, "emails", number), what


def _accounts(people: Sequence[_Person]) -> Iterator[tuple[Where, _Person, str]]:
    for index, person in enumerate(people):
        for number, account in enumerate(person.accounts):
            yield ("people", index, "accounts", number), person, account


def _located_fault(path: Path, text: str, where: Where, what: str) -> str:
    return f"{_place(path, text, where)}: {what}"


def _place(path: Path, text: str, where: Where) -> str:
    """Spell a place with its line: that of the key in its [[people]] table, else that of the table."""
    index = where[1] if len(where) > 1 and isinstance(where[1], int) else None
    key = where[2] if len(where) > 2 else None
    current, line_found = -1, 1
    for number, line in enumerate(text.splitlines(), start=1):
        if _HEADER.match(line):
            current += 1
            line_found = number if current == index else line_found
        elif current == index and isinstance(key, str) and re.match(rf"\s*{re.escape(key)}\s*=", line):
            line_found = number
    return f"{path}:{line_found}: {'.'.join(map(str, where))}"
