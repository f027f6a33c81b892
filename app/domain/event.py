"""The meaning of a delivery: the actor, the act, the ref and the repository.

Values only: `integrations/forges` makes them from bytes, and `pipeline/intake/plan.py` acts on them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

LONGEST_REF = 1024  # bytes
_OBJECT_ID = re.compile(r"\A(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")


class EventKind(StrEnum):
    """The kinds of events that can lead to a deployment."""

    PUSH = "push"
    TAG = "tag"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Account:
    """A forge account by its stable number; the login is for people to read and may be recycled.

    `forge` is the configured name of the forge. It is `os` for an operating-system user of this machine (then `id` is the
    login name), and `tidegate` for the gate itself.
    """

    forge: str
    id: str
    login: str

    @property
    def key(self) -> str:
        """`FORGE:ID`, as people.toml spells it."""
        return f"{self.forge}:{self.id}"


def account_of(key: str) -> Account:
    """Read an account back from its key; its login is not known."""
    forge, _, number = key.partition(":")
    return Account(forge, number, "")


PERSON = "person"  # the forge of a person who signed in at the gate itself; then `id` is the subject
GATE_ACCOUNT = Account(forge="tidegate", id="gate", login="tidegate")


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository at a forge. `id` and `owner_id` are stable; names can be changed and reused."""

    forge: str
    id: int
    full_name: str
    owner: str
    owner_id: int

    @property
    def key(self) -> str:
        """`FORGE:OWNER/NAME`, as tidegate.toml spells it."""
        return f"{self.forge}:{self.full_name}"


@dataclass(frozen=True, slots=True)
class Event:
    """An act that may lead to a deployment.

    `ref` is always full (`refs/heads/…`, `refs/tags/…`). `after` is the object that `ref` was set to: a commit, an
    annotated tag's own id, or None if the forge does not say (a Gogs release). `before` is None for a new ref.
    """

    kind: EventKind
    repository: Repository
    ref: str
    before: str | None
    after: str | None
    actor: Account


@dataclass(frozen=True, slots=True)
class Ignored:
    """A valid delivery that leads to nothing, and why (shown on the forge's delivery page: no personal data)."""

    reason: str


def bounded_ref(ref: str, most: int = LONGEST_REF) -> str:
    """Return a ref that indexes of the database can hold; raises ValueError if it has more than `most` bytes."""
    if len(ref.encode()) > most:
        raise ValueError(f"is longer than {most} bytes")
    return ref


def is_object_id(text: str) -> bool:
    """Tell whether `text` is a full SHA-1 or SHA-256 object id in lower-case hex."""
    return _OBJECT_ID.match(text) is not None


def is_zero(object_id: str) -> bool:
    """Tell whether `object_id` is git's null id (the ref did not exist before, or no longer exists)."""
    return set(object_id) == {"0"}
