"""Deliveries on local disk while the database is away: one file each, durable before the forge gets its answer.

A file is synced, then renamed into place, so it is whole or not there. Its name is the delivery's time-ordered id, so the
folder's order is the order of receipt. All receivers of a machine share the folder; one at a time empties it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import orjson

from app.domain.delivery import Delivery, DeliveryState
from app.domain.errors import StoreUnavailable
from app.store.deliveries import event_as_json, event_from_json

SUFFIX = ".delivery"
REFUSED = "refused"
MEASURED_EVERY = 1.0
GROUP_BYTES = 16 * 1024 * 1024
_TEXTS = ("id", "forge", "forge_delivery_id", "event_header", "reason", "state", "received_at")


class Spool:
    """A bounded folder of deliveries. Thread-safe, and safe for several processes at once."""

    def __init__(self, folder: Path, limit: int) -> None:
        """Use `folder` for at most about `limit` bytes. It is made on first need."""
        self._folder = folder
        self._limit = limit
        self._bytes = 0
        self._measured_at = -MEASURED_EVERY

    @property
    def bytes(self) -> int:
        """The size of the spool, as far as this process knows; measured again at most every second."""
        if time.monotonic() - self._measured_at >= MEASURED_EVERY:
            self._bytes = sum(size for _, size in self._files())
            self._measured_at = time.monotonic()
        return self._bytes

    @property
    def is_empty(self) -> bool:
        """Tell whether the folder holds no delivery now; a folder that cannot be read counts as empty."""
        try:
            return next(self._files(), None) is None
        except OSError:
            return True

    def put(self, delivery: Delivery) -> None:
        """Store a delivery; on return it survives a power cut. Raises StoreUnavailable if it cannot be stored."""
        content = _as_bytes(delivery)
        fresh = self._folder / f"{delivery.id}.new"
        try:
            if self.bytes + len(content) > self._limit:
                raise StoreUnavailable("the database is away and the spool is full")
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _write(fresh, content)
            os.replace(fresh, self._folder / f"{delivery.id}{SUFFIX}")
            _sync_folder(self._folder)
        except OSError as fault:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            raise StoreUnavailable(f"the database is away and the spool cannot be written ({type(fault).__name__})") from fault
        self._bytes += len(content)

    def oldest(self, most: int) -> list[Path]:
        """List the files of the oldest deliveries: at most `most`, and at most 16 MiB together, but always one."""
        files: list[Path] = []
        size = 0
        for name, length in sorted(self._files())[:most]:
            size += length
            if files and size > GROUP_BYTES:
                break
            files.append(self._folder / name)
        return files

    def read(self, path: Path) -> Delivery:
        """Read a delivery back; raises ValueError if the file does not hold one."""
        head, _, body = path.read_bytes().partition(b"\n")
        try:
            fields = orjson.loads(head)
            return Delivery(
                **{name: fields[name] for name in _TEXTS if name not in ("state", "received_at")},
                body=body,
                event=event_from_json(fields["event"]),
                state=DeliveryState(fields["state"]),
                received_at=datetime.fromisoformat(fields["received_at"]),
            )
        except (KeyError, TypeError) as fault:
            raise ValueError(f"{path.name} does not hold a delivery") from fault

    def remove(self, paths: list[Path]) -> None:
        """Delete deliveries that the database has now. A crash leaves only duplicates, which the database drops."""
        for path in paths:
            path.unlink(missing_ok=True)
        self._measured_at = -MEASURED_EVERY

    def refuse(self, path: Path) -> Path:
        """Set aside a file that the database will never accept, for a person to look at; return its new path."""
        aside = self._folder / REFUSED / path.name
        aside.parent.mkdir(mode=0o700, exist_ok=True)
        os.replace(path, aside)
        return aside

    @contextmanager
    def emptying(self) -> Iterator[bool]:
        """Tell whether this process alone may empty the spool until the block ends; the lock goes with the process."""
        with (self._folder / "lock").open("a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_alone = True
            except BlockingIOError:
                is_alone = False
            yield is_alone

    def _files(self) -> Iterator[tuple[str, int]]:
        try:
            with os.scandir(self._folder) as entries:
                for entry in entries:
                    if entry.name.endswith(SUFFIX):
                        with contextlib.suppress(FileNotFoundError):  # another process has just removed it
                            yield entry.name, entry.stat().st_size
        except FileNotFoundError:
            return


def _as_bytes(delivery: Delivery) -> bytes:
    """Spell a delivery as a line of JSON and the exact bytes of its body."""
    fields = {name: getattr(delivery, name) for name in _TEXTS}
    return orjson.dumps(fields | {"event": event_as_json(delivery.event)}) + b"\n" + delivery.body


def _write(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
