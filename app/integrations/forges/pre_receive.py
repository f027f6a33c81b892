"""The check that Gogs runs before it accepts a push: fill in the script, install it in a repository, remove it.

Gogs manages `hooks/` of a repository itself, and runs `custom_hooks/pre-receive` from there (reference:
internal/database/repo.go, createDelegateHooks; cmd/gogs/hook.go, runHookPreReceive).
"""

from __future__ import annotations

import os
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import BadRequest, NotAllowed, NotFound
from app.integrations.forges.pre_receive_proof import commits_of_refs

TEMPLATE = (Path(__file__).parent / "pre_receive.sh").read_text(encoding="utf-8")
MARK = "# tidegate pre-receive check"
CURRENT_VERSION = int(re.findall(r"^version=(\d+)$", TEMPLATE, re.MULTILINE)[0])
INSTALL_ANEW = "install it anew: tidegate gogs install-hook REPO_DIR"
TIPS = "tidegate.tips"  # beside the script: the commits that stood when it was installed
SECONDS = range(2, 61)
_DELEGATE = re.compile(rb" hook --config=.* pre-receive")
_PLACE = re.compile(r"@([A-Z_]+)@")
_URL = re.compile(r"https?://[\x21-\x7e]+")
_FORGE = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_MODE = 0o755
_KEPT_PREFIX = "pre-receive.before-tidegate."  # and a number


@dataclass(frozen=True, slots=True)
class Check:
    """The settings of one installed check. `git_diff` are git's arguments for content inspection."""

    url: str
    forge: str
    secret_file: Path
    is_closed: bool
    seconds: int
    inspects: bool
    git_diff: tuple[str, ...]

    def script(self) -> str:
        """Fill in the script, every value quoted; raises BadRequest, which names the wrong value."""
        if not _URL.fullmatch(self.url) or not _FORGE.fullmatch(self.forge):
            raise BadRequest("the URL must begin with http:// or https://, and the forge must have its name in tidegate.toml")
        if self.seconds not in SECONDS:
            raise BadRequest(f"the time limit must be {SECONDS[0]} to {SECONDS[-1]} seconds")
        if not str(self.secret_file).isprintable():
            raise BadRequest("the path of the secret has characters that cannot be printed")
        values = {
            "URL": shlex.quote(self.url.rstrip("/")),
            "FORGE": shlex.quote(self.forge),
            "SECRET_FILE": shlex.quote(str(self.secret_file.absolute())),
            "AWAY": "closed" if self.is_closed else "open",
            "SECONDS": str(self.seconds),
            "INSPECT": "yes" if self.inspects else "no",
            "GIT_DIFF": shlex.join(self.git_diff),
        }
        return _PLACE.sub(lambda place: values[place[1]], TEMPLATE)


@dataclass(frozen=True, slots=True)
class Removal:
    """The result of a removal. `restored`: the script that the check had replaced, if there was one."""

    was_there: bool
    restored: Path | None = None


def install(repository: Path, check: Check, *, force: bool = False) -> Path | None:
    """Write the check into a repository. If it replaces a foreign script, keep that, and return its new path.

    Beside it stand the commits that branches and tags held at the first installation: those never count as new.
    Raises NotFound (not a repository of Gogs), NotAllowed (another script is there, and no `force`) or BadRequest.
    """
    script, place = check.script(), _place(repository)
    foreign = os.path.lexists(place) and not is_ours(place)
    if foreign and not force:
        raise NotAllowed(f"{place} is not a check of Tidegate; --force replaces it, and keeps it under another name")
    owner = repository.stat()
    tips = place.with_name(TIPS)
    commits = None if os.path.lexists(tips) else commits_of_refs(repository)
    try:
        _make_folder(place.parent, owner)
        foreign_script = _keep_foreign(place) if foreign else None
        if commits is not None:
            _write(tips, "".join(f"^{commit}\n" for commit in commits), owner, mode=0o644)
        _write(place, script, owner)
    except OSError as fault:
        raise NotAllowed(f"{place}: cannot be written: {fault.strerror}") from None
    return foreign_script


