"""Okta as a source of people: against a fake that follows its documents, and against servers that misbehave."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.access import Group, Hint, HintKind, Identity, Page, subject_from
from app.domain.errors import SecretUnavailable, SourceUnavailable
from app.integrations.http import HttpClient
from app.integrations.identity.okta import api as okta_api
from app.integrations.identity.okta.source import Okta, Options
from app.integrations.secrets.protocol import Secret
from tests.integrations.targets.cast import Answer, Service, hangs_up, says, serving
from tests.okta_fake import TOKEN, FakeOkta, StillClock, serving_okta
from tests.ports import free_port
from tests.sources import tools


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def fake(clock: StillClock) -> Iterator[FakeOkta]:
    with serving_okta(clock) as okta:
        yield okta


@pytest.fixture
def service() -> Iterator[Service]:
    with serving() as made:
        yield made


def the_token(_reference: str) -> Secret:
    return Secret(TOKEN.encode())


def source(
    url: str, clock: StillClock, *, secret: Callable[[str], Secret] = the_token, seconds: float = 20.0, **options: Any
) -> Okta:
    client = HttpClient(connect_timeout=seconds, read_timeout=seconds)
    made = Options(url=url, token="env:OKTA_TOKEN", **options)
    return Okta(made, tools(secret, clock=clock, pause=clock.pause, client=client))


@pytest.fixture
def okta(fake: FakeOkta, clock: StillClock) -> Okta:
    return source(fake.url, clock)


def identities(pages: Iterable[Page] | None) -> dict[str, Identity]:
    return {identity.external_id: identity for page in pages or () for identity in page.identities}


def groups(pages: Iterable[Page] | None) -> dict[str, Group]:
    return {group.external_id: group for page in pages or () for group in page.groups}


def gone(pages: Iterable[Page] | None) -> set[str]:
    return {each for page in pages or () for each in (*page.gone, *page.gone_groups)}


def read(okta: Okta, clock: StillClock, since: datetime) -> list[Page]:
    """Read changes much later than they happened, so that the overlap does not hide a fault."""
    pages = okta.read_changes(since)
    assert pages is not None
    return list(pages)


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("https://acme.okta.com", "https://acme.okta.com"),
        ("https://ACME.okta.com/", "https://acme.okta.com"),
        ("https://acme.okta.com:443", "https://acme.okta.com"),
        ("https://acme.okta.com:8443", "https://acme.okta.com:8443"),
        ("http://127.0.0.1:8080/", "http://127.0.0.1:8080"),
        ("http://localhost:80", "http://localhost"),
        ("http://[::1]:8080", "http://[::1]:8080"),
    ],
)
def test_the_address_is_kept_as_okta_writes_it(url: str, kept: str) -> None:
    assert Options(url=url, token="env:T").url == kept


@pytest.mark.parametrize(
    "wrong",
    [
        {"url": "http://acme.okta.com"},
        {"url": "http://127.0.0.1.example.com"},
        {"url": "http://localhost.example.com"},
        {"url": "https://acme.okta.com/api/v1"},
        {"url": "https://user:pass@acme.okta.com"},
        {"url": "https://acme.okta.com?x"},
        {"url": "ftp://acme.okta.com"},
        {"url": "https://"},
        {"url": "https://[::1"},
        {"token": "00secret"},
        {"token": "env:"},
        {"subject": ""},
        {"subject": "a.b"},
        {"group_prefix": "a b"},
        {"events_secret": "secret"},
        {"limit": 5},
    ],
)
def test_what_is_unsafe_or_unknown_is_no_option(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options(**{"url": "https://acme.okta.com", "token": "env:T", **wrong})


def test_everything_is_read_over_many_pages_and_each_once(fake: FakeOkta, okta: Okta) -> None:
    fake.page_size = 7
    people = [fake.add_user(f"person-{n}@example.com") for n in range(30)]
    made = {fake.add_group(f"group-{n}", people[n:]): frozenset(people[n:]) for n in range(15)}
    pages = list(okta.read_all())
    named = [identity.external_id for page in pages for identity in page.identities]
    assert named == people
    assert {each: group.members for each, group in groups(pages).items()} == made
    assert [group.name for page in pages for group in page.groups] == [f"group-{n}" for n in range(15)]
    assert max(len(page.identities) for page in pages) == 7


def test_the_token_is_sent_as_okta_wants_it_and_a_changed_one_is_taken_at_once(fake: FakeOkta, clock: StillClock) -> None:
    kept = [b"first"]
    okta = source(fake.url, clock, secret=lambda _: Secret(kept[0]))
    fake.add_user("alice")
    for kept[0] in (b"first", b"second"):
        fake.token = kept[0].decode()
        assert len(identities(okta.read_all())) == 1


def test_an_identity_is_what_okta_says_of_the_user(fake: FakeOkta, okta: Okta) -> None:
    user = fake.add_user("Alice@Example.com", firstName="Alice", lastName="Łąka", email="Alice@Example.com")
    assert identities(okta.read_all())[user] == Identity(
        external_id=user,
        subject="alice@example.com",
        is_active=True,
        login="Alice@Example.com",
        name="Alice Łąka",
        emails=frozenset({"alice@example.com"}),
    )


@pytest.mark.parametrize(
    ("status", "is_active"),
    [
        ("ACTIVE", True),
        ("PASSWORD_EXPIRED", True),
        ("RECOVERY", False),
        ("LOCKED_OUT", False),
        ("SUSPENDED", False),
        ("STAGED", False),
        ("PROVISIONED", False),
        ("active", False),
        ("SOMETHING_NEW", False),
        ("", False),
        (None, False),
        (["ACTIVE"], False),
        (True, False),
    ],
)
def test_only_who_can_sign_in_is_active(fake: FakeOkta, okta: Okta, status: Any, is_active: bool) -> None:
    user = fake.add_user("alice", status=status)
    assert identities(okta.read_all())[user].is_active is is_active
    assert identities(okta.read_again(Hint(HintKind.IDENTITY, user)))[user].is_active is is_active


def test_who_is_deactivated_is_in_no_whole_read_and_inactive_in_every_other(
    fake: FakeOkta, okta: Okta, clock: StillClock
) -> None:
    user = fake.add_user("alice")
    group = fake.add_group("deployers", [user])
    clock.move(3600)
    fake.set_status(user, "DEPROVISIONED")
    whole = list(okta.read_all())
    assert user not in identities(whole)
    assert groups(whole)[group].members == frozenset()
    assert identities(read(okta, clock, clock.now()))[user].is_active is False
    assert identities(okta.read_again(Hint(HintKind.IDENTITY, user)))[user].is_active is False


@pytest.mark.parametrize(
    "login",
    ["", " ", "a\x00b", "a\nb", "a\x1bb", "a\u202eb", "x" * 201, None, 7, True, ["alice"], {"a": "b"}, "tidegate", " TideGate "],
)
def test_who_has_no_usable_subject_is_nobody_and_is_told_of_once(
    fake: FakeOkta, okta: Okta, login: Any, caplog: pytest.LogCaptureFixture
) -> None:
    alice = fake.add_user("alice")
    odd = fake.add_user("odd")
    fake.users[odd]["profile"]["login"] = login
    group = fake.add_group("deployers", [alice, odd])
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            pages = list(okta.read_all())
            assert set(identities(pages)) == {alice}
            assert groups(pages)[group].members == {alice}
            assert gone(pages) == {odd}
            assert gone(okta.read_again(Hint(HintKind.IDENTITY, odd))) == {odd}
    assert [record.getMessage() for record in caplog.records] == [
        f"okta: user {odd} has no usable subject, so it is not a principal here"
    ]


@pytest.mark.parametrize("login", ["alice", " Alice ", "ALICE@EXAMPLE.COM", "José", "ÅNGSTRÖM", "İ", "名前", "x" * 200])
def test_a_subject_is_spelt_as_subjects_are(fake: FakeOkta, okta: Okta, login: str) -> None:
    user = fake.add_user(login)
    subject = identities(okta.read_all())[user].subject
    assert subject == subject_from(login) == subject_from(subject)


def test_another_attribute_may_name_the_principal(fake: FakeOkta, clock: StillClock) -> None:
    okta = source(fake.url, clock, subject="employeeNumber")
    user = fake.add_user("alice", employeeNumber="E-17")
    without = fake.add_user("bob")
    pages = list(okta.read_all())
    assert identities(pages)[user].subject == "e-17"
    assert gone(pages) == {without}


@pytest.mark.parametrize("profile", [None, [], "profile", 5, {}])
def test_a_user_without_a_profile_is_nobody(fake: FakeOkta, okta: Okta, profile: Any) -> None:
    user = fake.add_user("alice")
    fake.users[user]["profile"] = {"login": "alice"}
    assert set(identities(okta.read_all())) == {user}
    fake.answers.append(fake.says(200, {"id": user, "status": "ACTIVE", "profile": profile}))
    assert gone(okta.read_again(Hint(HintKind.IDENTITY, user))) == {user}


@pytest.mark.parametrize("email", ["", "no address", "two@of them", "x" * 65 + "@example.com", "a@b\x00", None, 5, ["a@b"]])
def test_what_is_no_email_vouches_for_no_commit(fake: FakeOkta, okta: Okta, email: Any) -> None:
    user = fake.add_user("alice", email=email)
    assert identities(okta.read_all())[user].emails == frozenset()


def test_names_are_one_printable_bounded_line(fake: FakeOkta, okta: Okta) -> None:
    shown = fake.add_user("alice", displayName="A\x1b[31m\nlice" + "x" * 500)
    nameless = fake.add_user("bob", firstName=None, lastName=5)
    found = identities(okta.read_all())
    assert found[shown].name.isprintable()
    assert len(found[shown].name) == 200
    assert found[nameless].name == ""


def test_groups_are_named_with_the_prefix_and_keep_their_id_over_a_rename(fake: FakeOkta, clock: StillClock) -> None:
    okta = source(fake.url, clock, group_prefix="okta/")
    group = fake.add_group("deployers")
    assert groups(okta.read_all())[group].name == "okta/deployers"
    fake.rename_group(group, "releasers")
    assert groups(okta.read_all())[group].name == "okta/releasers"


@pytest.mark.parametrize("name", ["", "a\nb", "a\x00", "x" * 201, None, 5])
def test_a_group_without_a_usable_name_is_gone(fake: FakeOkta, okta: Okta, name: Any, caplog: pytest.LogCaptureFixture) -> None:
    group = fake.add_group(name)
    assert gone(okta.read_all()) == {group}
    assert f"group {group} has no usable name" in caplog.text


def test_changes_are_what_changed(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    alice, bob, carol, dave = (fake.add_user(name) for name in ("alice", "bob", "carol", "dave"))
    old, renamed, regrouped, deleted = (fake.add_group(name, [alice, bob]) for name in ("old", "new", "re", "del"))
    clock.move(3600)
    since = clock.now()
    fake.set_profile(alice, login="alicia")
    fake.set_status(carol, "SUSPENDED")
    fake.delete_user(dave)
    fake.rename_group(renamed, "newer")
    fake.add_member(regrouped, carol)
    fake.delete_group(deleted)
    clock.move(3600)
    pages = read(okta, clock, since)
    assert {each: found.subject for each, found in identities(pages).items()} == {alice: "alicia", carol: "carol"}
    assert not identities(pages)[carol].is_active
    assert {each: found.name for each, found in groups(pages).items()} == {renamed: "newer", regrouped: "re"}
    assert groups(pages)[regrouped].members == {alice, bob, carol}
    assert gone(pages) == {dave, deleted}
    assert old not in groups(pages)


def test_who_is_deactivated_is_among_the_changes_whatever_a_search_lists(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    fake.search_omits_deactivated = True
    user = fake.add_user("alice")
    clock.move(3600)
    fake.set_status(user, "DEPROVISIONED")
    assert identities(read(okta, clock, clock.now()))[user].is_active is False


def test_a_status_that_changed_alone_is_a_change(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    user = fake.add_user("alice")
    before = fake.users[user]["lastUpdated"]
    clock.move(3600)
    fake.set_status(user, "LOCKED_OUT")
    fake.users[user]["lastUpdated"] = before
    assert identities(read(okta, clock, clock.now()))[user].is_active is False


def test_what_changed_just_before_is_read_once_more(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    user = fake.add_user("alice")
    clock.move(60)
    assert set(identities(read(okta, clock, clock.now()))) == {user}
    clock.move(120)
    assert set(identities(read(okta, clock, clock.now()))) == set()


def test_a_deletion_that_did_not_happen_is_not_believed(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    user = fake.add_user("alice")
    clock.move(3600)
    fake._happened("user.lifecycle.delete.initiated", ("User", user))
    pages = read(okta, clock, clock.now())
    assert gone(pages) == set()
    assert identities(pages)[user].is_active


def test_what_is_long_ago_is_read_as_a_whole(okta: Okta, clock: StillClock) -> None:
    assert okta.read_changes(clock.now() - timedelta(days=31)) is None


def test_who_may_not_read_the_log_reads_everything(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    fake.may_read_log = False
    assert okta.read_changes(clock.now()) is None
    assert list(okta.read_all()) == [Page()]


def test_after_many_deletions_everything_is_read(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    for n in range(501):
        fake._happened("user.lifecycle.delete.initiated", ("User", f"00u{n}"))
    assert okta.read_changes(clock.now()) is None


def test_a_log_that_cannot_be_understood_is_not_passed_over(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    fake._happened("user.lifecycle.delete.initiated", ("User", "../../x"))
    with pytest.raises(SourceUnavailable, match="log"):
        okta.read_changes(clock.now())


def test_a_hint_leads_to_the_user_or_group_it_is_about(fake: FakeOkta, okta: Okta) -> None:
    alice, bob = fake.add_user("alice"), fake.add_user("bob")
    group = fake.add_group("deployers", [alice, bob])
    assert set(identities(okta.read_again(Hint(HintKind.IDENTITY, alice)))) == {alice}
    assert groups(okta.read_again(Hint(HintKind.GROUP, group))) == {group: Group(group, "deployers", frozenset({alice, bob}))}
    fake.delete_user(alice)
    fake.delete_group(group)
    assert list(okta.read_again(Hint(HintKind.IDENTITY, alice)) or ()) == [Page(gone=(alice,))]
    assert list(okta.read_again(Hint(HintKind.GROUP, group)) or ()) == [Page(gone_groups=(group,))]


def test_a_hint_about_everything_means_the_whole(okta: Okta) -> None:
    assert okta.read_again(Hint(HintKind.ALL)) is None


@pytest.mark.parametrize("odd", ["", "../groups", "a/b", "a?b", "a%2fb", "00u 1", "ü", "x" * 65, "00u1\n"])
@pytest.mark.parametrize("kind", [HintKind.IDENTITY, HintKind.GROUP])
def test_what_is_no_id_of_oktas_gets_into_no_address(fake: FakeOkta, okta: Okta, kind: HintKind, odd: str) -> None:
    assert gone(okta.read_again(Hint(kind, odd))) == {odd}
    assert fake.requests == []


def test_a_login_is_not_taken_for_an_id(fake: FakeOkta, okta: Okta) -> None:
    fake.add_user("me")
    assert list(okta.read_again(Hint(HintKind.IDENTITY, "me")) or ()) == [Page(gone=("me",))]


def test_a_group_that_is_deleted_while_it_is_read_is_gone(fake: FakeOkta, okta: Okta) -> None:
    group = fake.add_group("deployers")
    found = fake.says(200, fake.groups[group])
    fake.delete_group(group)
    fake.answers.append(found)
    assert gone(okta.read_again(Hint(HintKind.GROUP, group))) == {group}


def test_when_none_remains_the_next_request_waits_until_the_reset(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    clock.move(13)
    fake.page_size, fake.calls_a_minute = 1, 2
    people = [fake.add_user(f"p{n}") for n in range(4)]
    assert set(identities(okta.read_all())) == set(people)
    assert clock.pauses == [47.0, 60.0]
    assert len(fake.requests) == 5  # none was refused


def test_time_that_has_passed_meanwhile_is_not_waited_for_again(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    fake.page_size, fake.calls_a_minute = 1, 1
    fake.add_user("a"), fake.add_user("b")
    pages = okta.read_all()
    next(pages)
    clock.move(45)
    next(pages)
    assert clock.pauses == [15.0]


def test_the_reset_is_counted_by_oktas_clock(fake: FakeOkta, clock: StillClock) -> None:
    ours = StillClock()
    ours.move(-7200)
    fake.calls_a_minute = 0
    okta = source(fake.url, ours)
    clock.move(50)
    with pytest.raises(SourceUnavailable):
        next(okta.read_all())
    assert ours.pauses[0] == 10.0


def test_a_429_is_waited_out(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    user = fake.add_user("alice")
    clock.move(22)
    refused = fake.fault(429)
    refused.headers["Retry-After"] = "9"
    fake.answers += [fake.fault(429), refused]
    assert set(identities(okta.read_all())) == {user}
    assert clock.pauses == [38.0, 9.0]


def test_a_429_that_says_nothing_is_asked_again_with_growing_patience(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    for _ in range(3):
        silent = fake.fault(429)
        del silent.headers["X-Rate-Limit-Reset"]
        fake.answers.append(silent)
    assert list(okta.read_all()) == [Page()]
    assert clock.pauses == [1.0, 2.0, 4.0]


def test_a_429_without_end_makes_the_source_unavailable(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    fake.calls_a_minute = 0
    with pytest.raises(SourceUnavailable, match="HTTP 429, 5 times"):
        list(okta.read_all())
    assert len(fake.requests) == 5
    assert clock.pauses == [60.0] * 4


@pytest.mark.parametrize("header", ["Retry-After", "X-Rate-Limit-Reset"])
def test_a_pause_beyond_measure_is_not_made(fake: FakeOkta, okta: Okta, clock: StillClock, header: str) -> None:
    refused = fake.fault(429)
    refused.headers[header] = "999999999999"
    fake.answers.append(refused)
    with pytest.raises(SourceUnavailable, match="may be asked again in"):
        list(okta.read_all())
    assert clock.pauses == []


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_token_is_said_to_be_refused(fake: FakeOkta, okta: Okta, status: int) -> None:
    fake.answers.append(fake.fault(status))
    with pytest.raises(SourceUnavailable, match=f"refuses the token .HTTP {status} E00000") as caught:
        list(okta.read_all())
    assert TOKEN not in repr(caught.value)
    assert len(fake.requests) == 1


def test_a_wrong_token_is_refused(fake: FakeOkta, okta: Okta, clock: StillClock) -> None:
    fake.token = "another"
    reads: list[Callable[[], Iterable[Page] | None]] = [okta.read_all, lambda: okta.read_changes(clock.now())]
    reads.append(lambda: okta.read_again(Hint(HintKind.GROUP, "00g1")))
    for begin in reads:
        with pytest.raises(SourceUnavailable, match="refuses the token"):
            list(begin() or ())


@pytest.mark.parametrize("token", [b"two\r\nlines", b"", b"a b", "ü".encode(), b"x" * 501])
def test_a_token_that_is_not_fit_for_a_header_is_not_sent(fake: FakeOkta, clock: StillClock, token: bytes) -> None:
    with pytest.raises(SourceUnavailable, match="cannot be sent"):
        list(source(fake.url, clock, secret=lambda _: Secret(token)).read_all())
    assert fake.requests == []


def test_a_token_that_cannot_be_had_makes_the_source_unavailable(fake: FakeOkta, clock: StillClock) -> None:
    def none(_reference: str) -> Secret:
        raise SecretUnavailable("the environment variable OKTA_TOKEN is not set")

    with pytest.raises(SourceUnavailable, match="OKTA_TOKEN is not set"):
        list(source(fake.url, clock, secret=none).read_all())


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_fault_of_oktas_is_asked_again(service: Service, clock: StillClock, status: int) -> None:
    answers = iter([says(status, b"<html>"), says(status), says(200, b"[]"), says(200, b"[]")])
    service.answer = lambda handler, request: next(answers)(handler, request)
    assert list(source(service.url, clock).read_all()) == [Page()]
    assert clock.pauses == [1.0, 2.0]


@pytest.mark.parametrize(
    ("answer", "said", "asked"),
    [
        (says(500), "HTTP 500, 5 times", 5),
        (hangs_up, "no answer .RemoteProtocolError., 5 times", 5),
        (says(400, b'{"errorCode":"E0000031","errorSummary":"00-fake-api-token"}'), "HTTP 400 E0000031$", 1),
        (says(404), "HTTP 404$", 1),
        (says(302, location="http://127.0.0.1:9/"), "HTTP 302$", 1),
        (says(204), "HTTP 204$", 1),
        (says(200, b""), "not JSON", 1),
        (says(200, b'[{"id": "00u1", "sta'), "not JSON", 1),
        (says(200, b"\x1f\x8b\x08\x00", content_encoding="gzip"), "not JSON", 1),
        (says(200, b"[" * 100_000), "not JSON", 1),
        (says(200, b'{"id": "00u1"}'), "not a list", 1),
        (says(200, b"null"), "not a list", 1),
        (says(200, b"[null]"), "no id", 1),
        (says(200, b'[{"status": "ACTIVE"}]'), "no id", 1),
        (says(200, b'[{"id": 5}]'), "no id", 1),
        (says(200, b'[{"id": "../x"}]'), "no id", 1),
        (says(200, b'[{"id": "00u1\\n"}]'), "no id", 1),
        (says(200, b" " * (okta_api.LARGEST_PAGE + 1)), "more than 8388608 bytes", 1),
    ],
)
def test_an_answer_that_is_none_makes_the_source_unavailable(
    service: Service, clock: StillClock, answer: Answer, said: str, asked: int
) -> None:
    service.answer = answer
    with pytest.raises(SourceUnavailable, match=said) as caught:
        list(source(service.url, clock).read_all())
    assert TOKEN not in str(caught.value)
    assert len(service.requests) == asked


def test_an_answer_that_ends_too_early_makes_the_source_unavailable(service: Service, clock: StillClock) -> None:
    def ends_early(handler: Any, request: Any) -> None:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n[]")
        handler.close_connection = True

    service.answer = ends_early
    with pytest.raises(SourceUnavailable, match="no answer"):
        list(source(service.url, clock).read_all())


def test_nobody_there_makes_the_source_unavailable(clock: StillClock) -> None:
    with pytest.raises(SourceUnavailable, match=r"no answer \(ConnectError\), 5 times"):
        list(source(f"http://127.0.0.1:{free_port()}", clock).read_all())
    assert clock.pauses == [1.0, 2.0, 4.0, 8.0]


def test_silence_makes_the_source_unavailable(service: Service, clock: StillClock) -> None:
    service.answer = service.is_silent
    with pytest.raises(SourceUnavailable, match="no answer"):
        list(source(service.url, clock, seconds=0.2).read_all())


def test_a_fault_in_the_middle_is_not_the_end(fake: FakeOkta, okta: Okta) -> None:
    fake.page_size = 1
    fake.add_user("alice"), fake.add_user("bob")
    pages = okta.read_all()
    next(pages)
    fake.token = "another"
    with pytest.raises(SourceUnavailable):
        next(pages)


def linked(link: str, body: bytes = b"[]") -> Answer:
    return says(200, body, link=link)


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/api/v1/users?after=1",
        "//evil.example/api/v1/users",
        "http://127.0.0.1:{port}@evil.example/api/v1/users",
        "http://127.0.0.1:{port}.evil.example/api/v1/users",
        "http://127.0.0.1:{port}\\@evil.example/api/v1/users",
        "http://evil.example/http://127.0.0.1:{port}/api/v1/users",
        "https://127.0.0.1:{port}/api/v1/users",
        "http://127.0.0.1/api/v1/users",
        "http://127.0.0.1:1{port}/api/v1/users",
        "http://127.0.0.1:{port}/admin/users",
        "http://127.0.0.1:{port}/api/v1/users?a b",
        "http://127.0.0.1:{port}/api/v1/users?\\",
        "/api/v1/users?after=1",
        "",
        "http://127.0.0.1:{port}/api/v1/" + "x" * 5000,
    ],
)
def test_a_next_page_elsewhere_is_not_asked_for(service: Service, clock: StillClock, link: str) -> None:
    service.answer = linked(f'<{link.replace("{port}", service.url.rpartition(":")[2])}>; rel="next"')
    with pytest.raises(SourceUnavailable, match="not at Okta's address"):
        list(source(service.url, clock).read_all())
    assert len(service.requests) == 1


def test_pages_that_go_in_a_circle_end(service: Service, clock: StillClock) -> None:
    service.answer = linked(f'<{service.url}/api/v1/users?after=1>; rel="next"')
    with pytest.raises(SourceUnavailable, match="loop"):
        list(source(service.url, clock).read_all())
    assert len(service.requests) == 2


def test_pages_without_end_end(service: Service, clock: StillClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(okta_api, "MOST_PAGES", 5)

    def on_and_on(handler: Any, request: Any) -> None:
        linked(f'<{service.url}/api/v1/users?after={len(service.requests)}>; rel="next"')(handler, request)

    service.answer = on_and_on
    with pytest.raises(SourceUnavailable, match="over 5 pages"):
        list(source(service.url, clock).read_all())
    assert len(service.requests) == 5


@pytest.mark.parametrize(
    "link",
    [
        '<{url}/api/v1/users?limit=200>; rel="self", <{url}/api/v1/users?after=a,b;c&limit=200>; rel="next"',
        "<{url}/api/v1/users?after=a,b;c&limit=200>;rel=next",
        '<{url}/api/v1/users?after=a,b;c&limit=200> ; title="x"; rel="next"; x=y,<{url}>; rel="self"',
    ],
)
def test_the_next_link_is_found_however_it_is_written(service: Service, clock: StillClock, link: str) -> None:
    def answer(handler: Any, request: Any) -> None:
        more = request.path == "/api/v1/users?limit=200"
        (linked(link.replace("{url}", service.url)) if more else says(200, b"[]"))(handler, request)

    service.answer = answer
    list(source(service.url, clock).read_all())
    assert [request.path for request in service.requests[:2]] == [
        "/api/v1/users?limit=200",
        "/api/v1/users?after=a,b;c&limit=200",
    ]


@pytest.mark.parametrize("link", ["", "<", '<{url}/api/v1/users?after=1>; rel="prev"', '<{url}/x>; rel="nextish"', "rel=next"])
def test_what_is_no_next_link_is_the_end(service: Service, clock: StillClock, link: str) -> None:
    service.answer = linked(link.replace("{url}", service.url))
    assert list(source(service.url, clock).read_all()) == [Page()]


def test_a_huge_page_of_users_is_read(fake: FakeOkta, okta: Okta) -> None:
    user = fake.add_user("alice", about="x" * (okta_api.LARGEST_PAGE - 10_000))
    assert set(identities(okta.read_all())) == {user}


def test_the_fake_answers_as_okta_does(fake: FakeOkta) -> None:
    fake.add_user("alice"), fake.add_user("bob", status="DEPROVISIONED")
    client = HttpClient(connect_timeout=5.0, read_timeout=20.0)
    asked = {"authorization": f"SSWS {TOKEN}"}
    (user,) = json.loads(client.get(f"{fake.url}/api/v1/users", headers=asked).body)
    assert {"id", "status", "created", "activated", "statusChanged", "lastUpdated", "profile"} <= set(user)
    for query in (
        "filter=status%20xx%20%22A%22",
        "filter=(status%20eq%20%22A%22",
        "search=profile.x%20eq%20%22A%22",
        "after=x&x=y",
    ):
        refused = client.get(f"{fake.url}/api/v1/users?{query}", headers=asked)
        assert refused.status in (400, 500)
    assert json.loads(client.get(f"{fake.url}/api/v1/users").body)["errorCode"] == "E0000011"


def test_groups_of_an_imported_application_count_only_where_that_is_configured(fake: FakeOkta, clock: StillClock) -> None:
    """Whoever runs an application that Okta imports may call a group as they like."""
    ours, theirs = fake.add_group("deployers"), fake.add_group("release-managers")
    fake.groups[theirs]["type"] = "APP_GROUP"
    for types, expected in ((["OKTA_GROUP"], {ours}), (["OKTA_GROUP", "APP_GROUP"], {ours, theirs})):
        pages = list(source(fake.url, clock, group_types=types).read_all())
        assert {group.external_id for page in pages for group in page.groups} == expected
