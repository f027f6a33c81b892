"""`file:/path`: a secret in a file that only its owner and group may read."""

from __future__ import annotations

import codecs
import os
import stat
from pathlib import Path

from app.domain.errors import SecretUnavailable
from app.integrations.secrets.protocol import Secret

LARGEST = 64 * 1024
_REMEDY = (
    "chmod 600 it; a mounted one has the mode of the mount: defaultMode 0400 of the volume in Kubernetes (0440 with fsGroup),"
    " mode 0400 of the secret in Swarm and compose"
)


class FileSecrets:
    """Secrets in files, read again each time, so that a changed file is a changed secret (protocol: SecretStore)."""

    def get(self, reference: str) -> Secret:
        """Return the file's content without line ends after it and a byte order mark before it; raises SecretUnavailable."""
        path = Path(reference)
        try:
            with path.open("rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)  # of the opened file, which may have been replaced since
                value = file.read(LARGEST + 1)
        except OSError as fault:
            raise SecretUnavailable(f"the secret file {path} cannot be read: {fault.strerror}") from None
        except ValueError:  # a NUL in the path
            raise SecretUnavailable("the path of the secret file is not a path") from None
        if mode & stat.S_IRWXO:
            raise SecretUnavailable(f"the secret file {path} is open to everybody (mode {mode:04o}): {_REMEDY}")
        if len(value) > LARGEST:
            raise SecretUnavailable(f"the secret file {path} is larger than {LARGEST} bytes")
        return Secret(_plain(path, value))


def _plain(path: Path, value: bytes) -> bytes:
    """Take off what editors and mounts add; raises SecretUnavailable for what may be a part of the secret or a slip."""
    if value.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise SecretUnavailable(f"the secret file {path} is UTF-16: save it as UTF-8 or ASCII")
    plain = value.removeprefix(codecs.BOM_UTF8).rstrip(b"\r\n")
    if not plain:
        raise SecretUnavailable(f"the secret file {path} is empty")
    if plain != plain.strip():
        raise SecretUnavailable(
            f"the secret in the file {path} begins or ends with a blank or another white space: take it off,"
            " or give the secret as env:NAME if it belongs to it"
        )
    return plain
