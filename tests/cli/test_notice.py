"""`tidegate notice …` as an administrator uses it: real receivers, a real database, exit codes and one line each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from sqlalchemy import Engine

from app.domain.notice import Notice
from app.integrations.system import SystemIds
from app.store.unit import SqlStore
from tests.cli.test_cli import AWAY, ME, NOT_FOUND, TIDEGATE_TOML, Cli, cli
from tests.integrations.sinks.cast import Mailbox, mail_server
from tests.integrations.targets.cast import SIGNING_SECRET, Service, says, serving

FAILED = 1
__all__ = ["cli"]


@dataclass(frozen=True, slots=True)
class Receivers:
    """Who is told: a web service and a mail server."""

    service: Service
    mailbox: Mailbox


@pytest.fixture
def receivers(cli: Cli) -> Iterator[Receivers]:
    with serving() as service, mail_server("none") as mailbox:
        sinks = f"""
[sinks.chat]
kind = "webhook"
events = ["deployment:held"]
url = "{service.url}"
secret = "env:CHAT_SECRET"

[sinks.mail]
kind = "smtp"
events = ["deployment:held"]
host = "127.0.0.1"
port = {mailbox.port}
tls = "none"
sender = "gate@shop.example"
recipients = ["ops@shop.example"]
"""
        (cli.folder / "tidegate.toml").write_text(TIDEGATE_TOML + sinks)
        cli.env["CHAT_SECRET"] = SIGNING_SECRET.decode()
        yield Receivers(service, mailbox)


def test_a_test_notice_really_arrives(cli: Cli, receivers: Receivers) -> None:
    chat, mail, as_json = cli.each(("notice", "test", "chat"), ("notice", "test", "mail"), ("notice", "test", "chat", "--json"))
    assert chat.code == mail.code == 0
    assert chat.text.startswith("chat accepted notice ") and mail.text.startswith("mail accepted notice ")
    judge = standardwebhooks.Webhook(SIGNING_SECRET.decode())
    told = [judge.verify(each.body, each.headers) for each in receivers.service.requests]
    assert {each["data"]["event"] for each in told} == {"notice:test"}
    assert told[0]["data"]["detail"] == {"sink": "chat", "by": f"os:{ME}"}
    assert as_json.json["notice"] in {each["data"]["id"] for each in told}
    assert receivers.mailbox.mails[0]["Subject"] == "Tidegate: a test"


def test_what_the_sink_answered_is_told_in_one_line_with_its_exit_code(cli: Cli, receivers: Receivers) -> None:
    receivers.service.answer = says(503, b"later")
    receivers.mailbox.answers = {"RCPT": "550 nobody here"}
    away, refused, unknown = cli.each(("notice", "test", "chat"), ("notice", "test", "mail"), ("notice", "test", "none"))
    assert away.ended_with(AWAY) == "HTTP 503 later"
    assert refused.ended_with(FAILED) == "ops@shop.example: 550 nobody here"
    assert unknown.ended_with(NOT_FOUND) == "there is no [sinks.none] in the configuration"
    assert cli("notice", "test", "chat", CHAT_SECRET=None).ended_with(AWAY) == "the environment variable CHAT_SECRET is not set"


def test_list_shows_what_became_of_each(cli: Cli, engine: Engine) -> None:
    ids, now = SystemIds(), datetime.now(UTC)

    def keep(subject: str) -> None:
        with SqlStore(engine).unit() as unit:
            unit.notices.add(Notice(ids.new(), now, "deployment:held", subject, "", {}), ["ops"], now)

    keep("it was sent")
    with SqlStore(engine).unit() as unit:
        claimed = unit.notices.claim("ops", now, now + timedelta(minutes=1))
        assert claimed is not None
        unit.notices.sent(claimed, now)
    keep("it was refused")
    with SqlStore(engine).unit() as unit:
        claimed = unit.notices.claim("ops", now, now + timedelta(minutes=1))
        assert claimed is not None
        unit.notices.give_up(claimed, now, "HTTP 422 [red]no[/]\x1b")
    keep("it waits")
    all_, undelivered, shown = cli.each(
        ("notice", "list", "--json"), ("notice", "list", "--undelivered", "--json"), ("notice", "list")
    )
    assert [each["notice"]["subject"] for each in all_.json] == ["it waits", "it was refused", "it was sent"]
    assert [each["notice"]["subject"] for each in undelivered.json] == ["it waits", "it was refused"]
    lines = shown.text.splitlines()
    assert "due " in lines[1] and "it waits" in lines[1]
    assert "given up " in lines[2] and "HTTP 422 [red]no[/]\N{REPLACEMENT CHARACTER}" in lines[2]
    assert "sent " in lines[3] and "it was sent" in lines[3]
