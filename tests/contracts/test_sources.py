"""What the access map relies on from any system that is read for people and groups (protocol: IdentitySource)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from app.domain.access import Hint, HintKind, Page, subject_from
from app.domain.errors import SourceUnavailable
from tests.contracts.scenario import GROUPS, PEOPLE, Picture, Scenario, whole
from tests.contracts.scenario_aws import aws_scenario
from tests.contracts.scenario_okta import okta_scenario

SCENARIOS: dict[str, Callable[[Path], AbstractContextManager[Scenario]]] = {
    "aws_iam": aws_scenario,
    "okta": okta_scenario,
}
Change = Callable[[Scenario], None]
CHANGES: dict[str, Change] = {
    "nothing": lambda _: None,
    "somebody new": lambda s: s.add("dave"),
    "somebody new in a group": lambda s: (s.add("dave"), s.add_to_group("deployers", "dave"))[1],
    "another login": lambda s: s.rename("alice", "alicia"),
    "another login that can name nobody": lambda s: s.rename("alice", "ali\x00ce"),
    "a login that somebody else had": lambda s: (s.rename("alice", "alicia"), s.rename("bob", "alice"))[1],
    "deactivated": lambda s: s.deactivate("alice"),
    "deactivated and let in again": lambda s: (s.deactivate("alice"), s.activate("alice"))[1],
    "removed": lambda s: s.remove("alice"),
    "removed and added anew": lambda s: (s.remove("alice"), s.add("alice"))[1],
    "put into a group": lambda s: s.add_to_group("deployers", "carol"),
    "taken out of a group": lambda s: s.remove_from_group("deployers", "alice"),
    "the last of a group": lambda s: s.remove_from_group("auditors", "carol"),
    "a new group": lambda s: (s.add_group("releasers"), s.add_to_group("releasers", "bob"))[1],
    "a group of another name": lambda s: s.rename_group("deployers", "releasers"),
    "a group less": lambda s: s.remove_group("deployers"),
    "much at once": lambda s: (
        s.remove_group("auditors"),
        s.remove("bob"),
        s.add("dave"),
        s.add_to_group("empty", "dave"),
        s.deactivate("carol"),
    )[-1],
}
ODD_LOGINS = ["ALICIA", " padded ", "Straße", "a\tb", "a\u202eb", "x" * 201, "tidegate", "\x1b[31m", "\u00a0", "名前"]


@pytest.fixture(params=SCENARIOS)
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scenario]:
    with SCENARIOS[request.param](tmp_path) as made:
        yield made


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest) -> Change:
    made = CHANGES[request.param]

    def applied(scenario: Scenario) -> None:
        try:
            made(scenario)
        except NotImplementedError:
            pytest.skip("this system cannot do that")

    return applied


def ids(scenario: Scenario) -> dict[tuple[HintKind, str], None]:
    """List what there is to hint at."""
    people = {(HintKind.IDENTITY, each): None for each in scenario.people().values()}
    return people | {(HintKind.GROUP, each): None for each in scenario.groups().values()}


def test_a_whole_read_says_who_there_is_and_in_which_groups(scenario: Scenario) -> None:
    people = scenario.people()
    expected = {people[login]: (login, frozenset(name for name in GROUPS if login in GROUPS[name])) for login in PEOPLE}
    assert whole(scenario).rights() == expected


def test_who_is_in_a_group_was_named_before_it(scenario: Scenario, change: Change) -> None:
    change(scenario)
    pages, named = list(scenario.source.read_all()), set[str]()
    assert any(page.groups for page in pages)
    for page in pages:
        named |= {identity.external_id for identity in page.identities}
        for group in page.groups:
            assert group.members <= named


def test_nothing_is_named_twice_in_a_whole_read(scenario: Scenario) -> None:
    pages = list(scenario.source.read_all())
    for named in (
        [each.external_id for page in pages for each in page.identities],
        [each.external_id for page in pages for each in page.groups],
    ):
        assert len(named) == len(set(named))


def test_what_is_not_changed_is_said_the_same_way_again(scenario: Scenario) -> None:
    assert whole(scenario) == whole(scenario)


def test_external_ids_outlast_other_names(scenario: Scenario) -> None:
    person, group = scenario.people()["alice"], scenario.groups()["deployers"]
    try:
        scenario.rename("alice", "alicia")
        scenario.rename_group("deployers", "releasers")
    except NotImplementedError:
        pytest.skip("names do not change here")
    picture = whole(scenario)
    assert picture.identities[person].subject == "alicia"
    assert picture.groups[group].name == "releasers"


def test_somebody_new_of_an_old_name_has_another_external_id(scenario: Scenario) -> None:
    before = scenario.people()["alice"]
    try:
        scenario.remove("alice")
        scenario.add("alice")
    except NotImplementedError:
        pytest.skip("people are not removed here")
    rights = whole(scenario).rights()
    assert before not in rights
    assert rights[scenario.people()["alice"]] == ("alice", frozenset())


def test_who_is_deactivated_is_inactive_or_gone_in_every_read(scenario: Scenario) -> None:
    person = scenario.people()["alice"]
    known = whole(scenario)
    since = scenario.now()
    scenario.deactivate("alice")
    assert person not in whole(scenario).rights()
    for pages in (scenario.source.read_changes(since), scenario.source.read_again(Hint(HintKind.IDENTITY, person))):
        if pages is not None:
            assert person not in Picture(dict(known.identities), dict(known.groups)).take(pages).rights()


def test_reading_the_changes_is_worth_as_much_as_reading_everything(scenario: Scenario, change: Change) -> None:
    known = whole(scenario)
    since = scenario.now()
    change(scenario)
    pages = scenario.source.read_changes(since)
    if pages is None:
        pytest.skip("it tells no changes")
    assert known.take(pages).rights() == whole(scenario).rights()


def test_reading_again_what_changed_is_worth_as_much_as_reading_everything(scenario: Scenario, change: Change) -> None:
    known = whole(scenario)
    hints = ids(scenario)
    change(scenario)
    for kind, external_id in hints | ids(scenario):
        pages = scenario.source.read_again(Hint(kind, external_id))
        if pages is None:
            return
        known.take(pages)
    assert known.rights() == whole(scenario).rights()


def test_a_hint_about_everything_is_answered_by_a_whole_read(scenario: Scenario) -> None:
    assert scenario.source.read_again(Hint(HintKind.ALL)) is None


@pytest.mark.parametrize("kind", [HintKind.IDENTITY, HintKind.GROUP])
@pytest.mark.parametrize("odd", ["", "nobody", "../..", "a b", "\x00", "x" * 5000])
def test_a_hint_about_what_is_not_there_names_nobody(scenario: Scenario, kind: HintKind, odd: str) -> None:
    pages = scenario.source.read_again(Hint(kind, odd))
    if pages is None:
        pytest.skip("a whole read answers it")
    for page in pages:
        gone = {HintKind.IDENTITY: page.gone, HintKind.GROUP: page.gone_groups}[kind]
        assert (page.identities, page.groups, gone) == ((), (), (odd,))


@pytest.mark.parametrize("login", ODD_LOGINS)
def test_every_subject_is_spelt_as_subjects_are_and_nobody_is_the_gate(scenario: Scenario, login: str) -> None:
    try:
        scenario.add(login)
    except NotImplementedError:
        pytest.skip("nobody is called so here")
    identities = whole(scenario).identities.values()
    assert len(identities) >= len(PEOPLE)
    for identity in identities:
        assert identity.subject == subject_from(identity.subject)
        assert identity.subject in {*PEOPLE, subject_from(login)} - {"tidegate"}


def test_every_page_can_be_kept(scenario: Scenario) -> None:
    pages = list(scenario.source.read_all())
    assert {each.subject for page in pages for each in page.identities} == set(PEOPLE)
    for page in pages:
        assert isinstance(page, Page)
        assert len(page.identities) <= 200
        for identity in page.identities:
            assert identity.external_id
            assert (identity.login + identity.name).isprintable()
            assert all(email == email.casefold() and "@" in email for email in identity.emails)
        for group in page.groups:
            assert group.external_id
            assert group.name
            assert group.name.isprintable()


def test_a_system_that_is_away_makes_every_read_unavailable_and_nothing_else(scenario: Scenario) -> None:
    person, group, since = scenario.people()["alice"], scenario.groups()["deployers"], scenario.now()
    scenario.go_away()
    reads: list[Callable[[], Iterator[Page] | None]] = [
        scenario.source.read_all,
        lambda: scenario.source.read_changes(since),
        lambda: scenario.source.read_again(Hint(HintKind.IDENTITY, person)),
        lambda: scenario.source.read_again(Hint(HintKind.GROUP, group)),
    ]
    for index, begin in enumerate(reads):
        with pytest.raises(SourceUnavailable):
            pages = begin()
            if pages is None and index:
                raise SourceUnavailable  # reads only the whole
            list(pages or ())
