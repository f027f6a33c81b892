"""The real clock, ids, randomness, private files and the operating-system user: the only place that reads or makes them."""

from __future__ import annotations

import os
import pwd
import secrets
import tempfile
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

from app.domain.event import Account


class SystemClock:
    """The wall clock of this machine (protocol: domain.clock.Clock)."""

    def now(self) -> datetime:
        """Return the current time, in UTC with its zone set."""
        return datetime.now(UTC)


class SystemIds:
    """Time-ordered UUIDs (version 7, RFC 9562 §5.7) that grow within a process (§6.2 method 1; protocol: clock.Ids)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def new(self) -> str:
        """Return a new UUID as text."""
        with self._lock:
            # 48 bits of milliseconds and 12 of a counter; never goes back, even if the clock does
            self._last = max(self._last + 1, time.time_ns() // 1_000_000 << 12)
            stamp = self._last
        value = (stamp >> 12) << 80 | 0x7 << 76 | (stamp & 0xFFF) << 64 | 0b10 << 62 | secrets.randbits(62)
        text = f"{value:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def pause(seconds: float) -> None:
    """Sleep."""
    time.sleep(seconds)


def random_bytes(count: int) -> bytes:
    """Return `count` random bytes fit for keys."""
    return secrets.token_bytes(count)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read (mode 0600), completely or not at all. Make its folder (0700) if needed."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, fresh = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # made with mode 0600
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(fresh, path)
    except BaseException:
        Path(fresh).unlink(missing_ok=True)
        raise


def operator() -> Account:
    """Return the account that runs this command: the operating-system user, which people.toml links as `os:NAME`."""
    name = pwd.getpwuid(os.getuid()).pw_name
    return Account("os", name, name)
