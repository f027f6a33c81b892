"""What the outbox relies on from anything that is told: the web service and the mail server."""

from __future__ import annotations

import base64
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.domain.errors import GateError, SecretUnavailable, SinkRefused, SinkUnavailable
from app.integrations.registry import SINKS
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.protocol import Sink
from tests.fakes import FakeClock
from tests.integrations.sinks.cast import (
    PASSWORD,
    RECIPIENTS,
    SENDER,
    USERNAME,
    certificate,
    mail_server,
    notice,
    raw_server,
    silent,
)
from tests.integrations.targets.cast import Request, Service, says, serving
from tests.ports import free_port

SECRETS = {"webhook": b"whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLXRlc3Rz", "smtp": PASSWORD.encode()}


@dataclass
class Rig:
    """A receiver that can be told how to answer, and a sink for it; `taken` lists the ids of what it got."""

    kind: str
    options: dict[str, object]
    accept: Callable[[], None]
    refuse: Callable[[], None]
    put_off: Callable[[], None]
    repeat_secrets: Callable[[], None]
    taken: Callable[[], list[str]]

    def sink(self, *, secret: Callable[[str], Secret] | None = None, **over: object) -> Sink:
        options = SINKS.options(self.kind).model_validate(self.options | over)
        found = secret or (lambda _: Secret(SECRETS[self.kind]))
        return SINKS.load(self.kind)(options, clock=FakeClock(), secret=found)

    def elsewhere(self, port: int) -> dict[str, object]:
        """Point the sink at another port of this machine."""
        return {"url": f"http://127.0.0.1:{port}/"} if self.kind == "webhook" else {"port": port}


def webhook_rig(service: Service) -> Rig:
    def answer(status: int, body: bytes = b"") -> Callable[[], None]:
        return lambda: setattr(service, "answer", says(status, body))

    def taken() -> list[str]:
        return [json.loads(r.body)["data"]["id"] for r in service.requests]

    def repeat() -> None:
        def echo(handler: object, request: Request) -> None:
            says(500, f"{request.headers} {request.body!r}".encode())(handler, request)  # type: ignore[arg-type]

        service.answer = echo

    options = {"url": service.url, "secret": "env:HOOK", "timeout": 5.0}
    return Rig("webhook", options, answer(200), answer(422, b"no such thing"), answer(503, b"later"), repeat, taken)


@pytest.fixture(params=sorted(SINKS.kinds))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param == "webhook":
        with serving() as service:
            yield webhook_rig(service)
        return
    own = certificate(tmp_path)
    with mail_server("starttls", own.context, wants_login=True) as mailbox:
        options = {
            "host": "127.0.0.1",
            "port": mailbox.port,
            "ca_file": str(own.file),
            "username": USERNAME,
            "password": "env:MAIL",
            "sender": SENDER,
            "recipients": RECIPIENTS,
            "timeout": 5.0,
        }

        def answer(**answers: str) -> Callable[[], None]:
            return lambda: setattr(mailbox, "answers", answers)

        spelled = base64.b64encode(f"\0{USERNAME}\0{PASSWORD}".encode()).decode()
        yield Rig(
            "smtp",
            options,
            answer(),
            answer(RCPT="550 5.1.1 no such thing"),
            answer(RCPT="451 4.7.1 later"),
            answer(DATA=f"451 you said {PASSWORD} as {spelled}"),
            lambda: [str(mail["Message-ID"])[1:].partition("@")[0] for mail in mailbox.mails],
        )


def fault_of(rig: Rig, kind: type[GateError], **over: object) -> str:
    with pytest.raises(kind) as caught:
        rig.sink(**over).emit(notice())  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and 0 < len(str(caught.value)) < 600
    said = "".join(traceback.format_exception(caught.value)) + repr(caught.value.args)
    for secret in (SECRETS[rig.kind].decode(), SECRETS[rig.kind].decode().removeprefix("whsec_")):
        assert secret not in said
    return str(caught.value)


def test_a_notice_arrives_once_under_its_id(rig: Rig) -> None:
    rig.sink().emit(notice())
    assert rig.taken() == [notice().id]


