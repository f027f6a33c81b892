"""The header sets of Gitea and Forgejo (services/webhook/deliver.go, addDefaultHeaders): each name for each older receiver."""

from __future__ import annotations

import hmac
from pathlib import Path
from urllib.parse import quote_plus

import pytest

from app.domain.errors import BadDelivery, BadSignature
from app.domain.event import Account, Event
from app.integrations.forges.forgejo import Forgejo
from app.integrations.forges.gitea import Gitea
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import Forge, UnverifiedDelivery

BODY = (Path(__file__).parent / "gogs" / "001-push.body").read_bytes()
SECRET = b"tide"
FORGES: dict[str, Forge] = {"gogs": Gogs(), "gitea": Gitea(), "forgejo": Forgejo()}
PREFIXES = {"gogs": ["gogs"], "gitea": ["gitea", "gogs"], "forgejo": ["forgejo", "gitea", "gogs"]}
SIGNATURES = {
    "gitea": ["x-gitea-signature", "x-gogs-signature", "x-hub-signature", "x-hub-signature-256"],
    "forgejo": ["x-forgejo-signature", "x-gitea-signature", "x-gogs-signature", "x-hub-signature", "x-hub-signature-256"],
}
EVERY_SIGNATURE = [(kind, name) for kind, names in SIGNATURES.items() for name in names]


def headers_of(kind: str, body: bytes = BODY) -> dict[str, str]:
    """Make what this forge sends with `body`."""
    sha256, sha1 = (hmac.digest(SECRET, body, algorithm).hex() for algorithm in ("sha256", "sha1"))
    headers = {"content-type": "application/json"}
    for prefix in PREFIXES[kind]:
        headers |= {f"x-{prefix}-delivery": "d-1", f"x-{prefix}-event": "push", f"x-{prefix}-signature": sha256}
    if kind != "gogs":
        headers |= {"x-hub-signature": f"sha1={sha1}", "x-hub-signature-256": f"sha256={sha256}"}
        headers |= {"x-github-delivery": "d-1", "x-github-event": "push"}
    return headers


def meaning(kind: str, headers: dict[str, str], body: bytes = BODY) -> object:
    forge = FORGES[kind]
    return forge.parse(forge.verify(UnverifiedDelivery(kind, headers, body), [SECRET]))


@pytest.mark.parametrize("kind", FORGES)
def test_each_forges_own_headers_are_taken(kind: str) -> None:
    event = meaning(kind, headers_of(kind))
    assert isinstance(event, Event)
    assert (event.ref, event.actor) == ("refs/heads/master", Account(kind, "3", "bob"))


@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_form_is_signed_over_its_payload(kind: str) -> None:
    headers = headers_of(kind) | {"content-type": "application/x-www-form-urlencoded"}
    assert isinstance(meaning(kind, headers, b"payload=" + quote_plus(BODY).encode()), Event)


@pytest.mark.parametrize(("kind", "name"), EVERY_SIGNATURE)
@pytest.mark.parametrize("value", ["", "0" * 64, "sha256=" + "0" * 64, "sha1=" + "0" * 40])
def test_one_signature_that_does_not_agree_is_enough_to_refuse(kind: str, name: str, value: str) -> None:
    with pytest.raises(BadSignature):
        meaning(kind, headers_of(kind) | {name: value})


@pytest.mark.parametrize(("kind", "name"), EVERY_SIGNATURE)
def test_signatures_under_two_secrets_do_not_agree(kind: str, name: str) -> None:
    forge, headers = FORGES[kind], headers_of(kind)
    algorithm, prefix = ("sha1", "sha1=") if name == "x-hub-signature" else ("sha256", "sha256=" if "hub" in name else "")
    headers[name] = prefix + hmac.digest(b"older", BODY, algorithm).hex()
    with pytest.raises(BadSignature):
        forge.verify(UnverifiedDelivery(kind, headers, BODY), [SECRET, b"older"])


@pytest.mark.parametrize("kind", SIGNATURES)
def test_a_sha1_signature_alone_proves_nothing(kind: str) -> None:
    headers = {n: v for n, v in headers_of(kind).items() if n not in SIGNATURES[kind] or n == "x-hub-signature"}
    with pytest.raises(BadSignature):
        meaning(kind, headers)


@pytest.mark.parametrize("kind", SIGNATURES)
@pytest.mark.parametrize("name", ["x-gogs-delivery", "x-github-delivery"])
def test_delivery_ids_must_all_agree(kind: str, name: str) -> None:
    with pytest.raises(BadDelivery, match="delivery id"):
        meaning(kind, headers_of(kind) | {name: "d-2"})


@pytest.mark.parametrize(("sender", "configured"), [(s, c) for s in FORGES for c in FORGES if s != c])
def test_a_delivery_is_taken_only_by_the_kind_that_sent_it(sender: str, configured: str) -> None:
    with pytest.raises(BadDelivery, match=f"delivery of {sender}"):
        meaning(configured, headers_of(sender))
