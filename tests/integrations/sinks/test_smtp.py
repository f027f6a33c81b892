"""Mail as sink: a real server with STARTTLS and AUTH, certificates that are wrong, and who gets what of a mail."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.domain.errors import SinkRefused, SinkUnavailable
from app.domain.notice import ALSO_TO, ONLY_PERSON, Notice
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.smtp import Options, Smtp
from tests.fakes import FakeClock
from tests.integrations.sinks.cast import (
    AT,
    ID,
    PASSWORD,
    RECIPIENTS,
    SENDER,
    USERNAME,
    Certificate,
    Mailbox,
    certificate,
    mail_server,
    notice,
    raw_server,
    the_password,
)

PLACE = {"host": "127.0.0.1", "sender": SENDER, "recipients": RECIPIENTS, "timeout": 5.0}
LOGIN: dict[str, Any] = {"username": USERNAME, "password": "env:MAIL"}


def smtp(port: int, *, resolved: bytes = PASSWORD.encode(), **over: object) -> Smtp:
    options = Options.model_validate({**PLACE, "port": port, **over})
    return Smtp(options, clock=FakeClock(), secret=lambda _: Secret(resolved))


@pytest.fixture
def own(tmp_path: Path) -> Certificate:
    return certificate(tmp_path)


@pytest.fixture
def plain() -> Iterator[Mailbox]:
    with mail_server("none") as mailbox:
        yield mailbox


def sent(mailbox: Mailbox, what: Notice) -> EmailMessage:
    smtp(mailbox.port, tls="none").emit(what)
    (mail,) = mailbox.mails
    return mail


def test_a_mail_says_what_happened(plain: Mailbox) -> None:
    mail = sent(plain, notice())
    assert (mail["From"], mail["To"]) == (SENDER, ", ".join(RECIPIENTS))
    assert mail["Subject"] == notice().subject
    assert mail["Date"].datetime == AT
    assert mail["Message-ID"] == f"<{ID}@gate.example>"
    assert (mail["Auto-Submitted"], mail["X-Tidegate-Event"]) == ("auto-generated", "deployment:held")
    assert mail.get_content().replace("\r\n", "\n") == notice().text + "\n"
    assert plain.envelopes == [(SENDER, RECIPIENTS)]
    assert all(byte < 128 for byte in plain.raw[0])


@pytest.mark.parametrize(("only", "recipients"), [(False, [*RECIPIENTS, "alice@example.com"]), (True, ["alice@example.com"])])
def test_a_notice_about_a_person_also_goes_to_the_person(plain: Mailbox, only: bool, recipients: list[str]) -> None:
    """Addresses that could end a header or a command are left out."""
    person = ["alice@example.com", "a\r\nRCPT TO:<x@example.com>", "=?x?q?a?=@example.com", "two@at@example.com"]
    mail = sent(plain, notice(detail={ALSO_TO: person, ONLY_PERSON: only}))
    assert mail["To"] == ", ".join(recipients)


def test_a_person_without_an_address_leaves_the_recipients_as_they_are(plain: Mailbox) -> None:
    mail = sent(plain, notice(detail={ALSO_TO: ["odd?name@example.com"], ONLY_PERSON: False}))
    assert mail["To"] == ", ".join(RECIPIENTS)


def test_a_repeat_is_the_same_mail_byte_for_byte(plain: Mailbox) -> None:
    for _ in range(2):
        smtp(plain.port, tls="none").emit(notice())
    assert len(plain.raw) == 2 and plain.raw[0] == plain.raw[1]


HEADERS = {
    "From",
    "To",
    "Subject",
    "Date",
    "Message-ID",
    "Auto-Submitted",
    "X-Tidegate-Event",
    "Content-Type",
    "Content-Transfer-Encoding",
    "MIME-Version",
}


@pytest.mark.parametrize(
    "end", ["\r\n", "\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\0", "=?utf-8?q?=0D=0A?="]
)
def test_no_subject_makes_a_header(plain: Mailbox, end: str) -> None:
    subject = f"held{end}Bcc: eve@evil.example{end}{end}body {'x' * 100} ü{end}Bcc: eve@evil.example"
    mail = sent(plain, notice(subject=subject, event=f"deployment:held{end}Bcc: eve@evil.example"))
    assert set(mail.keys()) - {"X-Peer", "X-MailFrom", "X-RcptTo"} == HEADERS
    assert plain.envelopes == [(SENDER, RECIPIENTS)]
    assert mail.get_content().startswith("alice brought")


def test_a_line_with_a_dot_does_not_end_the_mail(plain: Mailbox) -> None:
    mail = sent(plain, notice(text="one\n.\nMAIL FROM:<eve@evil.example>\n..two"))
    assert mail.get_content().splitlines() == ["one", ".", "MAIL FROM:<eve@evil.example>", "..two"]


def test_a_sender_with_a_long_domain_has_a_whole_message_id(plain: Mailbox) -> None:
    domain = ".".join(["a" * 60] * 3)
    smtp(plain.port, tls="none", sender=f"gate@{domain}").emit(notice())
    assert f"Message-ID: <{ID}@{domain}>".encode() in plain.raw[0].replace(b"\r\n ", b" ")


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
def test_under_tls_it_signs_in_and_sends(own: Certificate, tls: str) -> None:
    with mail_server(tls, own.context, wants_login=True) as mailbox:
        smtp(mailbox.port, tls=tls, ca_file=str(own.file), **LOGIN).emit(notice())
        assert (len(mailbox.mails), mailbox.users) == (1, [USERNAME])
        assert mailbox.was_tls == [True] or tls == "implicit"


@pytest.mark.parametrize("tls", ["starttls", "implicit"])
@pytest.mark.parametrize("wrong", ["unknown authority", "another name", "expired"])
def test_a_certificate_that_proves_nothing_ends_it_before_the_password(tmp_path: Path, tls: str, wrong: str) -> None:
    shown = certificate(
        tmp_path, name="elsewhere.example" if wrong == "another name" else "localhost", days=-1 if wrong == "expired" else 1
    )
    trusted = certificate(tmp_path, days=3) if wrong == "unknown authority" else shown
    with mail_server(tls, shown.context, wants_login=True) as mailbox:
        with pytest.raises(SinkUnavailable, match="its certificate is not trusted: ") as caught:
            smtp(mailbox.port, tls=tls, ca_file=str(trusted.file), **LOGIN).emit(notice())
        assert "\n" not in str(caught.value)
        assert mailbox.raw == []


def test_a_server_without_starttls_gets_neither_password_nor_mail() -> None:
    with mail_server("none", wants_login=True) as mailbox:
        with pytest.raises(SinkUnavailable, match="does not offer what the configuration needs"):
            smtp(mailbox.port, tls="starttls", **LOGIN).emit(notice())
        assert mailbox.raw == []


def test_what_is_said_before_tls_is_forgotten_after_it(own: Certificate) -> None:
    """RFC 3207 §6; an answer smuggled in behind STARTTLS's own is not an answer to what is asked under TLS (CVE-2011-0411)."""
    heard = bytearray()

    def talk(connection: socket.socket, closing: threading.Event) -> None:
        connection.sendall(b"220 here\r\n")
        connection.recv(1000)
        connection.sendall(b"250-here\r\n250 STARTTLS\r\n")
        connection.recv(1000)
        connection.sendall(
            b"220 go\r\n250-smuggled\r\n250 AUTH PLAIN\r\n235 in\r\n250 ok\r\n250 ok\r\n250 ok\r\n354 go\r\n250 ok\r\n"
        )
        with own.context.wrap_socket(connection, server_side=True) as safe:
            heard.extend(safe.recv(1000))
            safe.sendall(b"250 here\r\n")
            heard.extend(safe.recv(1000))

    with raw_server(talk) as port:
        with pytest.raises(SinkUnavailable):
            smtp(port, ca_file=str(own.file), **LOGIN).emit(notice())
    assert b"AUTH" not in heard and heard.count(b"ehlo") == 1


