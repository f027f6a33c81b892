"""Whose a token is: the account is the very one that deliveries name, by every user object that a real Gogs has sent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.domain.errors import BadRequest, SourceUnavailable
from app.domain.event import Account, Event
from app.integrations.forges.accounts import ForgeAccounts
from app.integrations.forges.gogs import Gogs
from app.integrations.forges.protocol import VerifiedPayload
from app.integrations.http import HttpClient
from tests.integrations.targets.cast import says, serving
from tests.ports import free_port

RECORDED = [p for p in sorted((Path(__file__).parent / "gogs").glob("*-push.body")) if p.read_bytes().startswith(b"{")]
TOKEN = "a" * 40


def test_the_owner_of_a_token_is_the_actor_of_deliveries() -> None:
    assert RECORDED
    with serving() as forge:
        for path in RECORDED:
            body = path.read_bytes()
            event = Gogs().parse(VerifiedPayload("gogs", body, "1", "push"))
            forge.answer = says(200, json.dumps(json.loads(body)["sender"]).encode())
            found = ForgeAccounts("gogs", forge.url + "/").account_of(TOKEN)
            assert not isinstance(event, Event) or found == event.actor
        assert {request.path for request in forge.requests} == {"/api/v1/user"}


def test_giteas_answer_is_understood_too() -> None:
    """docs.gitea.com/api, User: `login`, and `username` for compatibility."""
    with serving() as forge:
        forge.answer = says(200, b'{"id": 5, "login": "erin", "login_name": "", "source_id": 0, "email": "e@example.com"}')
        assert ForgeAccounts("gitea", forge.url).account_of(TOKEN) == Account("gitea", "5", "erin")


def test_the_number_of_a_login_is_what_the_forge_says() -> None:
    with serving() as forge:
        accounts = ForgeAccounts("gogs", forge.url)
        forge.answer = says(200, b'{"id": 5, "username": "Erin", "login": "Erin"}')
        assert accounts.number_of("erin", TOKEN) == "5"
        assert accounts.number_of("../erin") is None  # an answer about another login
        forge.answer = says(404)
        assert accounts.number_of("nobody") is None
        forge.answer = says(403)
        with pytest.raises(SourceUnavailable, match="does not say whose login erin is"):
            accounts.number_of("erin")
        assert [request.path for request in forge.requests][:2] == ["/api/v1/users/erin", "/api/v1/users/..%2Ferin"]
        assert [request.headers.get("authorization") for request in forge.requests][:2] == [f"token {TOKEN}", None]


@pytest.mark.parametrize("status", [401, 403])
def test_a_token_that_is_not_taken_is_the_callers_fault(status: int) -> None:
    with serving() as forge:
        forge.answer = says(status)
        with pytest.raises(BadRequest, match="does not accept this token"):
            ForgeAccounts("gogs", forge.url).account_of(TOKEN)


@pytest.mark.parametrize("url", ["", "ssh://git@127.0.0.1", "file:///srv/forge", "http://127.0.0.1:{port}"])
def test_a_forge_that_cannot_be_reached_is_unavailable(url: str) -> None:
    client = HttpClient(connect_timeout=0.5, read_timeout=0.5)
    with pytest.raises(SourceUnavailable) as caught:
        ForgeAccounts("gogs", url.format(port=free_port()), client).account_of(TOKEN)
    assert TOKEN not in str(caught.value)


def test_a_forge_that_is_silent_is_unavailable() -> None:
    with serving() as forge:
        forge.answer = forge.is_silent
        with pytest.raises(SourceUnavailable):
            ForgeAccounts("gogs", forge.url, HttpClient(connect_timeout=0.5, read_timeout=0.5)).account_of(TOKEN)
