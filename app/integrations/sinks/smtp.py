"""Send notices by mail (SMTP, RFC 5321). The connection and its limits of time and size: `smtp_connection.py`."""

from __future__ import annotations

import base64
import re
import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import EmailMessage
from email.policy import SMTP
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.domain.clock import Clock
from app.domain.errors import GateError, SecretUnavailable, SinkRefused, SinkUnavailable
from app.domain.notice import ALSO_TO, ONLY_PERSON, Notice
from app.domain.text import plain_line
from app.integrations.secrets.protocol import Secret
from app.integrations.sinks.protocol import LONGEST_TIMEOUT
from app.integrations.sinks.smtp_connection import MailServer, connect

PORTS = {"starttls": 587, "implicit": 465, "none": 25}
LONGEST_DETAIL = 200
POLICY = SMTP.clone(cte_type="7bit")  # then 8BITMIME is not needed

# A dot-atom at a host (RFC 5322 §3.4.1), in ASCII: no character that could end a header or a command. `?` is left out, so that
# no address is an encoded word: see `_header`.
_ADDRESS = re.compile(r"[A-Za-z0-9.!#$%&'*+/=^_`{|}~-]{1,64}@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*")
Address = Annotated[str, Field(pattern=f"^{_ADDRESS.pattern}$", max_length=254)]


