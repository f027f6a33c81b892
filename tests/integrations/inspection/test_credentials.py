"""Secrets: each kind is found, none is repeated, no network is asked, and no thread disturbs another.

The tokens here are made up; they are put together from halves, so that no scanner takes this file for a leak.
"""

from __future__ import annotations

import base64
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.finding import Finding, FindingKind
from app.integrations.inspection import credentials
from app.integrations.inspection.protocol import passages

X = "aB3" * 40
LOW = "a1b2c3d4" * 8


def jwt(*parts: bytes) -> str:
    return ".".join(base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts)


SECRETS = {
    "AWS Access Key": "AKIA" + "Q3EGRX7JY5TZLMNP",
    "Azure Storage Account access key": "AccountKey=" + X[:86] + "==",
    "Basic Auth Credentials": "postgres://shop:" + "hunter2@db/shop",
    "Discord Bot Token": "M" + X[:23] + "." + X[:6] + "." + X[:27],
    "GitHub Token": "ghp_" + X[:36],
    "GitLab Token": "glpat-" + X[:20],
    "JSON Web Token": jwt(b'{"alg":"none"}', b'{"sub":"a"}', b"sig"),
    "Mailchimp Access Key": LOW[:32] + "-us12",
    "NPM tokens": "//registry.example/:_authToken=" + "npm_" + X[:36],
    "OpenAI Token": "sk-" + X[:20] + "T3BlbkFJ" + X[:20],
    "Private Key": "-----BEGIN OPENSSH " + "PRIVATE KEY-----",
    "PyPI Token": "pypi-AgEIcHlwaS5vcmc" + X[:80],
    "SendGrid API Key": "SG." + X[:22] + "." + X[:43],
    "Slack Token": "xoxb-" + "123456789012-" + "abcdef123456",
    "Square OAuth Secret": "sq0csp-" + X[:43],
    "Stripe Access Key": "sk_live_" + X[:24],
    "Telegram Bot Token": "123456789:" + X[:35],
    "Twilio API Key": "AC" + LOW[:32],
    "Token": "github_pat_" + X[:40],
}
MORE = {
    "sk-ant-" + "api03-" + X[:60]: "Token",
    "AIza" + X[:35]: "Token",
    "hvs." + X[:30]: "Token",
    "AGE-SECRET-KEY-1" + "Q3" * 29: "Token",
    "tgs_" + X[:43]: "Token",
    "-----BEGIN ENCRYPTED " + "PRIVATE KEY-----": "Private Key",
    "PuTTY-User-" + "Key-File-3: ssh-ed25519": "Private Key",
    "https://hooks.slack.com/services/" + "T0/B0/abc": "Slack Token",
    "aws_secret_key = '" + X[:40] + "'": "AWS Access Key",
}
HONEST = [
    "password = os.environ['PASSWORD']",
    "secret = 'changeme'",
    "sha256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'",
    "https://${USER}:${PASSWORD}@example.com",
    "https://user:<password>@example.com",
    "f'https://{user}:{password}@example.com'",
    "https://example.com:8080/a@b",
    "git@github.com:acme/shop.git",
    "-----BEGIN PUBLIC KEY-----",
    "eyJ.not.a-token",
    "a.b.c: accuracy = askew",
    '"integrity": "sha512-' + X[:86] + '=="',
]


def look(*lines: str) -> list[Finding]:
    return [f for p in passages("a.py", tuple(enumerate(lines, 1))) for f in credentials.look(p)]


@pytest.mark.parametrize(("kind", "secret"), [*SECRETS.items(), *((kind, secret) for secret, kind in MORE.items())])
def test_a_secret_is_found_at_its_line_and_not_repeated(kind: str, secret: str) -> None:
    found = look("x = 1", f"value: {secret}", f"'{secret}'")
    assert {(f.kind, f.line) for f in found} == {(FindingKind.SECRET, 2), (FindingKind.SECRET, 3)}
    assert f"looks like a secret: {kind}" in {f.what for f in found}
    assert not any(
        secret[i : i + 8] in f"{f.what} {f.where}" for f in found for i in range(0, len(secret) - 8) if kind != "Private Key"
    )


def test_what_stands_for_a_secret_is_none() -> None:
    assert look(*HONEST) == []


def test_a_comment_does_not_let_a_secret_through() -> None:
    assert look(f"key = '{SECRETS['GitHub Token']}'  # pragma: allowlist secret")


@pytest.mark.parametrize("before", [0, 1_745, 1_990, 3_000, 500_000])
def test_a_secret_in_a_long_line_is_found_wherever_it_is(before: int) -> None:
    assert {f.line for f in look("a" * before + " " + SECRETS["GitHub Token"] + " " + "b" * 5_000)} == {1}


def test_no_network_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert len({f.what for f in look(*SECRETS.values())}) == len(SECRETS)


def test_eight_threads_find_the_same() -> None:
    lines = [*SECRETS.values(), *MORE, *HONEST] * 20
    expected = look(*lines)
    with ThreadPoolExecutor(8) as pool:
        assert all(found == expected for found in pool.map(lambda _: look(*lines), range(32)))


def test_a_token_of_a_thousand_brackets_breaks_nothing() -> None:
    deep = json.dumps({"a": 1}).encode()[:-2] + b"[" * 1_400
    assert len(look(jwt(deep, deep))) <= 1


@pytest.mark.parametrize("mark", credentials._MARKS, ids=lambda m: type(m.detector).__name__)
def test_the_quick_look_loses_nothing(mark: credentials._Mark) -> None:
    """On tests of this repository and the secrets of this file, each detector finds with it what it finds without it."""
    files = [*Path(__file__).parents[3].glob("tests/**/*.py")][:150]
    lines = [line for file in files for line in file.read_text().split("\n") if len(line) < 2_000]
    lines += [each for secret in (*SECRETS.values(), *MORE) for each in (secret, f"'{secret}'", f"x={secret}")]
    bare = [n for n, line in enumerate(lines, 1) if credentials._has_secret(mark.detector, line)]
    seen = {f.line for f in look(*lines) if f.what.endswith(mark.detector.secret_type)}
    assert set(bare) <= seen


@given(st.lists(st.text(alphabet="AKIAghp_sk-eyJ.:/@{}[]\"'= \n\t0aé", max_size=300), max_size=5))
def test_any_text_is_looked_at(lines: list[str]) -> None:
    for finding in look(*lines):
        assert finding.what.startswith("looks like a secret: ")
