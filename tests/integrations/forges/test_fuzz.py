"""Whatever a forge or a stranger sends: three refusals and nothing else, and no event that git would not take."""

from __future__ import annotations

import hmac
import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.domain.errors import BadDelivery, BadSignature, UnsupportedContent
from app.domain.event import Event, EventKind, Ignored
from app.integrations.forges.forgejo import Forgejo
from app.integrations.forges.gitea import Gitea
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import Forge, UnverifiedDelivery

FOLDER = Path(__file__).parent / "gogs"
SECRET = b"fuzz-secret"
FORGES: dict[str, Forge] = {"gogs": Gogs(), "gitea": Gitea(), "forgejo": Forgejo()}
REFUSALS = (BadDelivery, UnsupportedContent, BadSignature)
SHA = re.compile(r"\A(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
EVENTS = ("push", "create", "release", "delete", "issues", "pull_request", "fork", "repository", "wiki", "nonsense")
RECORDED = [json.loads((FOLDER / name).read_bytes()) for name in ("001-push.body", "010-create.body", "040-release.body")]
NAMES = ("push", "create", "release")
RECORDINGS = list(zip(NAMES, RECORDED, strict=True))

fast = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
each_forge = pytest.mark.parametrize("kind", FORGES)

# Values that lie near what the parsers look for, beside whatever Hypothesis thinks of.
_ODD: st.SearchStrategy[Any] = st.sampled_from(
    [
        "0" * 40, "a" * 40, "b" * 64, "A" * 40, "a" * 41, "a" * 40 + "\n", "refs/heads/main", "refs/heads/main\n", "refs/tags/v1",
        "refs/heads/", "refs/heads/../x", "refs/heads/a b", "refs/notes/x", "v1", "v1\n", "branch", "tag", "published", "",
        "\x00", "\ud800", -1, 0, 1, 2**53 + 1, 2**70, -(2**70), 1e308, True, False, None, [], {}, [[]], {"id": {}},
    ]
)  # fmt: skip
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12) | _ODD
_JSON = st.recursive(_LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4))
_FIELDS = (
    "ref", "ref_type", "sha", "before", "after", "commits", "pusher_type", "action", "release", "issue", "pull_request", "forkee",
    "repository", "sender", "id", "login", "username", "full_name", "owner", "fork", "mirror", "tag_name", "draft", "prerelease",
)  # fmt: skip
_BODIES = st.dictionaries(st.sampled_from(_FIELDS), _JSON | st.dictionaries(st.sampled_from(_FIELDS), _JSON, max_size=6))


def signed(kind: str, body: bytes, event: str, *, secret: bytes = SECRET, form: bool = False) -> UnverifiedDelivery:
    """Make the request that a forge of this kind sends; Forgejo and Gitea send the headers of their forebears as well."""
    kinds = {"gogs": ["gogs"], "gitea": ["gitea", "gogs"], "forgejo": ["forgejo", "gitea", "gogs"]}[kind]
    digest = hmac.digest(secret, body, "sha256").hex()
    headers = {"content-type": "application/x-www-form-urlencoded" if form else "application/json"}
    for each in kinds:
        headers |= {f"x-{each}-delivery": "1", f"x-{each}-event": event, f"x-{each}-signature": digest}
    return UnverifiedDelivery(kind, headers, b"payload=" + quote_plus(body).encode() if form else body)


def meaning(kind: str, unverified: UnverifiedDelivery) -> Event | Ignored | None:
    """Verify and parse as the receiver does; None where it is refused by one of the three allowed refusals."""
    try:
        found = FORGES[kind].parse(FORGES[kind].verify(unverified, [SECRET]))
    except REFUSALS as refusal:
        assert str(refusal) and refusal.permanent
        return None
    assert_sound(found)
    return found


def assert_sound(found: Event | Ignored) -> None:
    """Hold an event to what the line and git rely on."""
    if isinstance(found, Ignored):
        assert found.reason
        return
    assert isinstance(found, Event)
    assert found.ref.startswith(("refs/heads/", "refs/tags/")) and found.ref not in ("refs/heads/", "refs/tags/")
    assert found.ref.isprintable() and " " not in found.ref and ".." not in found.ref
    assert (found.after is None) is (found.kind is EventKind.RELEASE)
    for object_id in (found.before, found.after):
        assert object_id is None or (SHA.match(object_id) and set(object_id) != {"0"})
    assert int(found.actor.id) > 0 and found.actor.login
    assert found.repository.id > 0 and found.repository.owner_id > 0
    assert re.fullmatch(r"[A-Za-z0-9._-]+/[A-Za-z0-9._-]+", found.repository.full_name)


def as_bytes(value: Any) -> bytes:
    return json.dumps(value).encode()


