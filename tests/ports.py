"""Ports for the servers that tests start. Each is handed out once.

A port that the system chose and took back (a `bind` to port 0) may be taken again before the server binds it: by another
process of tests, or by any outgoing connection. So these ports lie below those of outgoing connections (on Linux 32768 and
up). Each process of tests holds a block of them: it listens on the first one of the block as long as it lives.
"""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator

FIRST, SIZE, BLOCKS = 10_000, 100, 225
STACK = ("WEB", "FLOWER", "POSTGRES", "REDIS")

_lock = threading.Lock()
_blocks: dict[int, Iterator[int]] = {}  # by process: a fork takes blocks of its own
_claims: list[socket.socket] = []


def free_port() -> int:
    """Return a port that nobody listens on, and that nobody else is given."""
    with _lock:
        ports = _blocks.setdefault(os.getpid(), _ports())
        return next(port for port in ports if _is_free(port))


def stack_ports() -> dict[str, str]:
    """Return the settings that give a whole stack ports of its own."""
    return {f"TIDEGATE_{name}_PORT": str(free_port()) for name in STACK}


def _ports() -> Iterator[int]:
    for step in range(BLOCKS):
        first = FIRST + (os.getpid() + step) % BLOCKS * SIZE
        if _is_claimed(first):
            yield from range(first + 1, first + SIZE)
    raise RuntimeError("every block of ports is taken: does a run of the tests hang?")


def _is_claimed(first: int) -> bool:
    """Tell whether the block that begins here is ours from now on."""
    claim = socket.socket()
    try:
        claim.bind(("127.0.0.1", first))
        claim.listen()
    except OSError:
        claim.close()
        return False
    _claims.append(claim)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
        return True
