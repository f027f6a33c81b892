"""Reading a source: changes often, the whole now and then, hints at once; one that breaks off confirms nothing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import pytest

from app.domain.access import Group, Hint, HintKind, Identity, Page, SourceState
from app.domain.errors import NotFound, SourceUnavailable
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.people.sync import due_sources, sync
from app.pipeline.ports.services import Guard, SourceBinding
from app.store.reads import Reads
from tests.people import PULLED, somebody
from tests.pipeline.conftest import Line


@dataclass
class Scripted:
    """A source whose people a test changes; remembers how it was read."""

    people: dict[str, Identity] = field(default_factory=dict)
    groups: dict[str, Group] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    breaks_after: int | None = None
    only_whole: bool = False
    page: int = 2

    def add(self, *people: Identity) -> None:
        self.people.update({each.external_id: each for each in people})

    def read_all(self) -> Iterator[Page]:
        self.reads.append("all")
        yield from self._pages(list(self.people.values()))
        yield Page(groups=tuple(self.groups.values()))

    def read_changes(self, since: datetime) -> Iterator[Page] | None:
        self.reads.append("changes")
        return None if self.only_whole else self._pages(list(self.people.values()))

    def read_again(self, hint: Hint) -> Iterator[Page] | None:
        self.reads.append(f"{hint.kind.value} {hint.external_id}".strip())
        if self.only_whole or hint.kind is HintKind.ALL:
            return None
        found = self.people.get(hint.external_id)
        return iter([Page((found,)) if found else Page(gone=(hint.external_id,))])

    def _pages(self, people: list[Identity]) -> Iterator[Page]:
        for number, start in enumerate(range(0, len(people), self.page)):
            if self.breaks_after == number:
                raise SourceUnavailable("the source broke off")
            yield Page(tuple(people[start : start + self.page]))


@dataclass
class Desk:
    """The line with one source that is read."""

    line: Line
    source: Scripted

    def state(self) -> SourceState:
        with self.line.services.store.reading() as unit:
            return unit.statements.states()[0]

    def active(self, subject: str) -> bool | None:
        principal = self.people.principal(subject)
        return principal.active if principal else None

    def hint(self, event_id: str, *hints: Hint) -> bool:
        with self.line.services.store.unit() as unit:
            return unit.hints.keep("okta", event_id, hints, self.line.clock.now())

    @property
    def people(self) -> StoredAccessMap:
        services = self.line.services
        return StoredAccessMap(services.store, services.clock, services.ids, rules={"okta": PULLED})


@pytest.fixture
def desk(line: Line) -> Desk:
    source = Scripted()
    source.add(somebody("alice"), somebody("bob"), somebody("carol"))
    former = line.services.guard

    def guard() -> Guard:
        return replace(former(), sources={"okta": SourceBinding(PULLED, lambda: source)})

    line.services = replace(line.services, guard=guard)
    return Desk(line, source)


def test_the_first_reading_is_of_the_whole(desk: Desk) -> None:
    assert due_sources(desk.line.services) == ["okta"]
    reading = sync(desk.line.services, "okta")
    assert (reading.is_whole, reading.identities, reading.changes, desk.source.reads) == (True, 3, 3, ["all"])
    assert due_sources(desk.line.services) == []
    assert desk.active("alice")


def test_then_changes_are_read_as_often_as_configured_and_the_whole_now_and_then(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    for seconds, expected in ((299, []), (2, ["okta"])):
        desk.line.clock.move(seconds)
        assert due_sources(desk.line.services) == expected
    assert not sync(desk.line.services, "okta").is_whole
    desk.line.clock.move(timedelta(hours=6).total_seconds())
    assert sync(desk.line.services, "okta").is_whole
    assert desk.source.reads == ["all", "changes", "all"]


def test_who_is_missing_in_the_whole_is_gone(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    del desk.source.people["id-bob"]
    reading = sync(desk.line.services, "okta", whole=True)
    assert (reading.changes, desk.active("bob"), desk.active("alice")) == (1, False, True)


def test_changes_alone_make_nobody_gone(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    del desk.source.people["id-bob"]
    desk.line.clock.move(301)
    sync(desk.line.services, "okta")
    assert desk.active("bob")


def test_a_group_that_is_missing_in_the_whole_is_gone(desk: Desk) -> None:
    desk.source.groups["g"] = Group("g", "deployers", frozenset({"id-alice"}))
    sync(desk.line.services, "okta")
    assert (desk.people.principal("alice") or pytest.fail()).groups == {"deployers"}
    desk.source.groups.clear()
    sync(desk.line.services, "okta", whole=True)
    assert (desk.people.principal("alice") or pytest.fail()).groups == frozenset()


def test_a_reading_that_breaks_off_keeps_what_it_learnt_makes_nobody_gone_and_confirms_nothing(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    confirmed = desk.state().refreshed_at
    desk.line.clock.move(400)
    desk.source.add(replace(somebody("alice"), is_active=False))
    del desk.source.people["id-carol"]
    desk.source.breaks_after, desk.source.page = 1, 1
    with pytest.raises(SourceUnavailable):
        sync(desk.line.services, "okta", whole=True)
    state = desk.state()
    assert (state.refreshed_at, state.fault) == (confirmed, "the source broke off")
    assert (desk.active("alice"), desk.active("carol")) == (False, True)


def test_a_source_that_stays_away_is_tried_again_and_denies_once_it_is_stale(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    desk.source.breaks_after = 0
    desk.line.clock.move(301)
    with pytest.raises(SourceUnavailable):
        sync(desk.line.services, "okta")
    assert due_sources(desk.line.services) == []
    desk.line.clock.move(31)
    assert due_sources(desk.line.services) == ["okta"]
    assert desk.active("alice")
    desk.line.clock.move(3600)
    assert not desk.active("alice")
    desk.source.breaks_after = None
    sync(desk.line.services, "okta")
    assert desk.active("alice") and desk.state().fault is None


def test_a_hint_is_followed_by_reading_that_one_again(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    desk.source.add(replace(somebody("alice"), is_active=False))
    assert desk.hint("event-1", Hint(HintKind.IDENTITY, "id-alice"))
    assert not desk.hint("event-1", Hint(HintKind.IDENTITY, "id-alice"))
    assert due_sources(desk.line.services) == []  # it was tried just now
    desk.line.clock.move(5)
    assert due_sources(desk.line.services) == ["okta"]
    before = desk.state().refreshed_at
    sync(desk.line.services, "okta")
    assert desk.source.reads[1:] == ["identity id-alice"]
    assert (desk.active("alice"), desk.active("bob"), desk.state().refreshed_at) == (False, True, before)
    assert due_sources(desk.line.services) == []


def test_a_hint_about_somebody_who_is_no_longer_there_makes_him_gone(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    del desk.source.people["id-bob"]
    desk.hint("event-2", Hint(HintKind.IDENTITY, "id-bob"))
    sync(desk.line.services, "okta")
    assert desk.active("bob") is False


@pytest.mark.parametrize("only_whole", [True, False])
def test_a_hint_that_can_only_be_answered_by_the_whole_is(desk: Desk, only_whole: bool) -> None:
    sync(desk.line.services, "okta")
    desk.source.only_whole = only_whole
    desk.hint("event-3", Hint(HintKind.ALL) if not only_whole else Hint(HintKind.IDENTITY, "id-alice"))
    assert sync(desk.line.services, "okta").is_whole


def test_a_hint_stays_open_while_the_source_cannot_be_read(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    desk.source.only_whole, desk.source.breaks_after = True, 0
    desk.hint("event-4", Hint(HintKind.ALL))
    with pytest.raises(SourceUnavailable):
        sync(desk.line.services, "okta")
    desk.line.clock.move(31)
    assert due_sources(desk.line.services) == ["okta"]


def test_two_never_read_one_source_at_once(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    with desk.line.services.store.unit() as unit:
        assert unit.statements.lease("okta", "another", desk.line.clock.now(), 60)
    assert sync(desk.line.services, "okta", whole=True).is_taken
    desk.line.clock.move(61)  # its reader died
    assert sync(desk.line.services, "okta", whole=True).is_whole


def test_a_reader_that_was_overtaken_writes_no_more(desk: Desk) -> None:
    """One page may take longer than the lease: what was read before may not overwrite what was read after."""
    sync(desk.line.services, "okta")
    desk.source.page = 1
    slow = desk.source._pages

    def overtaken(people: list[Identity]) -> Iterator[Page]:
        for number, page in enumerate(slow(people)):
            if number == 1:
                desk.source._pages = slow  # type: ignore[method-assign]
                desk.line.clock.move(400)
                desk.source.add(replace(somebody("bob"), is_active=False))
                sync(desk.line.services, "okta", whole=True)
            yield page

    desk.source._pages = overtaken  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable, match="another one has begun"):
        sync(desk.line.services, "okta", whole=True)
    assert desk.active("bob") is False
    assert desk.state().fault is None


def test_a_clock_that_was_a_year_ahead_leaves_nothing_behind(desk: Desk) -> None:
    year = 366 * 86_400.0
    desk.line.clock.move(year)
    sync(desk.line.services, "okta")
    with desk.line.services.store.unit() as unit:
        assert unit.statements.lease("okta", "of the wrong time", desk.line.clock.now(), 300)
    desk.line.clock.move(-year)
    assert not desk.active("alice")
    assert due_sources(desk.line.services) == ["okta"]
    assert sync(desk.line.services, "okta").is_whole
    assert desk.active("alice")


def test_an_answer_without_most_of_the_groups_is_not_believed_either(desk: Desk) -> None:
    desk.source.groups = {f"g{n}": Group(f"g{n}", f"g{n}", frozenset({"id-alice"})) for n in range(30)}
    sync(desk.line.services, "okta")
    desk.source.groups.clear()
    with pytest.raises(SourceUnavailable, match="30 of 30 groups are missing"):
        sync(desk.line.services, "okta", whole=True)


def test_a_fault_that_nobody_foresaw_is_told_and_lets_the_next_one_read(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    desk.source.people["odd"] = None  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        sync(desk.line.services, "okta", whole=True)
    assert desk.state().fault == "an unexpected AttributeError; the log tells more"
    del desk.source.people["odd"]
    assert sync(desk.line.services, "okta", whole=True).is_whole


def test_an_answer_without_most_of_the_people_is_not_believed_until_somebody_says_so(desk: Desk) -> None:
    desk.source.add(*(somebody(f"p{n}") for n in range(60)))
    sync(desk.line.services, "okta")
    desk.source.people = dict(list(desk.source.people.items())[:10])
    with pytest.raises(SourceUnavailable, match="53 of 63 people are missing"):
        sync(desk.line.services, "okta", whole=True)
    assert desk.active("p59")
    sync(desk.line.services, "okta", force=True)
    assert desk.active("p59") is False


def test_a_reading_is_audited_in_the_name_of_the_source(desk: Desk) -> None:
    sync(desk.line.services, "okta")
    entries = [e for e in Reads(desk.line.engine).audit() if e.action.startswith("access:")]
    assert {(e.action, e.actor) for e in entries} == {("access:identity-added", "source:okta")}
    assert len({e.correlation_id for e in entries}) == 1


def test_what_is_no_source_that_is_read_cannot_be_read(desk: Desk) -> None:
    with pytest.raises(NotFound):
        sync(desk.line.services, "file")