def mutated(data: st.DataObject, whole: Any, count: int) -> Any:
    """Delete or replace random keys, at any depth."""
    whole = json.loads(json.dumps(whole))
    for _ in range(count):
        place = whole
        while True:
            key = data.draw(st.sampled_from(sorted(place)))
            if not (isinstance(place[key], dict) and place[key] and data.draw(st.booleans())):
                break
            place = place[key]
        if data.draw(st.booleans()):
            del place[key]
        else:
            place[key] = data.draw(_ODD | _JSON)
        if not whole:
            break
    return whole


@each_forge
@pytest.mark.parametrize(("name", "whole"), RECORDINGS, ids=NAMES)
def test_the_recorded_deliveries_mean_something_before_they_are_changed(kind: str, name: str, whole: Any) -> None:
    assert isinstance(meaning(kind, signed(kind, as_bytes(whole), name)), Event)


@each_forge
@fast
@given(body=st.binary(max_size=300), event=st.sampled_from(EVENTS), form=st.booleans())
def test_arbitrary_bytes_with_a_true_signature_are_refused_and_nothing_worse(
    kind: str, body: bytes, event: str, form: bool
) -> None:
    assert not isinstance(meaning(kind, signed(kind, body, event, form=form)), Event)


@each_forge
@fast
@given(body=_JSON | _BODIES, event=st.sampled_from(EVENTS))
def test_arbitrary_json_with_a_true_signature_is_refused_or_sound(kind: str, body: Any, event: str) -> None:
    meaning(kind, signed(kind, as_bytes(body), event))


@each_forge
@pytest.mark.parametrize(("name", "whole"), RECORDINGS, ids=NAMES)
@fast
@given(data=st.data())
def test_a_changed_recording_with_a_true_signature_is_refused_or_sound(
    kind: str, name: str, whole: Any, data: st.DataObject
) -> None:
    body = mutated(data, whole, data.draw(st.integers(1, 3)))
    event = data.draw(st.sampled_from((name, name, name, *EVENTS)))
    meaning(kind, signed(kind, as_bytes(body), event, form=data.draw(st.booleans())))


@each_forge
@fast
@given(headers=st.dictionaries(st.sampled_from(["content-type", "event", "delivery"]), st.text(max_size=20), min_size=1))
def test_arbitrary_headers_beside_a_true_signature_are_refused_or_sound(kind: str, headers: dict[str, str]) -> None:
    good = signed(kind, as_bytes(RECORDED[0]), "push")
    spelled = {(name if name == "content-type" else f"x-{kind}-{name}"): value for name, value in headers.items()}
    meaning(kind, UnverifiedDelivery(kind, {**good.headers, **spelled}, good.body))


@each_forge
@fast
@given(body=st.binary(max_size=300) | _JSON.map(as_bytes), event=st.sampled_from(EVENTS))
def test_an_unsigned_body_is_always_a_bad_signature(kind: str, body: bytes, event: str) -> None:
    good = signed(kind, body, event)
    unsigned = {name: value for name, value in good.headers.items() if not name.endswith("signature")}
    with pytest.raises(BadSignature):
        FORGES[kind].verify(UnverifiedDelivery(kind, unsigned, body), [SECRET])


@each_forge
@fast
@given(body=st.binary(max_size=300) | st.sampled_from(RECORDED).map(as_bytes), secret=st.binary(max_size=40))
def test_a_body_signed_with_another_secret_is_always_a_bad_signature(kind: str, body: bytes, secret: bytes) -> None:
    other = signed(kind, body, "push", secret=secret if secret.rstrip(b"\0") != SECRET else b"other")
    with pytest.raises(BadSignature):
        FORGES[kind].verify(other, [SECRET])


@each_forge
@fast
@given(body=st.binary(max_size=300), signature=st.text(max_size=70) | st.from_regex(r"[0-9a-f]{64}", fullmatch=True))
def test_a_signature_that_is_any_text_is_always_a_bad_signature(kind: str, body: bytes, signature: str) -> None:
    good = signed(kind, body, "push")
    if signature == good.headers["x-gogs-signature"]:
        signature = signature[::-1] + "0"
    for name in [name for name in good.headers if name.endswith("signature")]:
        with pytest.raises(BadSignature):
            FORGES[kind].verify(UnverifiedDelivery(kind, {**good.headers, name: signature}, body), [SECRET])


@each_forge
@fast
@given(body=st.binary(min_size=1, max_size=300), data=st.data())
def test_a_body_changed_in_one_byte_is_always_a_bad_signature(kind: str, body: bytes, data: st.DataObject) -> None:
    good = signed(kind, body, "push")
    place, flip = data.draw(st.integers(0, len(body) - 1)), data.draw(st.integers(1, 255))
    changed = body[:place] + bytes([body[place] ^ flip]) + body[place + 1 :]
    with pytest.raises(BadSignature):
        FORGES[kind].verify(UnverifiedDelivery(kind, good.headers, changed), [SECRET])
