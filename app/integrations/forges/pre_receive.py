"""The check that Gogs runs before it takes a push: fill in the script, put it into a repository, take it away.

Gogs keeps `hooks/` of a repository for itself and runs `custom_hooks/pre-receive` from there (reference:
internal/database/repo.go, createDelegateHooks; cmd/gogs/hook.go, runHookPreReceive).
"""

from __future__ import annotations

import os
import pwd
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import BadRequest, NotAllowed, NotFound
from app.integrations.secrets.protocol import Secret

TEMPLATE = (Path(__file__).parent / "pre_receive.sh").read_text(encoding="utf-8")
MARK = "# tidegate pre-receive check"
SHORTEST_SECRET = 16
SECONDS = range(2, 61)
_DELEGATE = re.compile(rb" hook --config=.* pre-receive")
_PLACE = re.compile(r"@([A-Z_]+)@")
_URL = re.compile(r"https?://[\x21-\x7e]+")
_FORGE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_SECRET = re.compile(rb"[A-Za-z0-9._~+/=-]+")  # what a bearer token is made of (RFC 6750 §2.1), and safe in curl's own file
_MODE = 0o755
_KEPT = "pre-receive.before-tidegate."  # and a number


@dataclass(frozen=True, slots=True)
class Check:
    """What one installed check does. `git_log` are git's arguments for content inspection."""

    url: str
    forge: str
    secret_file: Path
    is_closed: bool
    seconds: int
    inspects: bool
    git_log: tuple[str, ...]

    def script(self) -> str:
        """Fill in the script, every value quoted; raises BadRequest that says which value does not fit."""
        if not _URL.fullmatch(self.url) or not _FORGE.fullmatch(self.forge):
            raise BadRequest("the URL must begin with http:// or https://, and the forge be named as in tidegate.toml")
        if self.seconds not in SECONDS:
            raise BadRequest(f"the time limit must be {SECONDS[0]} to {SECONDS[-1]} seconds")
        if not str(self.secret_file).isprintable():
            raise BadRequest("the path of the secret holds what cannot be printed")
        values = {
            "URL": shlex.quote(self.url.rstrip("/")),
            "FORGE": shlex.quote(self.forge),
            "SECRET_FILE": shlex.quote(str(self.secret_file.absolute())),
            "AWAY": "closed" if self.is_closed else "open",
            "SECONDS": str(self.seconds),
            "INSPECT": "yes" if self.inspects else "no",
            "GIT_LOG": shlex.join(self.git_log),
        }
        return _PLACE.sub(lambda place: values[place[1]], TEMPLATE)


@dataclass(frozen=True, slots=True)
class Removal:
    """What became of a check. `restored`: the script that it had replaced, where there was one."""

    was_there: bool
    restored: Path | None = None


def check_secret(path: Path, secret: Secret, repository: Path) -> None:
    """Refuse a secret that the check could not send, or that whoever runs it there cannot read; raises BadRequest or NotFound."""
    if not _SECRET.fullmatch(secret.reveal()) or len(secret.reveal()) < SHORTEST_SECRET:
        raise BadRequest(f"{path}: a secret has {SHORTEST_SECRET} characters or more, of A-Z a-z 0-9 . _ ~ + / = -")
    _place(repository)
    owner = repository.stat()
    if not _can_read(owner, path):
        raise BadRequest(
            f"{path}: user {_name_of(owner)}, to whom {repository} belongs and as whom Gogs runs the check, cannot read it"
        )


def install(repository: Path, check: Check, *, force: bool = False) -> Path | None:
    """Write the check into a repository; return where the script of somebody else is kept that it replaces.

    Raises NotFound (no repository of Gogs), NotAllowed (another script is there, and no `force`) or BadRequest.
    """
    script, place = check.script(), _place(repository)
    foreign = os.path.lexists(place) and not is_ours(place)
    if foreign and not force:
        raise NotAllowed(f"{place} is not a check of Tidegate; --force replaces it and keeps it beside")
    owner = repository.stat()
    try:
        _make_folder(place.parent, owner)
        kept = _keep(place) if foreign else None
        _write(place, script, owner)
    except OSError as fault:
        raise NotAllowed(f"{place}: cannot be written: {fault.strerror}") from None
    return kept


