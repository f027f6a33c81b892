"""Every delivery recorded from a real Gogs: what it means, or why nothing follows from it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.errors import BadDelivery, BadSignature
from app.domain.event import Account, Event, EventKind, Ignored
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import UnverifiedDelivery

FOLDER = Path(__file__).parent / "gogs"
SECRET = b"s3cr3t-gogs"
GOGS = Gogs()
NEW_BRANCH = "a new branch: its push carries it"
NOTHING = "{} events lead to no deployment"
# number: the ref and the sender's id and login of the expected event, or the reason to ignore it
EXPECTED: dict[str, tuple[str, str, str] | str] = {
    "001": ("refs/heads/master", "3", "bob"),
    "002": ("refs/heads/master", "3", "bob"),  # commits claim to be alice's
    "003": NEW_BRANCH,
    "004": ("refs/heads/feature", "3", "bob"),
    "005": NEW_BRANCH,
    "006": ("refs/heads/samehead", "3", "bob"),
    "008": ("refs/heads/samehead", "3", "bob"),
    "009": NOTHING.format("delete"),
    "010": ("refs/tags/v1.0.0", "3", "bob"),
    "011": ("refs/tags/v1.0.1", "3", "bob"),
    "013": NOTHING.format("delete"),
    "018": NOTHING.format("issues"),
    "019": NOTHING.format("issue_comment"),
    "020": NOTHING.format("issues"),
    "021": ("refs/heads/master", "3", "bob"),
    "022": NEW_BRANCH,
    "023": ("refs/heads/pr1", "3", "bob"),
    "024": ("refs/heads/pr1", "3", "bob"),
    "025": ("refs/heads/pr1", "3", "bob"),
    "026": NOTHING.format("pull_request"),
    "027": ("refs/heads/pr1", "3", "bob"),
    "028": NOTHING.format("pull_request"),
    "029": NOTHING.format("issue_comment"),
    "030": "the push of the merge carries it",
    "031": ("refs/heads/master", "2", "alice"),  # alice merged bob's branch
    "032": NOTHING.format("fork"),
    "033": NOTHING.format("pull_request"),
    "036": NEW_BRANCH,
    "037": ("refs/heads/pr2", "3", "bob"),
    "038": NOTHING.format("pull_request"),
    "039": NOTHING.format("pull_request"),
    "040": ("refs/tags/v3.0.0", "3", "bob"),
    "041": ("refs/heads/master", "3", "bob"),
    "042": NOTHING.format("delete"),
    "043": "test delivery: before and after are the same commit",
    "044": ("refs/heads/master", "3", "bob"),
    "045": ("refs/heads/master", "3", "bob"),
    "047": ("refs/heads/master", "3", "bob"),
    "048": ("refs/heads/master", "3", "bob"),
    "049": ("refs/heads/master", "3", "bob"),
    "050": ("refs/heads/master", "3", "bob"),
    "051": NOTHING.format("issue_comment"),
    "052": NEW_BRANCH,
    "053": ("refs/heads/hookpr", "3", "bob"),
    "054": NOTHING.format("pull_request"),
    "057": NOTHING.format("delete"),
    "058": ("refs/heads/master", "2", "alice"),
    "062": NEW_BRANCH,
    "063": ("refs/heads/rb", "3", "bob"),
    "064": NOTHING.format("pull_request"),
}


def recorded(number: str) -> UnverifiedDelivery:
    """Read a recorded request, its exact bytes and headers."""
    (meta,) = FOLDER.glob(f"{number}-*.json")
    headers = {name.lower(): value for name, value in json.loads(meta.read_text())["headers"]}
    return UnverifiedDelivery("gogs", headers, meta.with_suffix(".body").read_bytes())


def test_every_recorded_delivery_has_an_expectation() -> None:
    assert {p.name[:3] for p in FOLDER.glob("[0-9]*.body")} == {*EXPECTED, "046"}


@pytest.mark.parametrize("number", EXPECTED)
def test_a_recorded_delivery_means_what_happened(number: str) -> None:
    payload = GOGS.verify(recorded(number), [b"another secret", SECRET])
    meaning, expected = GOGS.parse(payload), EXPECTED[number]
    if isinstance(expected, str):
        assert meaning == Ignored(expected)
        return
    ref, account, login = expected
    body = json.loads(payload.json)
    assert isinstance(meaning, Event)
    assert (meaning.ref, meaning.actor) == (ref, Account("gogs", account, login))
    assert meaning.repository.full_name == body["repository"]["full_name"]
    assert meaning.repository.owner_id == body["repository"]["owner"]["id"]
    match meaning.kind:
        case EventKind.PUSH:
            assert meaning.after == body["after"]
            assert meaning.before == (None if set(body["before"]) == {"0"} else body["before"])
        case EventKind.TAG:
            assert (meaning.before, meaning.after) == (None, body["sha"])
        case EventKind.RELEASE:
            assert (meaning.before, meaning.after) == (None, None)


def test_a_delivery_without_a_secret_is_refused() -> None:
    with pytest.raises(BadSignature):
        GOGS.verify(recorded("046"), [SECRET])


@pytest.mark.parametrize("secrets", [[], [b""], [b"wrong"]])
def test_no_secret_or_a_wrong_one_lets_nothing_in(secrets: list[bytes]) -> None:
    with pytest.raises(BadSignature):
        GOGS.verify(recorded("001"), secrets)


def test_a_changed_byte_is_refused() -> None:
    good = recorded("001")
    with pytest.raises(BadSignature):
        GOGS.verify(UnverifiedDelivery("gogs", good.headers, good.body + b" "), [SECRET])


def test_several_signatures_must_all_agree() -> None:
    good = recorded("001")
    headers = {**good.headers, "x-hub-signature-256": "sha256=" + "0" * 64}
    with pytest.raises(BadSignature):
        GOGS.verify(UnverifiedDelivery("gogs", headers, good.body), [SECRET])


@pytest.mark.parametrize("event", ["create", "release", "issues", "delete"])
def test_a_push_under_another_event_header_is_refused(event: str) -> None:
    good = recorded("001")
    with pytest.raises(BadDelivery):
        GOGS.parse(GOGS.verify(UnverifiedDelivery("gogs", {**good.headers, "x-gogs-event": event}, good.body), [SECRET]))


def test_a_delivery_of_gitea_is_not_taken_for_one_of_gogs() -> None:
    good = recorded("001")
    headers = {**good.headers, "x-gitea-delivery": good.headers["x-gogs-delivery"], "x-gitea-event": "push"}
    with pytest.raises(BadDelivery, match="gitea"):
        GOGS.verify(UnverifiedDelivery("gogs", headers, good.body), [SECRET])