def test_a_wrong_password_says_so_and_nothing_of_what_the_server_says(own: Certificate) -> None:
    with mail_server("starttls", own.context, wants_login=True) as mailbox:
        with pytest.raises(SinkUnavailable) as caught:
            smtp(mailbox.port, resolved=b"wrong-secret", ca_file=str(own.file), **LOGIN).emit(notice())
        assert str(caught.value) == "the server does not accept the username or the password (535)"
        assert mailbox.raw == []


def test_a_password_that_smtp_cannot_carry_says_so() -> None:
    with pytest.raises(SinkUnavailable, match="not ASCII"):
        smtp(1, resolved="pässwörd".encode(), tls="none", **LOGIN).emit(notice())


def test_a_challenge_that_is_no_base64_is_nonsense_and_not_a_crash() -> None:
    def talk(connection: socket.socket, closing: threading.Event) -> None:
        for said in (b"220 here\r\n", b"250-here\r\n250 AUTH CRAM-MD5\r\n", b"334 a\r\n", b"535 no\r\n"):
            connection.sendall(said)
            connection.recv(1000)

    with raw_server(talk) as port, pytest.raises(SinkUnavailable):
        smtp(port, tls="none", **LOGIN).emit(notice())


def test_authorities_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    (tmp_path / "junk.pem").write_text("no certificate")
    for name in ("missing.pem", "junk.pem"):
        with pytest.raises(SinkUnavailable, match=rf"{name} does not hold certificates that can be read"):
            smtp(1, ca_file=str(tmp_path / name)).emit(notice())