class Options(BaseModel):
    """A mail sink's own keys."""

    model_config = ConfigDict(extra="forbid")
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]+$", max_length=253)]
    port: int | None = Field(None, gt=0, lt=65536)
    tls: Literal["starttls", "implicit", "none"] = "starttls"
    allow_plaintext: bool = False
    ca_file: Path | None = None
    username: Annotated[str, Field(pattern=r"^[\x21-\x7e]+$")] | None = None
    password: Annotated[str, Field(pattern=r"^(env|file):.+$")] | None = None
    sender: Address
    recipients: list[Address] = Field(min_length=1, max_length=50)
    timeout: float = Field(20.0, gt=0, le=LONGEST_TIMEOUT)

    @model_validator(mode="after")
    def _is_safe(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        if self.tls != "none" or _is_loopback(self.host):
            return self
        if self.password is not None:
            raise ValueError('a password may go to another machine only under TLS: tls = "starttls" or "implicit"')
        if not self.allow_plaintext:
            raise ValueError('tls = "none" to another machine needs allow_plaintext = true: anyone on the network could read it')
        return self


class Smtp:
    """A mail server that takes mail for the recipients (protocol: Sink)."""

    def __init__(self, options: Options, *, clock: Clock, secret: Callable[[str], Secret]) -> None:
        self._options = options
        self._secret = secret

    def emit(self, notice: Notice) -> None:
        """Send one mail to all recipients, and to the person whom the notice is about; raises SinkUnavailable or SinkRefused."""
        options = self._options
        recipients = _recipients(notice, options.recipients)
        message = _message(notice, options.sender, recipients).as_bytes()
        password = self._password()
        hidden = _password_spellings(options.username or "", password)
        with _one_error(hidden), connect(self._place()) as server:
            if options.username is not None:
                server.login(options.username, password)
            left_out = server.sendmail(options.sender, recipients, message)
            with suppress(smtplib.SMTPException, OSError):
                server.quit()  # the mail is sent, whatever comes now
        if left_out:  # no second try: the others would get it twice
            raise SinkRefused(f"sent, but not to all: {_refusals(left_out, hidden)}")

    def _place(self) -> MailServer:
        options = self._options
        return MailServer(
            host=options.host,
            port=options.port or PORTS[options.tls],
            tls=options.tls,
            ca_file=options.ca_file,
            # smtplib would ask DNS for this machine's name, however long that takes
            we_are=_domain(options.sender),
            seconds=options.timeout,
        )

    def _password(self) -> str:
        if self._options.password is None:
            return ""
        try:
            return self._secret(self._options.password).reveal().decode("ascii")
        except SecretUnavailable as fault:
            raise SinkUnavailable(str(fault)) from None
        except UnicodeDecodeError:
            raise SinkUnavailable("the password is not ASCII, and SMTP takes no other") from None


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _recipients(notice: Notice, configured: list[str]) -> list[str]:
    """List the recipients. Addresses of a person come from identity sources, so only plain ones are written to."""
    person = [address for address in notice.detail.get(ALSO_TO, ()) if _ADDRESS.fullmatch(address)]
    others = [] if notice.detail.get(ONLY_PERSON) and person else configured
    return list(dict.fromkeys([*others, *person]))


def _message(notice: Notice, sender: str, recipients: list[str]) -> EmailMessage:
    """Make the mail. A repeat has the same Message-ID (RFC 5322 §3.6.4), by which servers and mail readers drop it."""
    message = EmailMessage(POLICY)
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Subject"] = _header(notice.subject)
    message["Date"] = notice.at
    message["Message-ID"] = f"<{notice.id}@{_domain(sender)}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no holiday answers
    message["X-Tidegate-Event"] = _header(notice.event)
    message.set_content(notice.text)
    return message


def _header(text: str) -> str:
    """Make text safe for a header: one line, without encoded words (RFC 2047).

    EmailMessage decodes encoded words. Some versions then write the line ends in them as they are (CVE-2024-6923).
    """
    return plain_line(text).replace("=?", "= ?")


def _domain(address: str) -> str:
    return address.rpartition("@")[2]


@contextmanager
def _one_error(hidden: tuple[str, ...]) -> Iterator[None]:
    """Turn smtplib's errors into the sink's two, without the texts in `hidden`."""
    try:
        yield
    except smtplib.SMTPAuthenticationError as fault:
        raise SinkUnavailable(f"the server does not accept the username or the password ({fault.smtp_code})") from None
    except smtplib.SMTPRecipientsRefused as fault:
        codes = [code for code, _ in fault.recipients.values()]
        raise _as_error(max(codes) if min(codes) >= 500 else min(codes), _refusals(fault.recipients, hidden)) from None
    except (smtplib.SMTPSenderRefused, smtplib.SMTPDataError) as fault:
        raise _as_error(fault.smtp_code, _masked_answer(fault.smtp_code, fault.smtp_error, hidden)) from None
    except smtplib.SMTPResponseException as fault:
        raise SinkUnavailable(_masked_answer(fault.smtp_code, fault.smtp_error, hidden)) from None
    except ssl.SSLCertVerificationError as fault:
        raise SinkUnavailable(f"its certificate is not trusted: {plain_line(fault.verify_message, LONGEST_DETAIL)}") from None
    except smtplib.SMTPNotSupportedError:
        raise SinkUnavailable("the server does not offer what the configuration needs: STARTTLS, AUTH or both") from None
    except smtplib.SMTPServerDisconnected:
        raise SinkUnavailable("the server hung up, or took too long to answer") from None
    except (smtplib.SMTPException, ValueError) as fault:  # for example, a challenge that is not base64
        raise SinkUnavailable(f"the server cannot be understood ({type(fault).__name__})") from None
    except OSError as fault:
        raise SinkUnavailable(f"no connection ({type(fault).__name__})") from None


def _as_error(code: int, text: str) -> GateError:
    """Return the error by the server's code: 5yz is permanent, 4yz is temporary (RFC 5321 §4.2.1)."""
    return SinkRefused(text) if code >= 500 else SinkUnavailable(text)


def _masked_answer(code: int, answer: bytes | str, hidden: tuple[str, ...]) -> str:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    for secret in hidden:
        text = text.replace(secret, "***")
    return plain_line(f"{code} {text}", LONGEST_DETAIL)


def _refusals(refused: dict[str, tuple[int, bytes]], hidden: tuple[str, ...]) -> str:
    return "; ".join(f"{address}: {_masked_answer(code, text, hidden)}" for address, (code, text) in refused.items())


def _password_spellings(username: str, password: str) -> tuple[str, ...]:
    """List the spellings of the password on the wire (RFC 4616, AUTH LOGIN), in case a server repeats one."""
    if not password:
        return ()
    plain = (f"\0{username}\0{password}", password)
    return (password, *(base64.b64encode(text.encode()).decode() for text in plain))
