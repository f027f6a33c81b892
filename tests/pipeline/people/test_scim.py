"""SCIM clients at the pipeline: their tokens, and what their writes say to the access map, all in the units they are given."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from app.domain.access import SourceKind, SourceRule
from app.domain.errors import BadRequest, Forbidden, NotAllowed, NotFound
from app.domain.scim import ScimToken, WrittenResource, digest_of
from app.integrations.identity.scim import Options, ScimDocuments
from app.pipeline.people.scim_token import (
    TOKEN_BYTES,
    caller_of,
    create_token,
    list_tokens,
    note_use,
    revoke_token,
    valid_token,
)
from app.pipeline.people.serve_scim import ScimWriter
from app.pipeline.ports.services import Services, SourceBinding
from app.store.reads import Reads
from tests.people import PULLED
from tests.pipeline.conftest import ALICE, Line

SCIM = SourceRule("directory", SourceKind.SCIM)


@pytest.fixture
def services(line: Line) -> Services:
    former = line.services.guard
    written = SourceBinding(SCIM, pytest.fail, documents=ScimDocuments(Options(group_prefix="d/")))
    sources = {"directory": written, "okta": SourceBinding(PULLED, pytest.fail)}
    return replace(line.services, guard=lambda: replace(former(), sources=sources))


def a_token(services: Services, client: str = "okta") -> tuple[ScimToken, str]:
    return create_token(services, "directory", client, by=ALICE, random=lambda count: client.encode().ljust(count))


def acts(line: Line) -> list[tuple[str, str]]:
    """List the actions and actors of the audit entries."""
    return [(entry.action, entry.actor) for entry in Reads(line.engine).audit()]


@pytest.fixture
def write(services: Services) -> Callable[..., None]:
    """Write as a client would in one request: open, then record each."""
    token, _ = a_token(services)

    def write(*written: WrittenResource) -> None:
        writer = ScimWriter.of(services, caller_of(services, token))
        with services.store.unit() as unit:
            writer.open(unit)
            for each in written:
                writer.record(unit, each)

    return write


def user(user_id: str, name: str, **more: object) -> WrittenResource:
    return WrittenResource("User", user_id, {"userName": name} | more)


def test_a_token_is_valid_by_its_secret_until_it_is_revoked(line: Line, services: Services) -> None:
    made, secret = a_token(services)
    assert secret.startswith("tgs_") and len(secret) > TOKEN_BYTES
    assert valid_token(services, secret) == made
    assert valid_token(services, digest_of(secret)) is None
    revoked = revoke_token(services, made.id[-8:], ALICE)
    assert revoked is not None and revoked.id == made.id
    assert valid_token(services, secret) is None
    assert revoke_token(services, made.id, ALICE) is None
    assert list_tokens(services) == [revoked]
    assert acts(line) == [("access:token-created", ALICE.key), ("access:token-revoked", ALICE.key)]


@pytest.mark.parametrize(
    ("source", "client", "fault"),
    [("okta", "c", NotFound), ("gone", "c", NotFound), ("directory", " ", BadRequest), ("directory", "x" * 64, BadRequest)],
)
def test_a_token_needs_a_source_that_is_written_to_and_a_name(
    line: Line, services: Services, source: str, client: str, fault: type[Exception]
) -> None:
    with pytest.raises(fault):
        create_token(services, source, client, by=ALICE, random=bytes)
    assert (list_tokens(services), acts(line)) == ([], [])


@pytest.mark.parametrize("source", ["okta", "gone"])
def test_a_token_of_a_source_that_nobody_writes_to_any_more_lets_nobody_in(services: Services, source: str) -> None:
    token, _ = a_token(services)
    assert caller_of(services, token).token == token
    with pytest.raises(Forbidden, match=source):
        caller_of(services, replace(token, source=source))


def test_a_use_is_noted_once_a_minute_and_its_source_is_heard(line: Line, services: Services) -> None:
    _, secret = a_token(services)
    noted = []
    for seconds in (0, 30, 31):
        line.clock.move(seconds)
        token = valid_token(services, secret)
        assert token is not None
        note_use(services, caller_of(services, token))
        with services.store.reading() as unit:
            (state,) = unit.statements.states()
        noted.append(state.refreshed_at)
    assert None not in noted
    assert noted[0] == noted[1] < noted[2]


def test_a_request_is_audited_in_the_clients_name_under_one_correlation_id(line: Line, write: Callable[..., None]) -> None:
    write(user("1", "alice"), user("2", "bob"))
    write(WrittenResource("Group", "g", {"displayName": "staff", "members": [{"value": "1"}]}))
    said = [entry for entry in Reads(line.engine).audit() if entry.actor == "scim:okta"]
    assert [entry.action for entry in said[:2]] == ["access:identity-added"] * 2
    assert [len({entry.correlation_id for entry in each}) for each in (said[:2], said[2:], said)] == [1, 1, 2]
    assert "d/staff" in str(said[-1].detail)


def test_a_second_user_of_a_subject_is_refused_with_all_that_the_request_wrote(line: Line, write: Callable[..., None]) -> None:
    write(user("1", "alice"))
    before = acts(line)
    with pytest.raises(NotAllowed, match="alice"):
        write(user("2", "bob"), user("3", "ALICE "))
    assert acts(line) == before
    write(WrittenResource("User", "1", None))
    write(user("3", "alice"))


def test_what_names_nobody_is_refused(write: Callable[..., None]) -> None:
    with pytest.raises(BadRequest):
        write(user("1", " "))
    with pytest.raises(BadRequest):
        write(WrittenResource("Group", "g", {"displayName": ""}))
