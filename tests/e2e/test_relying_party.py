"""A service that deploys on request, as its author would write it: PyJWT, the published documents, and nothing of ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import jwt
import pytest

from app.domain.deployment import State
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.integrations.targets.cast import SIGNING_SECRET, Service, serving
from tests.waiting import until

AUDIENCE = "https://api.example/deploy"
ADDED = """
[targets.api]
kind = "webhook"
zone = "here"
url = "{url}"
secret = "file:{secret}"

[[environments]]
name = "api"
repository = "gogs:acme/shop"
deploys = ["branch:api"]
targets = ["api"]
audience = "{audience}"
"""


@pytest.fixture
def service(scene: Scene, tmp_path: Path) -> Iterator[Service]:
    """A service on 127.0.0.1 that the running gate is told of by a changed tidegate.toml."""
    secret = tmp_path / "signing.secret"
    secret.write_bytes(SIGNING_SECRET)
    secret.chmod(0o600)
    config = scene.folder / "tidegate.toml"
    former = config.read_text()
    with serving() as made:
        config.write_text(former + ADDED.format(url=made.url, secret=secret, audience=AUDIENCE))
        yield made
        config.write_text(former)


def test_the_token_of_a_dispatch_verifies_by_discovery_and_key_set_alone(scene: Scene, reads: Reads, service: Service) -> None:
    push = scene.commit("for the api", account=scene.alice) | {"ref": "refs/heads/api", "before": "0" * 40}
    scene.branch("api")
    deployment = scene.deployment_of(scene.deliver(push))
    until(lambda: reads.deployment(deployment).deployment.has_ended, "the deployment ends")
    assert reads.deployment(deployment).deployment.state is State.SUCCEEDED

    (request,) = service.requests
    kind, _, token = request.headers["authorization"].partition(" ")
    described = httpx.get(f"{scene.running.web_url}/.well-known/openid-configuration", timeout=20).json()
    key = jwt.PyJWKClient(described["jwks_uri"]).get_signing_key_from_jwt(token)
    claims = jwt.decode(token, key, algorithms=["RS256"], audience=AUDIENCE, issuer=described["issuer"])
    assert kind == "Bearer"
    assert claims["sub"] == "repo:acme@1/shop@1:environment:api"
    assert (claims["ref"], claims["sha"]) == ("refs/heads/api", push["after"])
    assert claims["exp"] - claims["iat"] == 300
    with pytest.raises(jwt.InvalidAudienceError):
        jwt.decode(token, key, algorithms=["RS256"], audience="https://another.example", issuer=described["issuer"])