@pytest.mark.parametrize("verb", ["MAIL", "RCPT", "DATA"])
@pytest.mark.parametrize(("code", "kind"), [("450 4.2.1 greylisted", SinkUnavailable), ("554 5.7.1 not wanted", SinkRefused)])
def test_the_server_is_taken_at_its_word(plain: Mailbox, verb: str, code: str, kind: type[Exception]) -> None:
    plain.answers = {verb: code}
    with pytest.raises(kind, match=code):
        smtp(plain.port, tls="none").emit(notice())
    assert plain.raw == []


def test_one_who_is_refused_does_not_keep_it_from_the_others_and_is_told(plain: Mailbox) -> None:
    ops, alice = RECIPIENTS
    plain.answers = {f"RCPT {alice}": "451 later"}
    with pytest.raises(SinkRefused, match=f"sent, but not to all: {alice}: 451 later"):  # again, ops would have it twice
        smtp(plain.port, tls="none").emit(notice())
    assert plain.envelopes == [(SENDER, [ops])]


def test_where_none_is_taken_and_one_may_be_later_it_may_pass(plain: Mailbox) -> None:
    ops, alice = RECIPIENTS
    plain.answers = {f"RCPT {ops}": "550 nobody", f"RCPT {alice}": "451 later"}
    with pytest.raises(SinkUnavailable, match=f"{ops}: 550 nobody; {alice}: 451 later"):
        smtp(plain.port, tls="none").emit(notice())
    assert plain.raw == []


def ends_after(*last: bytes) -> list[bytes]:
    return [b"220 here\r\n", b"250 here\r\n", b"250 ok\r\n", b"250 ok\r\n", b"250 ok\r\n", b"354 go\r\n", *last]


def talk(connection: socket.socket, script: list[bytes]) -> list[bytes]:
    """Say each line and hear what comes to it."""
    heard = []
    for said in script:
        connection.sendall(said)
        heard.append(connection.recv(100_000))
    return heard


@pytest.mark.parametrize("farewell", [b"500 rude\r\n", b"\xff\xff\r\n", b""])
def test_what_is_taken_stays_taken_whatever_is_said_at_parting(farewell: bytes) -> None:
    def script(connection: socket.socket, closing: threading.Event) -> None:
        talk(connection, ends_after(b"250 taken\r\n", farewell))

    with raw_server(script) as port:
        smtp(port, tls="none", timeout=2.0).emit(notice())


