"""`make audit`: what an index says of advisories, and what it does not say, which is never taken for "none"."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.targets.cast import Request, Service, says, serving

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "requirements" / "audit.py"
ADVISORY = {"id": "PYSEC-2019-217", "aliases": ["CVE-2016-10745"], "fixed_in": ["2.8.1"], "withdrawn": None}
KNOWN = ("jinja2", "2.4.1")
Say = Callable[[BaseHTTPRequestHandler, Request], None]


def document(name: str, version: str, *advisories: dict[str, Any]) -> Say:
    return json_of({"info": {"name": name, "version": version}, "vulnerabilities": list(advisories)})


def json_of(value: object) -> Say:
    return says(200, json.dumps(value).encode(), content_type="application/json")


def cut_off(handler: BaseHTTPRequestHandler, request: Request) -> None:
    body = json.dumps({"info": {"name": "flask", "version": "3.1.3"}, "vulnerabilities": []}).encode()
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body) + 40))
    handler.end_headers()
    handler.wfile.write(body)


class Index:
    """An index that answers as a test wants, and keeps what it was asked."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.says: dict[tuple[str, str], Say] = {KNOWN: document(*KNOWN, ADVISORY)}
        self.url, self.service = service.url, service
        self.requirements = folder / "run.txt"
        service.answer = self.answer

    def answer(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        _, _, name, version, _ = request.path.split("/")
        self.says.get((name, version), says(404, b"not found"))(handler, request)

    def audit(self, *pins: str, **env: str) -> tuple[int, list[str]]:
        """Run it on these pins; return its exit code and lines."""
        self.requirements.write_text("".join(f"{pin} \\\n    --hash=sha256:00\n" for pin in pins))
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("UV_", "PIP_"))}
        environment = (
            kept | {"HOME": str(self.requirements.parent), "PIP_INDEX_URL": f"{self.url}/simple/", "no_proxy": "*"} | env
        )
        done = subprocess.run(
            [sys.executable, str(SCRIPT), str(self.requirements)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.stderr == ""
        return done.returncode, done.stdout.splitlines()


@pytest.fixture
def index(tmp_path: Path) -> Iterator[Index]:
    with serving() as service:
        yield Index(service, tmp_path)


def test_nothing_known_is_clean(index: Index) -> None:
    index.says["flask", "3.1.3"] = document("Flask", "3.1.3", ADVISORY | {"withdrawn": "2026-01-01T00:00:00Z"})
    assert index.audit("flask==3.1.3") == (0, ["1 of 1 packages looked at"])


def test_an_advisory_is_named_with_the_versions_that_mend_it(index: Index) -> None:
    index.says["flask", "3.1.3"] = document("flask", "3.1.3", ADVISORY, {"id": "X-1\x1b[2J", "fixed_in": []})
    assert index.audit("flask==3.1.3 ; python_version > '3'") == (
        1,
        [
            "flask 3.1.3: PYSEC-2019-217 CVE-2016-10745; mended in 2.8.1",
            "flask 3.1.3: X-1?[2J; mended in no version yet",
            "1 of 1 packages looked at",
        ],
    )


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (says(404, b""), "the index answers 404"),
        (says(500, b""), "the index answers 500"),
        (says(200, b""), "the answer is not JSON, or cut off"),
        (says(200, b'{"info": {"name": "flask"'), "the answer is not JSON, or cut off"),
        (cut_off, "cut off|does not answer"),
        (json_of([]), "the answer is not an object"),
        (json_of({}), "the answer says nothing about advisories"),
        (json_of({"info": {"name": "flask", "version": "3.1.3"}}), "the answer says nothing about advisories"),
        (json_of({"info": {"name": "flask", "version": "3.1.3"}, "vulnerabilities": None}), "says nothing about advisories"),
        (document("flask", "3.1.4"), "the answer is about another package or version"),
        (document("flake", "3.1.3"), "the answer is about another package or version"),
    ],
)
def test_what_was_not_said_is_not_looked_at_though_another_advisory_is_named(index: Index, answer: Say, why: str) -> None:
    index.says["flask", "3.1.3"] = answer
    index.says["celery", "5.7.0"] = document("celery", "5.7.0", ADVISORY)
    code, lines = index.audit("celery==5.7.0", "flask==3.1.3")
    assert code == 2
    assert lines[0].startswith("celery 5.7.0: PYSEC-2019-217") and lines[-1] == "1 of 2 packages looked at"
    assert lines[1].startswith("not looked at: flask 3.1.3 (") and any(part in lines[1] for part in why.split("|"))


def test_an_index_that_knows_no_advisory_at_all_has_looked_at_nothing(index: Index) -> None:
    index.says[KNOWN] = document(*KNOWN)
    index.says["flask", "3.1.3"] = document("flask", "3.1.3")
    reason = "the index knows no advisory, not even those of jinja2 2.4.1"
    assert index.audit("flask==3.1.3") == (2, [f"not looked at: flask 3.1.3 ({reason})"])


def test_an_index_that_is_away_has_looked_at_nothing(index: Index) -> None:
    code, lines = index.audit("flask==3.1.3", "celery==5.7.0", PIP_INDEX_URL="http://127.0.0.1:1/simple")
    assert code == 2 and [line.split(" (")[0] for line in lines] == [
        "not looked at: celery 5.7.0",
        "not looked at: flask 3.1.3",
    ]


def test_a_file_without_pins_is_not_clean(index: Index) -> None:
    code, lines = index.audit()
    assert (code, lines) == (2, ["not looked at: anything, since no pinned package was found"])


def test_a_password_of_the_index_is_sent_and_never_printed(index: Index) -> None:
    index.says["flask", "3.1.3"] = says(403, b"")
    url = index.url.replace("http://", "http://reader:canary-pw@")
    code, lines = index.audit("flask==3.1.3", PIP_INDEX_URL=f"{url}/simple")
    assert code == 2 and "canary-pw" not in "\n".join(lines)
    sent = {request.headers["authorization"] for request in index.service.requests}
    assert sent == {f"Basic {base64.b64encode(b'reader:canary-pw').decode()}"}


@pytest.mark.parametrize("where", ["UV_DEFAULT_INDEX", "UV_INDEX_URL", "uv.toml index", "uv.toml index-url"])
def test_the_index_is_the_one_that_uv_or_pip_is_configured_with(index: Index, tmp_path: Path, where: str) -> None:
    index.says["flask", "3.1.3"] = document("flask", "3.1.3")
    url, given = f"{index.url}/simple", {"PIP_INDEX_URL": ""}
    if where.startswith("uv.toml"):
        (tmp_path / ".config" / "uv").mkdir(parents=True)
        text = f'index-url = "{url}"\n' if where.endswith("url") else f'[[index]]\nname = "mine"\nurl = "{url}"\ndefault = true\n'
        (tmp_path / ".config" / "uv" / "uv.toml").write_text(text)
    else:
        given[where] = url
    assert index.audit("flask==3.1.3", XDG_CONFIG_HOME="", **given)[0] == 0


def test_every_pinned_file_is_audited() -> None:
    done = subprocess.run(["make", "-n", "audit"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {path.name for path in (ROOT / "requirements").glob("*.txt")} == {
        word.rpartition("/")[2] for word in done.stdout.split() if word.endswith(".txt")
    }
