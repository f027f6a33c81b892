"""A refused or ignored delivery names its own cause, and what would change it: forks, built-in senders, releases, signatures."""

from __future__ import annotations

import hmac
import json
from urllib.parse import quote_plus

import pytest

from app.domain.errors import BadDelivery, BadSignature
from app.domain.event import Event, EventKind, Ignored
from app.integrations.forges.forgejo import Forgejo
from app.integrations.forges.gitea import Gitea
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import Forge, UnverifiedDelivery

SECRET = b"tide"
FORGES: dict[str, Forge] = {"gogs": Gogs(), "gitea": Gitea(), "forgejo": Forgejo()}
RELEASE = {"tag_name": "v1", "draft": False, "prerelease": False, "target_commitish": "main"}


def payload(**over: object) -> dict[str, object]:
    owner = {"id": 7, "login": "acme", "username": "acme"}
    repository = {"id": 42, "full_name": "acme/shop", "owner": owner, "fork": False}
    sender = {"id": 2, "login": "alice", "username": "alice"}
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": "a" * 40, "repository": repository, "sender": sender}
    return {**push, **over}


def released(action: str, **over: object) -> dict[str, object]:
    bare = {key: value for key, value in payload().items() if key in ("repository", "sender")}
    return {**bare, "action": action, "release": {**RELEASE, **over}}


def delivery(kind: str, body: bytes, *, event: str = "push", **headers: str) -> UnverifiedDelivery:
    own = {"content-type": "application/json", f"x-{kind}-delivery": "d-1", f"x-{kind}-event": event}
    return UnverifiedDelivery(kind, own | {name.replace("_", "-"): value for name, value in headers.items()}, body)


def meaning(kind: str, document: dict[str, object], event: str = "push") -> Event | Ignored:
    body = json.dumps(document).encode()
    signature = {f"x_{kind}_signature": hmac.digest(SECRET, body, "sha256").hex()}
    forge = FORGES[kind]
    return forge.parse(forge.verify(delivery(kind, body, event=event, **signature), [SECRET]))


def why_refused(unverified: UnverifiedDelivery, *secrets: bytes) -> str:
    with pytest.raises(BadSignature) as caught:
        FORGES[unverified.forge].verify(unverified, list(secrets or [SECRET]))
    return str(caught.value)


@pytest.mark.parametrize("kind", FORGES)
def test_a_fork_is_an_event_like_any_other_since_only_a_repository_that_is_named_deploys(kind: str) -> None:
    fork = {**payload()["repository"], "fork": True}  # type: ignore[dict-item]
    event = meaning(kind, payload(repository=fork))
    assert isinstance(event, Event) and event.repository.id == 42


@pytest.mark.parametrize(
    ("number", "told"),
    [
        (-1, "was deleted"),
        (-2, "Actions did this with its automatic token"),
        (-3, "federation actor"),
        (0, "user 0"),
        (-7, "user -7"),
    ],
)
@pytest.mark.parametrize("kind", FORGES)
def test_each_built_in_sender_has_its_own_reason(kind: str, number: int, told: str) -> None:
    ignored = meaning(kind, payload(sender={"id": number, "login": "x", "username": "x"}))
    assert isinstance(ignored, Ignored) and told in ignored.reason
    assert ("deleted" in ignored.reason) is (number == -1)
    assert ("machine account" in ignored.reason) is (number == -2)


@pytest.mark.parametrize(
    ("kind", "action", "over", "deploys"),
    [
        ("gogs", "published", {}, True),
        ("gitea", "published", {}, True),
        ("forgejo", "published", {}, True),
        ("gitea", "updated", {}, True),
        ("forgejo", "updated", {}, True),
        ("gogs", "updated", {}, False),
        ("gitea", "updated", {"draft": True}, False),
        ("gitea", "updated", {"prerelease": True}, False),
        ("gitea", "deleted", {}, False),
    ],
)
def test_a_release_deploys_once_it_is_public(kind: str, action: str, over: dict[str, object], deploys: bool) -> None:
    event = meaning(kind, released(action, **over), "release")
    assert isinstance(event, Event) is deploys
    if isinstance(event, Event):
        assert (event.kind, event.ref, event.after) == (EventKind.RELEASE, "refs/tags/v1", None)


BODY = json.dumps(payload()).encode()
WITH_SECRET = json.dumps({"secret": "tide", **payload()}).encode()


def test_a_missing_an_empty_a_malformed_and_a_wrong_signature_are_told_apart() -> None:
    told = [
        why_refused(delivery("gogs", BODY)),
        why_refused(delivery("gogs", BODY, x_gogs_signature="")),
        why_refused(delivery("gogs", BODY, x_gogs_signature="0" * 63)),
        why_refused(delivery("gogs", BODY, x_gogs_signature="sha256=" + "0" * 64)),
        why_refused(delivery("gogs", BODY, x_gogs_signature="0" * 64)),
    ]
    assert "has no signature" in told[0] and "webhook_secrets of [forges.gogs] in tidegate.toml" in told[0]
    assert "is empty, so the webhook has no secret" in told[1]
    assert told[2] == told[3] and "x-gogs-signature is not a signature of 64 digits" in told[2]
    assert (
        "does not fit the body: compare the secret of the webhook at the forge with webhook_secrets of [forges.gogs]" in told[4]
    )


def test_which_of_several_secrets_or_signatures_fits_is_not_told() -> None:
    good = hmac.digest(SECRET, BODY, "sha256").hex()
    wrong = why_refused(delivery("gogs", BODY, x_gogs_signature="0" * 64))
    assert why_refused(delivery("gogs", BODY, x_gogs_signature=good, x_hub_signature_256="sha256=" + "0" * 64)) == wrong
    assert why_refused(delivery("gogs", BODY, x_gogs_signature="0" * 64), b"one", b"two") == wrong


def test_a_forge_that_is_too_old_to_sign_is_told_so() -> None:
    for body in (WITH_SECRET, b"payload=" + quote_plus(WITH_SECRET).encode()):
        told = why_refused(delivery("gogs", body))
        assert "secret is in the body, as Gogs before 0.10 and Gitea before 1.9 send it" in told and "update the forge" in told
    only_sha1 = why_refused(delivery("gogs", BODY, x_hub_signature="sha1=" + "0" * 40))
    assert "has no signature" in only_sha1


@pytest.mark.parametrize("name", ["\u65e5" * 340, "a/" * 506 + "b" * 12])
def test_a_ref_is_bounded_by_its_bytes(name: str) -> None:
    """Indexes of the database hold it: one that does not fit would stop every plan."""
    ref = f"refs/heads/{name}"
    assert len(ref.encode()) > 1024 - 8
    short = meaning("gogs", payload(ref="refs/heads/" + "\u65e5" * 337))
    assert isinstance(short, Event)
    with pytest.raises(BadDelivery, match="is longer than 1024 bytes"):
        meaning("gogs", payload(ref=ref + "x" * 8))
