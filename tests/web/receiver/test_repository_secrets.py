"""Over HTTP: a webhook secret is good for the repositories that it is configured for, whatever the body says."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine

from app.bootstrap import Process
from app.integrations.system import write_private
from app.settings import load_settings
from app.store.queue.wakes import make_celery
from app.store.reads import Reads
from app.web.factory import create_app
from tests.configurations import PRODUCTION, environment, toml
from tests.fakes import FakeWakes
from tests.pipeline.conftest import sha

POLICIES = Path(__file__).parents[3] / "examples" / "policies"
FORGE, SHOP, BLOG = "of-the-forge", "of-the-shop", "of-the-blog"
BLOG_TOO = environment({"name": "blog", "repository": "gogs:acme/blog"}, PRODUCTION)
OWN_SECRETS = """
[forges.gogs.repositories."Acme/Shop"]
webhook_secrets = ["file:shop", "file:shop-of-yesterday"]

[forges.gogs.repositories."acme/blog"]
webhook_secrets = ["file:blog"]
"""
Client = Callable[..., FlaskClient]


@pytest.fixture
def client(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Client:
    """Make a gate of this configuration of its repositories' secrets."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "people.toml").write_text("")
    (tmp_path / "policies").symlink_to(POLICIES)
    for name, secret in {"forge": FORGE, "shop": SHOP, "shop-of-yesterday": "yesterday", "blog": BLOG}.items():
        write_private(tmp_path / name, secret)

    def make(own: str = OWN_SECRETS, forge_secrets: list[str] | None = ["file:forge"]) -> FlaskClient:  # noqa: B006
        (tmp_path / "tidegate.toml").write_text(toml(BLOG_TOO, own, forge={"webhook_secrets": forge_secrets}))
        urls = {"TIDEGATE_DATABASE_URL": "postgresql://nobody@127.0.0.1/none", "TIDEGATE_REDIS_URL": "redis://127.0.0.1:1/0"}
        process = Process(load_settings(urls), engine, make_celery(urls["TIDEGATE_REDIS_URL"]))
        process.__dict__["services"] = replace(process.services, wakes=FakeWakes())
        return create_app(process).test_client()

    return make


def post(client: FlaskClient, secret: str, name: str = "acme/shop", *, event: str = "push", **over: object) -> tuple[int, str]:
    """Send what Gogs would send, signed with this secret; return the status and the answer's first line."""
    owner = {"id": 7, "login": "acme", "username": "acme"}
    user = {"id": 2, "login": "alice", "username": "alice"}
    repository = {"id": 1, "owner": owner, "name": name.partition("/")[2], "full_name": name}
    push = {"ref": "refs/heads/main", "before": "0" * 40, "after": sha(secret), "repository": repository, "sender": user, **over}
    body = json.dumps(push).encode()
    signature = hmac.digest(secret.encode(), body, "sha256").hex()
    headers = {"X-Gogs-Delivery": f"{secret}-{name}-{event}", "X-Gogs-Event": event, "X-Gogs-Signature": signature}
    answer = client.post("/hooks/gogs", data=body, headers=headers, content_type="application/json")
    return answer.status_code, answer.get_data(as_text=True).splitlines()[0]


@pytest.mark.parametrize("name", ["acme/shop", "ACME/Shop"])
@pytest.mark.parametrize("secret", [SHOP, "yesterday"])
def test_a_repository_delivers_with_each_of_its_own_secrets(client: Client, name: str, secret: str) -> None:
    assert post(client(), secret, name) == (202, "accepted")


@pytest.mark.parametrize(
    ("secret", "name"),
    [(BLOG, "acme/shop"), (SHOP, "acme/blog"), (FORGE, "acme/shop"), (FORGE, "Acme/Blog"), (SHOP, "acme/other")],
    ids=["another's", "the other way round", "the forge's", "the forge's, in other letters", "for one without its own"],
)
def test_invariant_13_a_secret_that_is_not_good_for_the_body_s_repository_is_refused(
    client: Client, engine: Engine, secret: str, name: str
) -> None:
    status, text = post(client(), secret, name)
    assert status == 403 and f"not good for {name}: use the secret that the gate has for this repository" in text
    assert Reads(engine).deliveries(10) == []


def test_so_is_a_delivery_that_would_lead_to_nothing(client: Client, engine: Engine) -> None:
    """Else the button that tests a webhook would promise what a push does not keep."""
    gate = client()
    same = {"before": sha("x"), "after": sha("x")}
    assert post(gate, BLOG, **same)[0] == 403
    assert post(gate, BLOG, event="issues", after=None, before=None)[0] == 403
    assert post(gate, BLOG, event="issues", after=None, before=None, repository=None)[0] == 403
    assert Reads(engine).deliveries(10) == []
    assert post(gate, SHOP, **same)[0] == 200


def test_the_forge_s_secret_serves_repositories_that_have_none_of_their_own(client: Client) -> None:
    gate = client()
    assert post(gate, FORGE, "acme/other") == (202, "accepted")
    assert post(gate, "guessed", "acme/other")[0] == post(gate, "guessed", "acme/shop")[0] == 401


def test_a_forge_may_have_secrets_of_repositories_only(client: Client) -> None:
    gate = client(forge_secrets=None)
    assert post(gate, SHOP) == (202, "accepted")
    assert post(gate, SHOP, "acme/other")[0] == 403 and post(gate, FORGE)[0] == 401


def test_a_secret_that_cannot_be_read_stops_its_own_repository_alone(client: Client, tmp_path: Path) -> None:
    gate = client()
    (tmp_path / "blog").unlink()
    assert post(gate, SHOP) == (202, "accepted")
    assert post(gate, BLOG, "acme/blog")[0] == 503 and post(gate, SHOP, "acme/blog")[0] == 503


def test_an_older_configuration_serves_all_repositories_with_the_forge_s_secret(client: Client) -> None:
    gate = client(own="")
    assert post(gate, FORGE) == post(gate, FORGE, "acme/blog") == (202, "accepted")