def test_a_server_that_hangs_up_before_it_takes_it_has_not_taken_it() -> None:
    def script(connection: socket.socket, closing: threading.Event) -> None:
        talk(connection, ends_after())

    with raw_server(script) as port, pytest.raises(SinkUnavailable, match="hung up"):
        smtp(port, tls="none").emit(notice())


@pytest.mark.parametrize("greeting", [b"554 no service\r\n", b"421 too many\r\n", b"250 what\r\n"])
def test_a_server_that_does_not_greet_is_not_spoken_to(greeting: bytes) -> None:
    with raw_server(lambda connection, _: connection.sendall(greeting)) as port:
        with pytest.raises(SinkUnavailable, match=greeting[:3].decode()):
            smtp(port, tls="none").emit(notice())


@pytest.mark.parametrize(
    ("over", "says"),
    [
        ({"tls": "none", "host": "mail.example"}, "needs allow_plaintext = true"),
        ({"tls": "none", "host": "10.0.0.1"}, "needs allow_plaintext = true"),
        ({"tls": "none", "host": "localhost.evil.example"}, "needs allow_plaintext = true"),
        ({"tls": "none", "host": "mail.example", "allow_plaintext": True, **LOGIN}, "only under TLS"),
        ({"username": "u"}, "go together"),
        ({"password": "env:MAIL"}, "go together"),
        ({"username": "u\r\nRSET", "password": "env:MAIL"}, "String should match"),
        ({"password": "the password itself", "username": "u"}, "String should match"),
        ({"tls": "maybe"}, "Input should be"),
        ({"host": "mail.example\r\nx"}, "String should match"),
        ({"host": ""}, "String should match"),
        ({"port": 0}, "greater than 0"),
        ({"port": 65536}, "less than 65536"),
        ({"recipients": []}, "at least 1 item"),
        ({"recipients": ["a@b.example\r\nRCPT TO:<eve@evil.example>"]}, "String should match"),
        ({"recipients": ["a@b.example\n"]}, "String should match"),
        ({"recipients": ["a@b.example, eve@evil.example"]}, "String should match"),
        ({"recipients": ["Alice <a@b.example>"]}, "String should match"),
        ({"sender": "gate"}, "String should match"),
        ({"sender": "=?utf-8?q?=0D=0A?=@gate.example"}, "String should match"),
        ({"sender": "gate@ü.example"}, "String should match"),
        ({"timeout": 31}, "less than or equal to 30"),
        ({"verify": False}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_are_not_safe_are_refused(over: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        Options.model_validate({**PLACE, **over})


@pytest.mark.parametrize(
    "over",
    [
        {"tls": "none", "host": "localhost", **LOGIN},
        {"tls": "none", "host": "::1"},
        {"tls": "none", "host": "mail.example", "allow_plaintext": True},
        {"host": "mail.example", **LOGIN},
    ],
)
def test_options_that_are_safe_are_taken(over: dict[str, object]) -> None:
    assert Options.model_validate({**PLACE, **over}).sender == SENDER


def test_it_does_not_ask_dns_for_this_machines_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getfqdn", lambda *_: pytest.fail("it asks"))
    heard: list[bytes] = []
    with raw_server(lambda c, _: heard.extend(talk(c, ends_after(b"250 taken\r\n")))) as port:
        smtp(port, tls="none").emit(notice())
    assert heard[0] == b"ehlo gate.example\r\n"


def test_a_password_is_asked_for_by_its_reference() -> None:
    asked: list[str] = []

    def secret(reference: str) -> Secret:
        asked.append(reference)
        return the_password(reference)

    options = Options.model_validate({**PLACE, "port": 1, "tls": "none", **LOGIN})
    with pytest.raises(SinkUnavailable):
        Smtp(options, clock=FakeClock(), secret=secret).emit(notice())
    assert asked == ["env:MAIL"]
