"""Okta's management API over HTTP: pages by opaque links, rate limits, retries. `source.py` reads with it.

Pagination and errors: https://developer.okta.com/docs/reference/core-okta-api. Rate limits:
https://developer.okta.com/docs/reference/rl-best-practices: `X-Rate-Limit-Reset` is in seconds since 1970, UTC.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode

import orjson

from app.domain.clock import Clock
from app.domain.errors import GateError, SecretUnavailable, SourceUnavailable
from app.integrations.http import HttpAnswer, HttpClient, NotSent, Unanswered
from app.integrations.secrets.protocol import Secret

PAGE_SIZE = 200  # "the maximum value for limit is 200 for most orgs"
LARGEST_PAGE = 8 * 1024 * 1024
MOST_PAGES = 5000  # a million people
ATTEMPTS = 5
LONGEST_PAUSE = 120.0  # Okta counts by the minute
_LINK = re.compile(r"<([^<>]*)>([^<]*)")
_NEXT = re.compile(r';\s*rel\s*=\s*"?next"?\s*(?:[;,]|$)')
_URL = re.compile(r"[!#-;=?-\[\]_a-z~]{1,4000}")  # the part of RFC 3986 that Okta's links need
_COUNT = re.compile(r"[0-9]{1,12}")
_TOKEN = re.compile(r"[!-~]{1,500}")
_ERROR_CODE = re.compile(r"E[0-9]{7}")

Expected = Mapping[int, type[GateError]]


@dataclass(frozen=True, slots=True)
class _Later:
    """A reason to ask again later, and the seconds to wait before that."""

    seconds: float
    why: str


class OktaApi:
    """Reads from one org. Every method raises SourceUnavailable. Error texts hold neither the token nor a body."""

    def __init__(
        self,
        url: str,
        *,
        token: Callable[[], Secret],
        clock: Clock,
        pause: Callable[[float], None],
        client: HttpClient,
    ) -> None:
        """Read below `url`, which has no path and no slash at its end."""
        self._root = f"{url}/api/v1/"
        self._token = token
        self._clock = clock
        self._pause = pause
        self._client = client
        self._not_before: datetime | None = None

    def one(self, path: str, *, expected: Expected | None = None) -> Any:
        """Return the JSON at `path`; raises the error that `expected` names for the status."""
        return _json(self._get(self._root + path, expected or {}))

    def pages(
        self, path: str, query: Mapping[str, str] | None = None, *, expected: Expected | None = None
    ) -> Iterator[list[Any]]:
        """Yield page after page of the collection at `path`; raises the error that `expected` names for the status."""
        url = f"{self._root}{path}?{urlencode({'limit': str(PAGE_SIZE), **(query or {})})}"
        seen: set[str] = set()
        while url:
            if url in seen or len(seen) == MOST_PAGES:
                raise SourceUnavailable("Okta's pages form a loop" if url in seen else f"Okta has over {MOST_PAGES} pages")
            seen.add(url)
            answer = self._get(url, expected or {})
            items = _json(answer)
            if not isinstance(items, list):
                raise SourceUnavailable("Okta's answer is not a list")
            yield items
            url = self._next(answer)

    def _next(self, answer: HttpAnswer) -> str:
        """Return the next page's address, or nothing. It is opaque, but must be of the same origin: the token goes there."""
        for url, parameters in _LINK.findall(answer.headers.get("link", "")):
            if _NEXT.search(parameters):
                # compared as text up to the path, so that two URL parsers cannot differ about the host
                if not url.startswith(self._root) or not _URL.fullmatch(url):
                    raise SourceUnavailable("Okta's next page is not at Okta's address")
                return str(url)
        return ""

    def _get(self, url: str, expected: Expected) -> HttpAnswer:
        later = _Later(self._seconds_due(), "it asked for a pause")  # if the last answer said that no request remains
        for attempt in range(ATTEMPTS):
            self._wait(later)
            answer = self._ask(url, 2.0**attempt)
            if isinstance(answer, HttpAnswer):
                return _check_status(answer, expected)
            later = answer
        raise SourceUnavailable(f"Okta cannot be read: {later.why}, {ATTEMPTS} times")

    def _ask(self, url: str, patience: float) -> HttpAnswer | _Later:
        try:
            answer = self._client.get(url, headers=self._headers(), limit=LARGEST_PAGE)
        except (NotSent, Unanswered) as fault:
            return _Later(patience, f"no answer ({fault})")
        pause = self._until_reset(answer)
        if answer.status == 429:
            return _Later(patience if pause is None else max(pause, 1.0), "HTTP 429")
        if answer.status >= 500:
            return _Later(patience, f"HTTP {answer.status}")
        if pause is not None and answer.headers.get("x-rate-limit-remaining") == "0":
            self._not_before = self._clock.now() + timedelta(seconds=pause)
        return answer

    def _headers(self) -> dict[str, str]:
        try:
            token = self._token().reveal().decode("latin-1")
        except SecretUnavailable as fault:
            raise SourceUnavailable(str(fault)) from None
        if not _TOKEN.fullmatch(token):
            raise SourceUnavailable("Okta's API token cannot be sent in a header")
        return {"accept": "application/json", "authorization": f"SSWS {token}"}

    def _seconds_due(self) -> float:
        """Return the seconds until the next request is allowed; more than 0 if the last answer said that none remains."""
        if self._not_before is None:
            return 0.0
        return max(0.0, (self._not_before - self._clock.now()).total_seconds())

    def _wait(self, later: _Later) -> None:
        if later.seconds > LONGEST_PAUSE:
            raise SourceUnavailable(f"Okta cannot be read: {later.why}; it may be asked again in {later.seconds:.0f} s")
        if later.seconds > 0:
            self._pause(later.seconds)

    def _until_reset(self, answer: HttpAnswer) -> float | None:
        """Return the seconds to wait until the answer's reset, by Okta's own clock (`Date`), since ours may differ."""
        retry_after = answer.headers.get("retry-after", "")
        if _COUNT.fullmatch(retry_after):
            return float(retry_after)
        reset = answer.headers.get("x-rate-limit-reset", "")
        if not _COUNT.fullmatch(reset):
            return None
        return max(0.0, int(reset) - self._date(answer).timestamp())

    def _date(self, answer: HttpAnswer) -> datetime:
        try:
            return parsedate_to_datetime(answer.headers.get("date", ""))
        except ValueError:
            return self._clock.now()


def _check_status(answer: HttpAnswer, expected: Expected) -> HttpAnswer:
    if answer.status == 200:
        return answer
    code = _error_code(answer.body)
    status = f"HTTP {answer.status} {code}".strip()
    if answer.status in expected:
        raise expected[answer.status](f"Okta answered {status}")
    if answer.status in (401, 403):
        raise SourceUnavailable(f"Okta refuses the token ({status})")
    raise SourceUnavailable(f"Okta cannot be read: {status}")


def _error_code(body: bytes) -> str:
    """Return Okta's own number of the error, and nothing else of the body."""
    try:
        error = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    code = error.get("errorCode") if isinstance(error, dict) else None
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else ""


def _json(answer: HttpAnswer) -> Any:
    if not answer.is_whole:
        raise SourceUnavailable(f"Okta answered more than {LARGEST_PAGE} bytes at once")
    try:
        return orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        raise SourceUnavailable("Okta's answer is not JSON") from None
