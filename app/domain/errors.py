"""Every way in which the gate refuses or cannot go on: one tree, one sentence for each class.

`code` is stable and documented in docs/errors.md; `permanent` means that trying again does not help.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar


class GateError(Exception):
    """The gate could not do what was asked."""

    code: ClassVar[str] = "gate"
    permanent: ClassVar[bool] = True

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class UnknownForge(GateError):
    """No forge of this name is configured."""

    code = "unknown-forge"


class BadSignature(GateError):
    """The signature is missing or does not fit the body."""

    code = "bad-signature"


class WrongSecret(GateError):
    """The webhook secret is not good for this repository."""

    code = "wrong-secret"


class BadDelivery(GateError):
    """The delivery cannot be understood."""

    code = "bad-delivery"


class UnsupportedContent(GateError):
    """The content type is neither JSON nor a form."""

    code = "unsupported-content"


class TooLarge(GateError):
    """The request is too large."""

    code = "too-large"


class TooSlow(GateError):
    """The request took too long to arrive."""

    code = "too-slow"


class Overloaded(GateError):
    """There is no room for this request now."""

    code = "overloaded"
    permanent = False


class RateLimited(GateError):
    """This sender exceeds its rate limit."""

    code = "rate-limited"
    permanent = False

    def __init__(self, message: str | None = None, *, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class BadConfiguration(GateError):
    """The configuration has faults."""

    code = "bad-configuration"

    def __init__(self, faults: list[str]) -> None:
        super().__init__("\n".join(faults))
        self.faults = faults


class NotFound(GateError):
    """There is no such thing."""

    code = "not-found"


class NotAllowed(GateError):
    """This cannot be done in the present state."""

    code = "not-allowed"


class StoreUnavailable(GateError):
    """The database cannot take this now."""

    code = "store-unavailable"
    permanent = False


class RepositoryUnavailable(GateError):
    """The repository cannot be read now."""

    code = "repository-unavailable"
    permanent = False


class RepositorySlow(RepositoryUnavailable):
    """Git took too long, so it was ended."""

    code = "repository-slow"


class ContentTooLarge(GateError):
    """The repository's content exceeds a limit."""

    code = "content-too-large"


class UnsafeContent(GateError):
    """The commit holds a path that cannot be released."""

    code = "unsafe-content"


class RepositoryBusy(RepositoryUnavailable):
    """Other questions about this repository take long."""

    code = "repository-busy"

    def __init__(
        self, message: str | None = None, *, when_free: Callable[[str, Callable[[], None]], None] = lambda _name, call: call()
    ) -> None:
        super().__init__(message)
        self.when_free = when_free  # calls once when there is a turn; the name replaces an earlier call


class UnknownCommit(GateError):
    """The repository does not hold this commit."""

    code = "unknown-commit"


class TargetUnavailable(GateError):
    """The target cannot be reached now, and nothing was started there."""

    code = "target-unavailable"
    permanent = False


class TargetFailed(GateError):
    """The target refused or failed."""

    code = "target-failed"


class StaleDispatch(GateError):
    """The target has already taken a newer dispatch."""

    code = "stale-dispatch"


class SourceUnavailable(GateError):
    """The identity source cannot be read now."""

    code = "source-unavailable"
    permanent = False


class BadToken(GateError):
    """The token is not valid."""

    code = "bad-token"


class IssuerUnavailable(GateError):
    """The issuer's keys cannot be fetched now, so its tokens cannot be checked."""

    code = "issuer-unavailable"
    permanent = False


class BadRequest(GateError):
    """The request cannot be understood."""

    code = "bad-request"


class Forbidden(GateError):
    """The caller may not do this."""

    code = "forbidden"


class BadKey(GateError):
    """This is not a public key that signs commits."""

    code = "bad-key"


class SecretUnavailable(GateError):
    """A referenced secret cannot be read."""

    code = "secret-unavailable"


class SinkUnavailable(GateError):
    """The sink cannot take a notice now."""

    code = "sink-unavailable"
    permanent = False


class SinkRefused(GateError):
    """The sink will never take this notice."""

    code = "sink-refused"


class NoKeyYet(GateError):
    """No genuine signing key is published yet. The first process that mints tokens makes one when it starts."""

    code = "no-key-yet"
    permanent = False


class SealBroken(GateError):
    """A sealed value does not open: wrong master key, or it was altered or moved."""

    code = "seal-broken"
