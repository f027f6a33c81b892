"""The access map in a real database: who is proven, under which sources, and what every change leaves on the audit log."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.domain.access import AccountLink, Group, Identity, LinkedBy, Page
from app.domain.errors import SourceUnavailable
from app.domain.event import Account
from app.domain.principal import PrincipalKind
from app.domain.session import Session, StoredSession
from app.domain.signature import CommitKey, KeyKind
from app.pipeline.people.access_map import StoredAccessMap
from app.pipeline.people.link_by_admin import link_by_admin, unlink_by_admin
from app.pipeline.people.scribe import Scribe
from app.store.reads import Reads
from tests.fakes import FakeClock
from tests.people import PULLED, PUSHED, access_map, say, somebody
from tests.pipeline.conftest import Line

FILE = '[[people]]\nsubject = "alice"\naccounts = ["gogs:1"]\nemails = ["alice@example.com"]\ngroups = ["deployers"]\n'
ALICE = Account("gogs", "1", "alice")


def link(people: StoredAccessMap, account: Account, subject: str, how: LinkedBy = LinkedBy.ADMIN) -> bool:
    with people.store.unit() as unit:
        made = AccountLink(account.forge, account.id, subject, how, "os:root", datetime(2026, 1, 1, tzinfo=UTC))
        return Scribe.of(people.clock, people.ids, "os:root").link(unit, made)


def actions(engine: Engine) -> list[str]:
    return [entry.action for entry in Reads(engine).audit(limit=1000)]


def told(engine: Engine, source: str) -> list[str]:
    return [entry.action for entry in Reads(engine).audit(limit=1000) if entry.detail.get("source") == source]


@pytest.mark.parametrize("rule", [PUSHED, PULLED], ids=["pushed", "read"])
def test_each_source_can_be_the_only_one(engine: Engine, folder: Path, rule: object) -> None:
    people = access_map(engine, folder, None, rule)  # type: ignore[arg-type]
    say(people, rule, Page((somebody("alice"),), (Group("g1", "deployers", frozenset({"id-alice"})),)))  # type: ignore[arg-type]
    assert people.principal_of(ALICE) is None
    assert link(people, ALICE, "alice")
    alice = people.principal_of(ALICE)
    assert alice is not None
    assert (alice.subject, alice.active) == ("alice", True)
    assert alice.groups == {"deployers"} and alice.accounts == {"gogs:1"}
    assert people.owners_of(["ALICE@example.com", "eve@example.com"]) == {"alice@example.com": "alice"}


def test_a_person_disabled_in_one_source_is_active_nowhere(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PUSHED)
    say(people, PUSHED, Page((somebody("alice"),)))
    assert (people.principal_of(ALICE) or pytest.fail()).active
    say(people, PUSHED, Page((somebody("alice", is_active=False),)))
    alice = people.principal_of(ALICE)
    assert alice is not None
    assert (alice.active, alice.why_inactive) == (False, "source directory says so")
    assert people.owners_of(["alice@example.com"]) == {}
    standing = people.standing("alice")
    assert standing is not None and standing.conflicts == ("active according to file, inactive according to directory",)
    assert told(engine, "directory") == ["access:identity-added", "access:identity-deactivated"]


def test_a_person_deleted_in_one_source_is_active_nowhere_until_it_is_made_anew(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PUSHED)
    group = Group("g1", "operators", frozenset({"id-alice"}))
    say(people, PUSHED, Page((somebody("alice"),), (group,)))
    say(people, PUSHED, Page(gone=("id-alice",)))
    alice = people.principal_of(ALICE)
    assert alice is not None
    assert (alice.active, alice.why_inactive) == (False, "source directory no longer has this identity")
    assert alice.groups == {"deployers"}
    say(people, PUSHED, Page((somebody("alice", external_id="id-new"),)))
    alice = people.principal_of(ALICE)
    assert alice is not None and alice.active
    assert told(engine, "directory")[-3:] == ["access:identity-gone", "access:identity-added", "access:subject-passed-on"]


def _belongings(people: StoredAccessMap, subject: str) -> None:
    """Give somebody an account, a key and a session."""
    link(people, Account("gogs", "7", subject), subject)
    link(people, Account("gogs", "8", subject), subject, LinkedBy.PERSON)
    now = people.clock.now()
    with people.store.unit() as unit:
        unit.commit_keys.add(
            CommitKey(people.ids.new(), subject, KeyKind.SSH, "ssh-ed25519 A", f"f-{subject}", False), "os:root", now
        )
        begun = Session(people.ids.new(), subject, "corp", now, now, "", (), "", "", "https://id.example")
        unit.sessions.add(StoredSession(begun.id, begun.id, {}, now, now, now + timedelta(hours=1), begun))


def _left_of(people: StoredAccessMap, subject: str) -> tuple[int, bool, int]:
    with people.store.reading() as unit:
        keys = [key for key in unit.commit_keys.all(subject) if not key.is_revoked]
        return len(unit.access.links_of([subject])), bool(keys), len(unit.sessions.of(subject, people.clock.now()))


NEW_ONE = somebody("jdoe", external_id="id-of-the-new-one")
FORMER_ONE = somebody("other", external_id="id-jdoe")


@pytest.mark.parametrize("pages", [((FORMER_ONE, NEW_ONE),), ((NEW_ONE,), (FORMER_ONE,)), ((FORMER_ONE,), (NEW_ONE,))])
@pytest.mark.parametrize("is_in_the_file", [True, False])
def test_a_name_that_passes_on_takes_nothing_along_in_whatever_order_that_is_heard(
    engine: Engine, folder: Path, pages: tuple[tuple[Identity, ...], ...], is_in_the_file: bool
) -> None:
    file = '[[people]]\nsubject = "jdoe"\n' if is_in_the_file else None
    people = access_map(engine, folder, file, PUSHED)
    say(people, PUSHED, Page((somebody("jdoe"),)))
    _belongings(people, "jdoe")
    for page in pages:
        say(people, PUSHED, Page(page))
    assert _left_of(people, "jdoe") == (0, False, 0)
    assert (people.principal("jdoe") or pytest.fail()).active


def test_what_another_person_has_said_of_the_same_account_is_left_alone(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED)
    say(people, PUSHED, Page((somebody("jdoe"), somebody("bob"))))
    link(people, ALICE, "jdoe")
    link(people, ALICE, "bob", LinkedBy.PERSON)
    say(people, PUSHED, Page(gone=("id-jdoe",)))
    say(people, PUSHED, Page((NEW_ONE,)))
    assert (people.principal_of(ALICE) or pytest.fail()).subject == "bob"


@pytest.mark.parametrize("way", ["deleted", "renamed"])
def test_who_gets_a_name_that_somebody_else_had_inherits_nothing(engine: Engine, folder: Path, way: str) -> None:
    people = access_map(engine, folder, None, PUSHED)
    say(people, PUSHED, Page((somebody("jdoe"),)))
    _belongings(people, "jdoe")
    assert _left_of(people, "jdoe") == (2, True, 1)
    if way == "deleted":
        say(people, PUSHED, Page(gone=("id-jdoe",)))
        assert _left_of(people, "jdoe") == (2, True, 0)
    else:
        say(people, PUSHED, Page((somebody("other", external_id="id-jdoe"),)))
    say(people, PUSHED, Page((somebody("jdoe", external_id="id-of-the-new-one"),)))
    assert _left_of(people, "jdoe") == (0, False, 0)
    assert people.principal_of(Account("gogs", "7", "jdoe")) is None
    assert {"access:unlinked", "access:key-revoked", "access:sessions-ended"} <= set(actions(engine))


def test_whoever_is_deactivated_is_signed_out_and_keeps_the_rest(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED)
    say(people, PUSHED, Page((somebody("jdoe"),)))
    _belongings(people, "jdoe")
    say(people, PUSHED, Page((somebody("jdoe", is_active=False),)))
    say(people, PUSHED, Page((somebody("jdoe"),)))
    assert _left_of(people, "jdoe") == (2, True, 0)


def test_what_another_kind_of_source_has_said_under_a_name_does_not_count(engine: Engine, folder: Path) -> None:
    before = replace(PULLED, name="directory")
    people = access_map(engine, folder, None, before)
    say(people, before, Page((somebody("alice"),), (Group("g", "deployers", frozenset({"id-alice"})),)))
    assert (people.principal("alice") or pytest.fail()).active
    after = access_map(engine, folder, None, PUSHED)
    scribe = Scribe.of(after.clock, after.ids, "scim:okta")
    for _ in range(2):
        with after.store.unit() as unit:
            scribe.open(unit, "directory", PUSHED.kind)
    assert after.principal("alice") is None
    begun = [(e.actor, e.detail) for e in Reads(engine).audit() if e.action == "access:source-begun-anew"]
    assert begun == [("scim:okta", {"source": "directory", "kind": "scim", "former_kind": "okta"})]


def test_an_agent_acts_only_as_long_as_its_owner_may(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED)
    robot = replace(somebody("robot"), kind=PrincipalKind.AGENT, owner="alice")
    say(people, PUSHED, Page((somebody("alice"), robot)))
    assert (people.principal("robot") or pytest.fail()).active
    for said in (Page((somebody("alice", is_active=False),)), Page(gone=("id-alice",))):
        say(people, PUSHED, said)
        inactive = people.principal("robot")
        assert inactive is not None
        assert (inactive.active, inactive.why_inactive) == (False, "its owner alice is not an active person")


def test_a_people_toml_that_is_no_longer_the_file_is_not_taken_over(engine: Engine, folder: Path) -> None:
    old = access_map(engine, folder, FILE)
    new = access_map(engine, folder, FILE + "active = false\n")
    assert not (new.principal_of(ALICE) or pytest.fail()).active
    assert not (old.principal_of(ALICE) or pytest.fail()).active


def test_a_people_toml_with_ten_thousand_people_is_taken_over(engine: Engine, folder: Path) -> None:
    text = "".join(
        f'[[people]]\nsubject = "p{n}"\nemails = ["p{n}@example.com"]\naccounts = ["gogs:{n}"]\ngroups = ["deployers"]\n'
        for n in range(1, 10_001)
    )
    people = access_map(engine, folder, text)
    last = people.principal_of(Account("gogs", "10000", ""))
    assert last is not None and last.active and last.groups == {"deployers"}


def test_a_source_that_is_read_and_was_not_denies_everybody(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PULLED)
    alice = people.principal_of(ALICE)
    assert alice is not None
    assert (alice.active, alice.why_inactive) == (False, "source okta was never read")


def test_a_stale_source_denies_those_of_whom_it_speaks(engine: Engine, folder: Path) -> None:
    clock = FakeClock()
    people = access_map(engine, folder, FILE, PULLED, clock=clock)
    say(people, PULLED, Page((somebody("bob"),)))
    link(people, Account("gogs", "2", "bob"), "bob")
    clock.move(3601)
    bob = people.principal_of(Account("gogs", "2", "bob"))
    assert bob is not None and not bob.active and "source okta is stale" in bob.why_inactive
    assert (people.principal_of(ALICE) or pytest.fail()).active


def test_an_account_that_is_linked_to_two_people_proves_nobody(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PUSHED)
    say(people, PUSHED, Page((somebody("bob"),)))
    assert (people.principal_of(ALICE) or pytest.fail()).active
    assert link(people, ALICE, "bob")
    disputed = people.principal_of(ALICE)
    assert disputed is not None
    assert (disputed.active, disputed.groups) == (False, frozenset())
    assert disputed.why_inactive == "account gogs:1 is linked to several: bob (admin), alice (file)"


def test_links_of_a_file_that_is_no_source_any_more_do_not_count(engine: Engine, folder: Path) -> None:
    before = access_map(engine, folder, FILE, PUSHED)
    say(before, PUSHED, Page((somebody("alice"),)))
    assert before.principal_of(ALICE) is not None
    assert access_map(engine, folder, None, PUSHED).principal_of(ALICE) is None


def test_an_account_that_stands_for_whom_no_source_knows_proves_nobody(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE)
    link(people, Account("gogs", "9", "ghost"), "ghost")
    assert people.principal_of(Account("gogs", "9", "ghost")) is None


NUMBERS = {"alice": "1", "bob": "3", "twin": "5", "off": "5", "a@example.com": "5", "robot": "67"}  # as the forge says


def test_by_rule_an_account_is_linked_only_if_the_forge_says_that_the_login_has_its_number(engine: Engine, folder: Path) -> None:
    """Whoever knows a webhook's secret can send their own number with somebody else's login: a link for good, everywhere."""
    asked: list[str] = []

    def number_of(login: str) -> str | None:
        asked.append(login)
        if len(asked) == 1:
            raise SourceUnavailable("the forge does not answer")
        return NUMBERS.get(login)

    people = access_map(engine, folder, None, PUSHED, linking_forges={"gogs": number_of})
    say(people, PUSHED, Page((somebody("alice@example.com", login="alice"), somebody("carol", login="carol"))))
    with pytest.raises(SourceUnavailable):
        people.principal_of(Account("gogs", "1", "alice"))
    assert people.principal_of(Account("gogs", "666", "alice")) is None
    assert people.principal_of(Account("gogs", "666", "carol")) is None  # the forge has no such user
    assert people.principal_of(Account("gogs", "666", "nobody-here")) is None
    assert [e for e in Reads(engine).audit() if e.action == "access:linked"] == []
    assert (people.principal_of(Account("gogs", "1", "alice")) or pytest.fail()).subject == "alice@example.com"
    assert asked == ["alice", "alice", "carol", "alice"]


def test_by_rule_an_account_is_linked_by_its_login_once_and_by_its_id_from_then_on(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED, linking_forges={"gogs": NUMBERS.get})
    say(people, PUSHED, Page((somebody("alice@example.com", login="Alice"), somebody("bob", login="bob"))))
    alice = people.principal_of(Account("gogs", "1", "alice"))
    assert alice is not None and alice.subject == "alice@example.com"
    renamed = people.principal_of(Account("gogs", "1", "bob"))
    assert renamed is not None and renamed.subject == "alice@example.com"
    assert people.principal_of(Account("gitea", "1", "alice")) is None
    assert people.principal_of(Account("gogs", "3", "")) is None
    linked = [e.detail for e in Reads(engine).audit() if e.action == "access:linked"]
    assert linked == [{"account": "gogs:1", "subject": "alice@example.com", "how": "rule"}]


def test_no_rule_links_by_a_login_that_several_have_or_that_is_inactive(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED, linking_forges={"gogs": NUMBERS.get})
    said = (
        somebody("a", login="twin"),
        somebody("b", login="TWIN"),
        somebody("c", login="off", is_active=False),
    )
    say(people, PUSHED, Page(said))
    for login in ("twin", "off", "a@example.com"):
        assert people.principal_of(Account("gogs", "5", login)) is None


def test_an_account_that_was_unlinked_is_not_linked_by_rule_again(engine: Engine, folder: Path, line: Line) -> None:
    people = access_map(engine, folder, None, PUSHED, linking_forges={"gogs": NUMBERS.get})
    say(people, PUSHED, Page((somebody("alice", login="alice"),)))
    assert people.principal_of(ALICE) is not None
    former = line.services.guard
    services = replace(line.services, guard=lambda: replace(former(), identity=people, forges={"gogs": None}))  # type: ignore[dict-item]
    unlink_by_admin(services, ALICE, Account("os", "root", "root"))
    assert people.principal_of(ALICE) is None
    link_by_admin(services, ALICE, "alice", Account("os", "root", "root"))
    assert (people.principal_of(ALICE) or pytest.fail()).active


def test_no_rule_links_a_second_account_to_somebody_or_an_account_to_a_machine(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED, linking_forges={"gogs": NUMBERS.get})
    machine = replace(somebody("robot", login="robot"), kind=PrincipalKind.MACHINE)
    say(people, PUSHED, Page((somebody("alice", login="alice"), machine)))
    assert people.principal_of(ALICE) is not None
    assert people.principal_of(Account("gogs", "66", "alice")) is None
    assert people.principal_of(Account("gogs", "67", "robot")) is None


def test_saying_the_same_again_changes_nothing(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PUSHED)
    page = Page((somebody("alice"), somebody("bob")), (Group("g1", "deployers", frozenset({"id-alice"})),))
    say(people, PUSHED, page)
    with people.store.reading() as unit:
        version = unit.access.version()
    before = actions(engine)
    say(people, PUSHED, page)
    with people.store.reading() as unit:
        assert unit.access.version() == version > 0
    assert actions(engine) == before


def test_what_changes_is_audited_but_no_personal_data_beside_the_subject(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, None, PUSHED)
    say(people, PUSHED, Page((somebody("alice"),), (Group("g1", "deployers", frozenset({"id-alice"})),)))
    renamed = replace(somebody("alice"), emails=frozenset({"a@example.com"}))
    say(people, PUSHED, Page((renamed,), (Group("g1", "ops", frozenset({"id-bob"})),)))
    details = [(e.action, e.actor, e.detail) for e in Reads(engine).audit()][-2:]
    assert details == [
        (
            "access:identity-changed",
            "source:directory",
            {
                "source": "directory",
                "external_id": "id-alice",
                "subject": "alice",
                "emails": "changed",
            },
        ),
        (
            "access:group-changed",
            "source:directory",
            {
                "source": "directory",
                "external_id": "g1",
                "group": "ops",
                "former_name": "deployers",
                "joined": ["id-bob"],
                "left": ["id-alice"],
            },
        ),
    ]


def test_who_leaves_the_file_is_not_spoken_of_any_more(engine: Engine, folder: Path) -> None:
    first = access_map(engine, folder, FILE, PUSHED)
    say(first, PUSHED, Page((somebody("alice"),)))
    assert first.principal_of(ALICE) is not None
    second = access_map(engine, folder, "# nobody\n", PUSHED)
    assert second.principal_of(ALICE) is None
    alice = second.principal("alice")
    assert alice is not None and alice.active and alice.groups == frozenset()
    assert actions(engine)[-3:] == ["access:identity-withdrawn", "access:group-gone", "access:unlinked"]


def test_processes_that_take_the_file_over_at_once_do_it_once(engine: Engine, folder: Path) -> None:
    maps = [access_map(engine, folder, FILE) for _ in range(8)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda people: people.principal_of(ALICE), maps))
    assert all(each is not None and each.active for each in found)
    assert actions(engine) == ["access:identity-added", "access:group-added", "access:linked"]


def test_everybody_is_listed_beyond_a_page(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PUSHED)
    say(people, PUSHED, Page(tuple(somebody(f"p{n:04}") for n in range(1100))))
    found = [standing.principal.subject for standing in people.everybody()]
    assert found == ["alice", *(f"p{n:04}" for n in range(1100))]


def test_an_email_of_two_active_people_is_nobodys(engine: Engine, folder: Path) -> None:
    people = access_map(engine, folder, FILE, PUSHED)
    shared = replace(somebody("bob"), emails=frozenset({"alice@example.com", "bob@example.com"}))
    say(people, PUSHED, Page((shared,)))
    assert people.owners_of(["Alice@example.com", "bob@example.com"]) == {"bob@example.com": "bob"}
