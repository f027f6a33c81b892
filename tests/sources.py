"""What identity sources are made with, in tests."""

from __future__ import annotations

from collections.abc import Callable

from app.domain.clock import Clock
from app.integrations.http import HttpClient
from app.integrations.identity.protocol import Tools
from app.integrations.secrets.protocol import Secret
from app.integrations.system import SystemClock


def never(seconds: float) -> None:
    """Fail where a source would sleep."""
    raise AssertionError(f"it would sleep for {seconds} s")


def tools(
    secret: Callable[[str], Secret],
    *,
    clock: Clock | None = None,
    pause: Callable[[float], None] = never,
    client: HttpClient | None = None,
) -> Tools:
    """Make tools with real HTTP and the real clock where a test says nothing else."""
    return Tools(secret, clock or SystemClock(), pause, client or HttpClient(connect_timeout=5, read_timeout=10))


class RealClock(SystemClock):
    """The real clock, for stand-ins of systems that other processes talk to."""
