"""An answer that is not ready yet: the view has ended, and the answer still waits for a future.

Under a plain WSGI server the thread waits for it. `front.py` waits without a thread: it puts `DEFER` into the environ,
and gets the deferred answer instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any, NamedTuple

from flask import Response
from werkzeug.datastructures import Headers

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DEFER = "tidegate.defer"
_NEVER_SENT = Headers({"Content-Type": "text/plain"})  # without one, werkzeug takes long to make one


class PlainAnswer(NamedTuple):
    """An answer as it is sent; a werkzeug response costs ten times as much to make (docs/performance.md)."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    @classmethod
    def of(cls, response: Response) -> PlainAnswer:
        """Copy a response."""
        return cls(response.status_code, list(response.headers), response.get_data())

    def response(self) -> Response:
        """Return it as a response of Flask."""
        return Response(self.body, self.status, Headers(self.headers))


class Deferred(Response):
    """Stands for the answer that `answer_by` makes once `awaited` is done."""

    def __init__(self, awaited: Future[Any], answer_by: Callable[[Future[Any]], PlainAnswer]) -> None:
        super().__init__(headers=_NEVER_SENT)
        self.awaited = awaited
        self._answer_by = answer_by

    def settle(self) -> PlainAnswer:
        """Make the answer; waits if `awaited` is not done yet."""
        return self._answer_by(self.awaited)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand itself to the front if it asked for that with `DEFER`; else wait."""
        defer = environ.get(DEFER)
        if defer is None:
            return self.settle().response()(environ, start_response)
        defer(self)
        return ()
