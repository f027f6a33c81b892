"""What the sinks' tests send and whom to: a notice, a mail server with a certificate of its own, and servers that misbehave."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from app.domain.notice import Notice
from app.integrations.secrets.protocol import Secret
from tests.ports import free_port

USERNAME, PASSWORD = "tidegate", "pass-7f3a9c-word"
SENDER = "gate@gate.example"
RECIPIENTS = ["ops@shop.example", "alice@shop.example"]
AT = datetime(2026, 11, 25, 6, 30, tzinfo=UTC)
ID = "019abc00-1111-7222-8333-444444aaaaaa"


def notice(**over: object) -> Notice:
    """Make a notice that a deployment is held."""
    values: dict[str, object] = {
        "id": ID,
        "at": AT,
        "event": "deployment:held",
        "subject": "production waits for an approval: acme/shop",
        "text": "alice brought 1a2b3c4 of acme/shop to production.\nIt waits for one approval of “operators”.",
        "detail": {"environment": "production", "needs": 1, "groups": ["operators"]},
    }
    return Notice(**{**values, **over})  # type: ignore[arg-type]


def the_password(reference: str) -> Secret:
    """Stand in for the secret store."""
    return Secret(PASSWORD.encode())


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate that is its own authority."""

    file: Path
    context: ssl.SSLContext


def certificate(folder: Path, *, name: str = "localhost", days: int = 1) -> Certificate:
    """Make a certificate for `name` and 127.0.0.1 (not for the latter where the name is another's)."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names: list[x509.GeneralName] = [x509.DNSName(name)]
    if name == "localhost":
        names.append(x509.IPAddress(ip_address("127.0.0.1")))
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=10))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file, private = folder / f"{name}.{days}.pem", folder / f"{name}.{days}.key"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    pkcs8, pem = serialization.PrivateFormat.PKCS8, serialization.Encoding.PEM
    private.write_bytes(key.private_bytes(pem, pkcs8, serialization.NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file, private)
    return Certificate(file, context)


@dataclass
class Mailbox:
    """What a mail server took, and what it says: `answers` by verb (`RCPT ops@…` for one recipient), else 250."""

    port: int = 0
    answers: dict[str, str] = field(default_factory=dict)
    raw: list[bytes] = field(default_factory=list)
    envelopes: list[tuple[str | None, list[str]]] = field(default_factory=list)
    was_tls: list[bool] = field(default_factory=list)
    users: list[object] = field(default_factory=list)

    @property
    def mails(self) -> list[EmailMessage]:
        """Read what was taken."""
        found = [message_from_bytes(each, policy=default) for each in self.raw]
        return [each for each in found if isinstance(each, EmailMessage)]

    async def handle_MAIL(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        envelope.mail_from = address
        return self.answers.get("MAIL", "250 ok")

    async def handle_RCPT(  # noqa: N802
        self, server: Any, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        said = self.answers.get(f"RCPT {address}", self.answers.get("RCPT", "250 ok"))
        if said.startswith("250"):
            envelope.rcpt_tos.append(address)
        return said

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: N802
        said = self.answers.get("DATA", "250 ok")
        if said.startswith("250"):
            assert isinstance(envelope.content, bytes)
            self.raw.append(envelope.content)
            self.envelopes.append((envelope.mail_from, list(envelope.rcpt_tos)))
            self.was_tls.append(session.ssl is not None)
            self.users.append(session.auth_data)
        return said


@contextmanager
def mail_server(tls: str, context: ssl.SSLContext | None = None, *, wants_login: bool = False) -> Iterator[Mailbox]:
    """Run a real mail server (aiosmtpd) until the test is over."""
    mailbox = Mailbox(port=free_port())

    def is_known(server: Any, session: Session, envelope: Envelope, mechanism: str, given: Any) -> AuthResult:
        assert isinstance(given, LoginPassword)
        good = (given.login, given.password) == (USERNAME.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=good, auth_data=given.login.decode())

    controller = Controller(
        mailbox,
        hostname="127.0.0.1",
        port=mailbox.port,
        ssl_context=context if tls == "implicit" else None,
        tls_context=context if tls == "starttls" else None,
        require_starttls=tls == "starttls",
        authenticator=is_known,
        auth_required=wants_login,
        auth_require_tls=tls == "starttls",
    )
    controller.start()
    try:
        yield mailbox
    finally:
        controller.stop()


Talk = Callable[[socket.socket, threading.Event], None]


@contextmanager
def raw_server(talk: Talk) -> Iterator[int]:
    """Run a server that does with each connection what it is told; gives its port."""
    closing = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)

    def serve_one(connection: socket.socket) -> None:
        with connection:
            connection.settimeout(20)
            try:
                talk(connection, closing)
            except OSError:
                return  # the client has heard enough

    def serve() -> None:
        while not closing.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        closing.set()
        thread.join()
        listener.close()


def silent(connection: socket.socket, closing: threading.Event) -> None:
    """Say nothing."""
    closing.wait(20)
