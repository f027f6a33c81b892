"""Identity on a whole running stack: who is disabled where people are kept deploys nothing from the next stage on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import httpx
import pytest
from sqlalchemy import Engine

from app.domain.deployment import Stage, State
from app.integrations.system import write_private
from app.stack.scene import Scene
from app.store.reads import Reads
from tests.e2e.test_durability import ended, standing_at
from tests.okta_fake import TOKEN, FakeOkta, serving_okta
from tests.sources import RealClock
from tests.waiting import until

TIDEGATE = str(Path(sys.executable).parent / "tidegate")
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
EVENTS_SECRET = "the-secret-of-events"


def tidegate(scene: Scene, *arguments: str) -> Any:
    command = [TIDEGATE, *arguments, "--json"]
    done = subprocess.run(command, env=scene.env, cwd=scene.folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def configured(scene: Scene) -> Iterator[Path]:
    """Let a test add to tidegate.toml; the running gate takes it, and takes it back afterwards."""
    config = scene.folder / "tidegate.toml"
    former = config.read_text()
    yield config
    config.write_text(former)


class Provider:
    """An identity provider that provisions by SCIM, over HTTP."""

    def __init__(self, scene: Scene, token: str) -> None:
        self._url = f"{scene.running.web_url}/scim/v2"
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}, timeout=20
        )

    def send(self, method: str, path: str, document: dict[str, Any]) -> dict[str, Any]:
        answer = self._client.request(method, f"{self._url}{path}", content=json.dumps(document))
        assert answer.status_code < 300, answer.text
        return dict(answer.json()) if answer.content else {}

    def user(self, name: str) -> str:
        return str(self.send("POST", "/Users", {"schemas": [USER], "userName": name, "active": True})["id"])

    def set_active(self, user: str, active: bool) -> None:
        operation = {"op": "replace", "value": {"active": active}}
        self.send("PATCH", f"/Users/{user}", {"schemas": [PATCH], "Operations": [operation]})


@pytest.fixture
def provider(scene: Scene, configured: Path) -> Provider:
    configured.write_text(configured.read_text() + '\n[identity.directory]\nkind = "scim"\n')
    token = tidegate(scene, "scim", "token", "create", "directory", "--client", f"test-{time.monotonic_ns()}")["token"]
    return Provider(scene, token)


def test_a_person_whom_scim_deactivates_between_push_and_dispatch_is_denied_at_dispatch(
    scene: Scene, owner: Engine, reads: Reads, provider: Provider
) -> None:
    alice = provider.user("alice")
    with standing_at(owner, Stage.INJECT_TOKEN):
        made = scene.push("meanwhile", account=scene.alice)
        until(lambda: reads.deployment(made).deployment.state is State.PERMITTED, "it is permitted")
        provider.set_active(alice, False)
    denied = ended(reads, made)
    assert (denied.state, denied.reason) == (State.DENIED, "alice is not active: source directory says so")
    assert [e.action for e in reads.audit(deployment_id=made)][-2:] == ["deployment:granted", "deployment:denied"]
    again = scene.push("still not", account=scene.alice)
    assert ended(reads, again).reason == "alice is not active: source directory says so"
    provider.set_active(alice, True)
    assert ended(reads, scene.push("again", account=scene.alice)).state is State.SUCCEEDED
    who = tidegate(scene, "access", "who-can", "production")
    assert [answer["subject"] for answer in who["answers"]] == ["alice"]


@pytest.fixture
def okta(scene: Scene, configured: Path) -> Iterator[FakeOkta]:
    """An org at which alice is an active deployer, which the running gate reads."""
    with serving_okta(RealClock()) as fake:
        fake.calls_a_minute = 10**6
        write_private(scene.folder / "okta.token", TOKEN)
        write_private(scene.folder / "okta.events", EVENTS_SECRET)
        table = {"kind": "okta", "url": fake.url, "token": f"file:{scene.folder}/okta.token"}
        table["events_secret"] = f"file:{scene.folder}/okta.events"
        lines = "".join(f'{name} = "{value}"\n' for name, value in table.items())
        configured.write_text(f"{configured.read_text()}\n[identity.okta]\n{lines}")
        yield fake


def test_an_event_of_okta_has_its_subject_read_again_and_denied(scene: Scene, reads: Reads, okta: FakeOkta) -> None:
    alice = okta.add_user("alice")
    okta.add_group("deployers", [alice])
    assert ended(reads, scene.push("too early", account=scene.alice)).reason == "alice is not active: source okta was never read"
    until(lambda: tidegate(scene, "access", "sources")["okta"]["state"]["refreshed_at"], "okta was read", 90)
    assert ended(reads, scene.push("read", account=scene.alice)).state is State.SUCCEEDED
    events = f"{scene.running.web_url}/events/okta"
    assert okta.verify(events)
    with pytest.raises(HTTPError, match="401"):
        okta.deliver(events, "wrong")
    okta.set_status(alice, "SUSPENDED")
    assert okta.deliver(events, EVENTS_SECRET) == 202
    until(lambda: not tidegate(scene, "access", "show", "alice")["principal"]["active"], "alice is inactive")
    denied = ended(reads, scene.push("suspended", account=scene.alice))
    assert (denied.state, denied.reason) == (State.DENIED, "alice is not active: source okta says so")


def test_an_org_that_is_away_is_told_and_tried_again(scene: Scene, reads: Reads, okta: FakeOkta) -> None:
    okta.add_user("alice")
    tidegate(scene, "access", "sync", "okta", "--whole")
    write_private(scene.folder / "okta.token", "another")
    command = [TIDEGATE, "access", "sync", "okta", "--whole"]
    done = subprocess.run(command, env=scene.env, cwd=scene.folder, capture_output=True, text=True, timeout=150, check=False)
    assert done.returncode == 4 and "Okta refuses the token" in done.stderr
    assert "refuses the token" in tidegate(scene, "access", "sources")["okta"]["state"]["fault"]
    write_private(scene.folder / "okta.token", TOKEN)
    tidegate(scene, "access", "sync", "okta", "--whole")
    assert tidegate(scene, "access", "sources")["okta"]["state"]["fault"] is None
