"""What the targets' tests deploy and whom they deploy to: orders, tokens, and a web service on 127.0.0.1."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from uuid import uuid4

from app.domain.deployment import Dispatch
from app.integrations.secrets.protocol import Secret
from app.integrations.targets.protocol import Order
from app.integrations.tokens.protocol import Token
from tests.waiting import PATIENCE

SHA = "a" * 40
SIGNING_SECRET = b"whsec_c2lnbmluZy1zZWNyZXQtb2YtdGhlLXRlc3Rz"


def dispatch(name: str = "dispatch-1", *, position: int = 1, fence: int = 1, target: str = "shop") -> Dispatch:
    """Make one start of a deployment on one target."""
    return Dispatch(name, f"deployment-of-{name}", "production", target, position, fence, attempts=1)


def write_index(folder: Path) -> None:
    """Export one file, as a commit with nothing else in it."""
    (folder / "file").write_text("content")


def order(
    of: Dispatch | None = None,
    *,
    sha: str = SHA,
    ref: str = "refs/heads/main",
    is_rollback: bool = False,
    export: Callable[[Path], None] = write_index,
) -> Order:
    """Make an order to bring `sha` to the target."""
    return Order(of or dispatch(), "gogs:acme/shop", ref, sha, is_rollback, export)


def fresh_token() -> Token:
    """Make a token whose value is nowhere else on this machine."""
    return Token(f"tok-{uuid4().hex}", "jti-1")


def the_secret(reference: str) -> Secret:
    """Stand in for the secret store: the signing secret, whatever it is called."""
    return Secret(SIGNING_SECRET)


def no_secret(reference: str) -> Secret:
    """Stand in for the secret store where none is wanted."""
    raise AssertionError(f"{reference} was asked for")


@dataclass(frozen=True, slots=True)
class Request:
    """A request as the service got it; header names in lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[BaseHTTPRequestHandler, Request], None]


def says(status: int, body: bytes = b"", **headers: str) -> Answer:
    """Answer with this and nothing else (`content_type=` stands for `content-type:`)."""

    def answer(handler: BaseHTTPRequestHandler, request: Request) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def hangs_up(handler: BaseHTTPRequestHandler, request: Request) -> None:
    """Close the connection without a word."""
    handler.close_connection = True


@dataclass
class Service:
    """A web service that answers as it is told and remembers what it was asked."""

    answer: Answer = field(default_factory=lambda: says(200))
    requests: list[Request] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def is_silent(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        """Answer nothing for as long as the test lasts."""
        self.closing.wait(2 * PATIENCE)


@contextmanager
def serving() -> Iterator[Service]:
    """Run a service of the test's own until the test is over."""
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(self.command, self.path, headers, body)
            service.requests.append(request)
            try:
                service.answer(self, request)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # the client has heard enough

        do_GET = do_POST = handle_any  # noqa: N815

        def log_message(self, *_: object) -> None:
            """Say nothing: pytest shows what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        service.closing.set()
        server.shutdown()
        server.server_close()
        thread.join()
