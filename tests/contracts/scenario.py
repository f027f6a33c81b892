"""What the contract of identity sources asks of a product's tests: a small system that a test changes and a source reads.

A product adds a file `scenario_<product>.py` with a `Scenario`, and a line in `test_sources.py`. A scenario begins with
the people and groups of `PEOPLE` and `GROUPS`. Logins are what names the principals.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from app.domain.access import Group, Identity, Page
from app.integrations.identity.protocol import IdentitySource

PEOPLE = ("alice", "bob", "carol")
GROUPS: Mapping[str, Collection[str]] = {"deployers": ("alice", "bob"), "auditors": ("carol",), "empty": ()}


class Scenario(Protocol):
    """A system that knows people. What it cannot do raises NotImplementedError, and the test is skipped."""

    source: IdentitySource

    def now(self) -> datetime:
        """Return the time after which what follows happens, well behind what happened before."""
        ...

    def people(self) -> Mapping[str, str]:
        """Return the external ids of all people that are not removed, by login."""
        ...

    def groups(self) -> Mapping[str, str]:
        """Return the external ids of all groups, by name as the source gives it."""
        ...

    def add(self, login: str) -> None:
        """Add an active person. `login` may be one that can name nobody; what the system itself forbids is left out."""
        ...

    def rename(self, login: str, new: str) -> None:
        """Give a person another login."""
        ...

    def deactivate(self, login: str) -> None:
        """Let a person no longer in, but keep it."""
        ...

    def activate(self, login: str) -> None:
        """Let a person in again."""
        ...

    def remove(self, login: str) -> None:
        """Delete a person."""
        ...

    def add_group(self, name: str) -> None:
        """Add a group without members."""
        ...

    def rename_group(self, name: str, new: str) -> None:
        """Give a group another name."""
        ...

    def remove_group(self, name: str) -> None:
        """Delete a group."""
        ...

    def add_to_group(self, name: str, login: str) -> None:
        """Put a person into a group."""
        ...

    def remove_from_group(self, name: str, login: str) -> None:
        """Take a person out of a group."""
        ...

    def go_away(self) -> None:
        """Be out of reach from now on."""
        ...


@dataclass
class Picture:
    """What a reader who believes every page knows."""

    identities: dict[str, Identity] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)

    def take(self, pages: Iterable[Page]) -> Picture:
        """Believe these pages, one after the other."""
        for page in pages:
            self.identities.update({each.external_id: each for each in page.identities})
            self.groups.update({each.external_id: each for each in page.groups})
            for each in page.gone:
                self.identities.pop(each, None)
            for each in page.gone_groups:
                self.groups.pop(each, None)
        return self

    def rights(self) -> dict[str, tuple[str, frozenset[str]]]:
        """Say of all who are active, by external id, whom they are and in which groups: all that decisions rest on."""
        return {
            key: (identity.subject, frozenset(group.name for group in self.groups.values() if key in group.members))
            for key, identity in self.identities.items()
            if identity.is_active
        }


def whole(scenario: Scenario) -> Picture:
    """Read everything."""
    return Picture().take(scenario.source.read_all())