def test_a_repeat_bears_the_same_id_and_another_notice_another(rig: Rig) -> None:
    other = "019abc00-2222-7222-8333-444444aaaaaa"
    for each in (notice(), notice(), notice(id=other)):
        rig.sink().emit(each)
    assert rig.taken() == [notice().id, notice().id, other]


def test_a_refusal_for_good_is_told_with_what_was_said(rig: Rig) -> None:
    rig.refuse()
    assert "no such thing" in fault_of(rig, SinkRefused)
    assert SinkRefused.permanent


def test_what_may_pass_is_told_with_what_was_said(rig: Rig) -> None:
    rig.put_off()
    assert "later" in fault_of(rig, SinkUnavailable)
    assert not SinkUnavailable.permanent


def test_after_what_passed_it_delivers(rig: Rig) -> None:
    rig.put_off()
    fault_of(rig, SinkUnavailable)
    before = rig.taken()
    rig.accept()
    rig.sink().emit(notice())
    assert rig.taken() == [*before, notice().id]


def test_nobody_there_may_pass(rig: Rig) -> None:
    fault_of(rig, SinkUnavailable, **rig.elsewhere(free_port()))


@pytest.mark.timeout(90)
def test_silence_ends_in_time_and_may_pass(rig: Rig) -> None:
    with raw_server(silent) as port:
        fault_of(rig, SinkUnavailable, timeout=0.3, **rig.elsewhere(port))


@pytest.mark.parametrize("junk", [b"\x00\xff garbage\r\n\r\n", b"", b"999 x\r\n" * 20_000, b"250-x\r\n" * 200_000])
@pytest.mark.timeout(90)
def test_nonsense_may_pass(rig: Rig, junk: bytes) -> None:
    with raw_server(lambda connection, _: connection.sendall(junk)) as port:
        fault_of(rig, SinkUnavailable, timeout=2.0, **rig.elsewhere(port))


@pytest.mark.timeout(90)
def test_an_answer_that_drips_ends_in_time(rig: Rig) -> None:
    def drip(connection: object, closing: object) -> None:
        while not closing.wait(0.05):  # type: ignore[attr-defined]
            connection.sendall(b"2")  # type: ignore[attr-defined]

    with raw_server(drip) as port:
        fault_of(rig, SinkUnavailable, timeout=0.5, **rig.elsewhere(port))


def test_a_secret_that_is_away_may_come_back_and_nothing_is_sent(rig: Rig) -> None:
    def away(reference: str) -> Secret:
        raise SecretUnavailable(f"{reference} is not set")

    assert "is not set" in fault_of(rig, SinkUnavailable, secret=away)
    assert rig.taken() == []


def test_a_receiver_that_repeats_the_secret_does_not_get_it_into_the_fault(rig: Rig) -> None:
    rig.repeat_secrets()
    said = fault_of(rig, SinkUnavailable)
    assert base64.b64encode(f"\0{USERNAME}\0{PASSWORD}".encode()).decode() not in said


def test_no_secret_is_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        rig.sink().emit(notice())
    assert SECRETS[rig.kind].decode() not in caplog.text


@pytest.mark.parametrize(
    "over",
    [
        {"subject": "a\r\nBcc: eve@evil.example\r\n\r\nx", "text": "\r\n.\r\nQUIT\r\n"},
        {"subject": "\ud800\x00\x1b[2J", "text": "\ud800\x00", "detail": {"a\x00": ["\ud800", {"b": "\x00"}]}},
        {"subject": "", "text": "", "detail": {}},
        {"subject": "ü" * 5000, "text": "x" * 100_000 + "\n" * 1000, "detail": {"deep": [[[["x" * 10_000]]]]}},
    ],
)
def test_whatever_stands_in_a_notice_arrives(rig: Rig, over: dict[str, object]) -> None:
    rig.sink().emit(notice(**over))
    assert rig.taken() == [notice().id]


def test_what_a_kind_does_not_know_is_refused(rig: Rig) -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        rig.sink(timeut=3)
