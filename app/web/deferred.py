"""A response that is not there yet: the view has done its part, and something else is still on its way.

Under a plain WSGI server the thread waits for it. `front.py` waits for it without a thread: it puts `DEFER` into the
environ and is handed the response instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

DEFER = "tidegate.defer"


class Deferred(Response):
    """Stands for the response that `settle` makes once `awaited` is done."""

    def __init__(self, awaited: Future[Any], settle: Callable[[Future[Any]], Response]) -> None:
        super().__init__()
        self.awaited = awaited
        self._settle = settle

    def settled(self) -> Response:
        """Make the real response; waits where `awaited` is not done yet."""
        return self._settle(self.awaited)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Hand itself to whoever asked for that, or wait."""
        defer = environ.get(DEFER)
        if defer is None:
            return self.settled()(environ, start_response)
        defer(self)
        return ()
