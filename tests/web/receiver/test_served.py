"""Sign-in through the server and the front as they run in production, beside deliveries."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.stack.postgres import EmbeddedPostgres
from app.stack.server import answers
from tests.programs import running
from tests.web.gate import CAROL, Browser, Gate

PROCFILE = Path(__file__).parents[3] / "Procfile"


@pytest.fixture
def served(gate: Gate, postgres: EmbeddedPostgres) -> Iterator[Gate]:
    """The same gate once more, behind granian, on the port at which the provider sends browsers back."""
    gate.close()
    port = gate.url.rpartition(":")[2]
    command = PROCFILE.read_text().split("\n")[0].removeprefix("web: ").replace("${TIDEGATE_WEB_HOST:-127.0.0.1}", "127.0.0.1")
    command = command.replace("${TIDEGATE_WEB_PORT:-8300}", port)
    settings = {"DATABASE_URL": postgres.url("tidegate_app"), "REDIS_URL": "redis://127.0.0.1:1/0", "PUBLIC_URL": gate.url}
    settings |= {"CONFIG": str(gate.folder / "tidegate.toml"), "STATE_DIR": str(gate.folder / "state")}
    env = os.environ | {f"TIDEGATE_{name}": value for name, value in settings.items()}
    granian = str(Path(sys.executable).parent / "granian")
    with running([granian, *command.split()[1:]], gate.folder / "granian.log", lambda: answers(int(port)), env=env):
        yield gate


def test_a_person_signs_in_links_an_account_and_signs_out_through_the_real_server(served: Gate) -> None:
    served.tokens["x" * 40] = CAROL
    browser = Browser(served)
    page = browser.sign_in()
    assert page.status_code == 200 and '<dd id="subject">alice</dd>' in page.text
    done = browser.post("/account/links", csrf_token=browser.csrf(), forge="gogs", token="x" * 40)
    assert done.status_code == 303 and "gogs:72" in browser.get("/account").text
    assert browser.api("GET", "/me", authorization=f"Bearer {served.provider.client_token()}").status_code == 400
    token = browser.csrf()
    assert browser.api("DELETE", "/links/gogs/72", **{"x-csrf-token": token}).status_code == 204
    assert browser.post("/logout", csrf_token="x").status_code == 403
    assert browser.post("/logout", csrf_token=token).status_code == 303
    assert browser.get("/account").status_code == 303
    assert browser.post("/hooks/gogs", x="y").status_code in (400, 401, 415)
    repeated = browser.http.get(f"{served.url}/api/v1/me", headers=[("authorization", "Bearer a.b.c"), ("authorization", "x")])
    assert repeated.status_code == 400
