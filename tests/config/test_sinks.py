"""`[sinks.NAME]` of tidegate.toml: what is right loads and is bound, and every fault is told with file, line and reason."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.config.load import Configuration, load_configuration
from app.domain.errors import BadConfiguration
from app.guard.bind import bind_sink
from app.guard.load import KINDS
from app.integrations.sinks import smtp, webhook
from app.integrations.system import SystemClock
from tests.config.test_load import GOOD

SINKS = """
[sinks.chat]
kind = "webhook"
events = ["deployment:held", "session:*"]
environments = ["production"]
url = "https://chat.example/in"
secret = "env:CHAT_SECRET"

[sinks.mail]
kind = "smtp"
events = ["deployment:*"]
host = "mail.example"
sender = "gate@shop.example"
recipients = ["ops@shop.example"]
"""
FIRST = GOOD.count("\n") + 2  # the line of [sinks.chat]
EVENT = 'must be "SUBJECT:VERB" or "SUBJECT:*", such as "deployment:held"'

# fault: what stands in SINKS, what stands there instead, line from [sinks.chat] on, and the rest of the text
FAULTS = {
    "unknown kind": ('kind = "smtp"', 'kind = "pigeon"', 8, "mail.kind: unknown sink kind 'pigeon'; known: smtp, webhook"),
    "no kind": ('kind = "smtp"\n', "", 7, "mail.kind: Field required"),
    "no events": ('events = ["deployment:*"]\n', "", 7, "mail.events: Field required"),
    "empty events": ('["deployment:*"]', "[]", 9, "mail.events: List should have at least 1 item after validation, not 0"),
    "event without verb": ('"deployment:*"', '"deployment"', 9, f"mail.events.0: {EVENT}"),
    "any subject": ('"deployment:*"', '"*:held"', 9, f"mail.events.0: {EVENT}"),
    "part of a verb": ('"session:*"', '"session:st*"', 2, f"chat.events.1: {EVENT}"),
    "event with a line end": ('"session:*"', '"session:ended\\n"', 2, f"chat.events.1: {EVENT}"),
    "unknown environment": ('["production"]', '["staging", "prod"]', 3, "chat.environments.1: there is no environment 'prod'"),
    "empty environments": (
        '["production"]',
        "[]",
        3,
        "chat.environments: List should have at least 1 item after validation, not 0",
    ),
    "unknown key of the kind": (
        'host = "mail.example"',
        'host = "mail.example"\nhots = 1',
        11,
        "mail.hots: Extra inputs are not permitted",
    ),
    "a key of another kind": (
        'url = "https://chat.example/in"',
        'url = "https://a.example"\nhost = "h"',
        5,
        "chat.host: Extra inputs are not permitted",
    ),
    "missing key of the kind": ('host = "mail.example"\n', "", 7, "mail.host: Field required"),
    "unsafe options": (
        'host = "mail.example"',
        'host = "mail.example"\ntls = "none"',
        7,
        'mail: tls = "none" to another machine needs allow_plaintext = true: anyone on the network could read it',
    ),
    "bad name": ("[sinks.mail]", '[sinks."Ma il"]', 7, "Ma il.[key]: String should match pattern '^[a-z0-9][a-z0-9-]{0,62}$'"),
}


def load(folder: Path, sinks: str) -> Configuration:
    path = folder / "tidegate.toml"
    path.write_text(GOOD + sinks, encoding="utf-8", newline="")
    return load_configuration(path, KINDS)


@pytest.mark.parametrize("name", sorted(FAULTS))
def test_a_fault_is_told_with_file_line_place_and_reason(tmp_path: Path, name: str) -> None:
    old, new, line, told = FAULTS[name]
    assert SINKS.count(old) == 1
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path, SINKS.replace(old, new))
    assert caught.value.faults == [f"{tmp_path}/tidegate.toml:{FIRST + line}: sinks.{told}"]


def test_a_secret_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration) as caught:
        load(tmp_path, SINKS.replace('"env:CHAT_SECRET"', '"hunter2"'))
    assert "sinks.chat.secret" in str(caught.value) and "hunter2" not in str(caught.value)


def test_what_is_written_arrives_and_is_bound(tmp_path: Path) -> None:
    sinks = load(tmp_path, SINKS).sinks
    chat, mail = (bind_sink(sinks[name], SystemClock()) for name in ("chat", "mail"))
    assert (chat.events, chat.environments) == (("deployment:held", "session:*"), frozenset({"production"}))
    assert (mail.events, mail.environments) == (("deployment:*",), frozenset())
    assert isinstance(chat.sink(), webhook.Webhook) and isinstance(mail.sink(), smtp.Smtp)
    assert [chat.wants("deployment:held", each) for each in ("production", "staging", None)] == [True, False, False]
    assert mail.wants("deployment:held", None) and not mail.wants("session:ended", None)


def test_without_sinks_nobody_is_told(tmp_path: Path) -> None:
    assert load(tmp_path, "").sinks == {}