def remove(repository: Path) -> Removal:
    """Remove the check, and put back the script that it replaced last.

    Raises NotFound, or NotAllowed (the script is not ours).
    """
    place = _place(repository)
    if not os.path.lexists(place):
        return Removal(was_there=False)
    if not is_ours(place):
        raise NotAllowed(f"{place} is not a check of Tidegate, so it is not removed")
    replaced = _kept_scripts(place.parent)
    try:
        if replaced:
            os.replace(replaced[max(replaced)], place)
        else:
            place.unlink()
        place.with_name(TIPS).unlink(missing_ok=True)
    except OSError as fault:
        raise NotAllowed(f"{place}: cannot be removed: {fault.strerror}") from None
    return Removal(was_there=True, restored=replaced[max(replaced)] if replaced else None)


def is_ours(place: Path) -> bool:
    """Tell whether Tidegate wrote this script."""
    try:
        return MARK in place.read_text(encoding="utf-8", errors="replace")[:500]
    except OSError:  # a folder, or a broken link
        return False


def require_repository(repository: Path) -> None:
    """Refuse a folder that is not a repository of Gogs, or whose scripts are elsewhere; raises NotFound or NotAllowed."""
    _place(repository)


def _place(repository: Path) -> Path:
    """Return the script's path in a bare repository that Gogs manages; raises NotFound, or NotAllowed (its folder is a link)."""
    if not all((repository / name).exists() for name in ("HEAD", "objects", "refs")):
        raise NotFound(f"{repository} is not a bare repository (Gogs names them OWNER/NAME.git)")
    delegate = repository / "hooks" / "pre-receive"
    if not delegate.is_file() or not _DELEGATE.search(delegate.read_bytes()[:4096]):
        raise NotFound(f"{repository} is not managed by Gogs: its hooks/pre-receive does not call Gogs")
    folder = repository / "custom_hooks"
    if folder.is_symlink():  # the link's owner would choose where root writes
        raise NotAllowed(f"{folder} is a link, which is not followed")
    return folder / "pre-receive"


def _make_folder(folder: Path, owner: os.stat_result) -> None:
    if not folder.is_dir():
        folder.mkdir(mode=_MODE)
        _give_to(folder, owner)


def _keep_foreign(place: Path) -> Path:
    """Keep a foreign script under a new name; scripts that were kept before stay."""
    beside = place.with_name(f"{_KEPT_PREFIX}{max(_kept_scripts(place.parent), default=0) + 1}")
    os.link(place, beside)
    return beside


def _kept_scripts(folder: Path) -> dict[int, Path]:
    """Find the foreign scripts that were kept, by number."""
    numbered = ((path.name.removeprefix(_KEPT_PREFIX), path) for path in folder.glob(f"{_KEPT_PREFIX}*"))
    return {int(number): path for number, path in numbered if number.isdecimal()}


def _write(place: Path, text: str, owner: os.stat_result, *, mode: int = _MODE) -> None:
    """Put a file in place in one step: at no moment is there half a file, or none."""
    new = place.with_name(f".{place.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fchmod(stream.fileno(), mode)
            os.fsync(stream.fileno())
            _give_to(stream.fileno(), owner)
        os.replace(new, place)
    finally:
        new.unlink(missing_ok=True)


def _give_to(what: Path | int, owner: os.stat_result) -> None:
    """Give a folder or an open file to the repository's owner, the user of Gogs. The target of a link is never given."""
    has = os.stat(what, follow_symlinks=isinstance(what, int))
    if (has.st_uid, has.st_gid) != (owner.st_uid, owner.st_gid):
        os.chown(what, owner.st_uid, owner.st_gid, follow_symlinks=isinstance(what, int))