def remove(repository: Path) -> Removal:
    """Take the check away, and put back the script that it replaced last.

    Raises NotFound, or NotAllowed (the script is not ours).
    """
    place = _place(repository)
    if not os.path.lexists(place):
        return Removal(was_there=False)
    if not is_ours(place):
        raise NotAllowed(f"{place} is not a check of Tidegate, and stays")
    kept = _kept(place.parent)
    try:
        if kept:
            os.replace(kept[max(kept)], place)
        else:
            place.unlink()
    except OSError as fault:
        raise NotAllowed(f"{place}: cannot be removed: {fault.strerror}") from None
    return Removal(was_there=True, restored=kept[max(kept)] if kept else None)


def is_ours(place: Path) -> bool:
    """Tell whether we have written a script."""
    try:
        return MARK in place.read_text(encoding="utf-8", errors="replace")[:500]
    except OSError:  # a folder, a link that leads nowhere
        return False


def _place(repository: Path) -> Path:
    """Name the script of a bare repository that Gogs looks after; raises NotFound, or NotAllowed (its folder is a link)."""
    if not all((repository / name).exists() for name in ("HEAD", "objects", "refs")):
        raise NotFound(f"{repository} is not a bare repository (Gogs has them as OWNER/NAME.git)")
    delegate = repository / "hooks" / "pre-receive"
    if not delegate.is_file() or not _DELEGATE.search(delegate.read_bytes()[:4096]):
        raise NotFound(f"{repository} is not looked after by Gogs: its hooks/pre-receive does not call it")
    folder = repository / "custom_hooks"
    if folder.is_symlink():  # its owner would choose where root writes
        raise NotAllowed(f"{folder} is a link, and is not followed")
    return folder / "pre-receive"


def _make_folder(folder: Path, owner: os.stat_result) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=_MODE)
        _give(folder, owner)


def _keep(place: Path) -> Path:
    """Keep a foreign script beside, over nothing that was kept before."""
    beside = place.with_name(f"{_KEPT}{max(_kept(place.parent), default=0) + 1}")
    os.link(place, beside)
    return beside


def _kept(folder: Path) -> dict[int, Path]:
    """Find the scripts that were kept beside, by number."""
    found = ((path.name.removeprefix(_KEPT), path) for path in folder.glob(f"{_KEPT}*"))
    return {int(number): path for number, path in found if number.isdecimal()}


def _can_read(owner: os.stat_result, path: Path) -> bool:
    """Tell whether a file's owner can read another file, folders on the way included; true where we may not ask."""
    if os.getuid() != 0:
        return owner.st_uid != os.getuid() or os.access(path, os.R_OK)
    asked = ["/bin/sh", "-c", 'test -r "$1"', "sh", str(path.absolute())]
    groups = os.getgrouplist(_name_of(owner), owner.st_gid)
    try:
        done = subprocess.run(asked, user=owner.st_uid, group=owner.st_gid, extra_groups=groups, check=False)
    except OSError:  # a root that may not become others, as in some containers
        return True
    return done.returncode == 0


def _name_of(owner: os.stat_result) -> str:
    """Name a file's owner, by number where the machine knows no name."""
    try:
        return pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        return str(owner.st_uid)


def _write(place: Path, script: str, owner: os.stat_result) -> None:
    """Put the script in place whole: at no moment is there half of one, or none."""
    new = place.with_name(f".pre-receive.{os.getpid()}")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, _MODE)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(script)
            stream.flush()
            os.fchmod(stream.fileno(), _MODE)
            os.fsync(stream.fileno())
            _give(stream.fileno(), owner)
        os.replace(new, place)
    finally:
        new.unlink(missing_ok=True)


def _give(what: Path | int, owner: os.stat_result) -> None:
    """Give a folder, or an open file, to the repository's owner, as whom Gogs runs it; never what a link there leads to."""
    has = os.stat(what, follow_symlinks=isinstance(what, int))
    if (has.st_uid, has.st_gid) != (owner.st_uid, owner.st_gid):
        os.chown(what, owner.st_uid, owner.st_gid, follow_symlinks=isinstance(what, int))
