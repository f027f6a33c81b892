"""Prove that the check will work before it is installed, as the user of Gogs: its secret, its tools, and the gate's answer.

That user is the owner of the repository. If this process may not become that user, it looks by its own rights.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import subprocess
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from app.domain.errors import BadRequest, NotAllowed
from app.domain.text import plain_line
from app.integrations.secrets.protocol import Secret

SHORTEST_SECRET = 16
NO_ASK = "--no-ask installs it all the same"
_SECONDS = 90  # more than the script's own longest limit
_MOST_TOLD = 300
_SECRET = re.compile(rb"[A-Za-z0-9._~+/=-]+")  # the characters of a bearer token (RFC 6750 §2.1), safe in curl's config file
_STATUS = re.compile(r"(\d{3}) (\d+)\Z")
_CURL = {  # curl(1), EXIT CODES
    "5": "the name of a proxy cannot be resolved",
    "6": "its name cannot be resolved: is the host right?",
    "7": "nothing listens there: is the gate up, and the port right?",
    "28": "it does not answer in time: does a firewall drop the packets?",
    "35": "TLS cannot be agreed: does it speak https on this port?",
    "51": "its certificate is for another name: give --url with the name in the certificate",
    "52": "it hangs up without an answer: does it speak https, and --url says http?",
    "58": "the local TLS certificate cannot be used",
    "60": "its certificate is not trusted here: install the authority's certificate on this machine",
    "77": "the trusted certificates of this machine cannot be read: install ca-certificates",
}
_HTTP = {
    "404": "it is no gate of this release: is the URL right? A gate of an earlier release must be updated first",
    "405": "it is no gate: is the URL right?",
    "429": "it has been asked too often with a wrong secret: wait a minute",
}


def check_secret(path: Path, secret: Secret, repository: Path) -> None:
    """Refuse a secret that the check could not send, or that its user there cannot read; raises BadRequest."""
    if not _SECRET.fullmatch(secret.reveal()) or len(secret.reveal()) < SHORTEST_SECRET:
        raise BadRequest(f"{path}: a secret must have {SHORTEST_SECRET} characters or more, of A-Z a-z 0-9 . _ ~ + / = -")
    owner = repository.stat()
    if os.getuid() not in {0, owner.st_uid}:
        return  # we may not ask as that user; the script says it at the first push
    if run_as_owner(repository, ["/bin/sh", "-c", 'test -r "$1"', "sh", str(path.absolute())]).returncode != 0:
        raise BadRequest(
            f"{path}: user {_name_of(owner)} cannot read it; {repository} belongs to this user, and Gogs runs the check so: "
            f"chown {_name_of(owner)} {path}, and chmod a+x its folders"
        )


def prove(repository: Path, script: str, *, url: str, forge: str, env: Mapping[str, str]) -> None:
    """Have the script ask the gate once, as Gogs' user; raises NotAllowed, which says what is wrong and what would mend it."""
    numbers = {"GOGS_AUTH_USER_ID": "1", "GOGS_REPO_ID": "1", **env}
    try:
        done = run_as_owner(repository, ["/bin/sh", "-s", "--", "--prove"], text=script, env=numbers)
    except subprocess.TimeoutExpired:
        raise NotAllowed(f"{url} does not answer in time; nothing was installed; {NO_ASK}") from None
    answer = done.stdout.decode(errors="replace")
    if done.returncode != 0:
        raise NotAllowed(f"nothing was installed: {_told(done.stderr.decode(errors='replace'))}")
    if (why := _objection(answer, url=url, forge=forge)) is not None:
        raise NotAllowed(f"nothing was installed: {why}")


def commits_of_refs(repository: Path) -> list[str]:
    """List the commits that branches and tags hold now; raises NotAllowed."""
    form = "--format=%(objecttype) %(objectname) %(*objecttype) %(*objectname)"
    done = run_as_owner(repository, ["git", "--git-dir=.", "for-each-ref", form, "refs/heads", "refs/tags"])
    if done.returncode != 0:
        raise NotAllowed(f"{repository}: git cannot list its refs: {_told(done.stderr.decode(errors='replace'))}")
    words = done.stdout.decode().split()
    return sorted({sha for kind, sha in pairwise(words) if kind == "commit"})


def run_as_owner(
    repository: Path, command: Sequence[str], *, text: str = "", env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in the repository, as its owner if we may."""
    owner, kept = repository.stat(), {"PATH": os.pathsep.join(os.get_exec_path())}

    def run(
        user: int | None = None, group: int | None = None, groups: list[int] | None = None
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command,
            input=text.encode(),
            capture_output=True,
            timeout=_SECONDS,
            cwd=repository,
            env=kept | dict(env or {}),
            user=user,
            group=group,
            extra_groups=groups,
        )

    if os.getuid() == 0 and owner.st_uid != 0:
        try:
            return run(owner.st_uid, owner.st_gid, os.getgrouplist(_name_of(owner), owner.st_gid))
        except PermissionError:  # this root may not become another user, as in some containers
            pass
    return run()


def _objection(answer: str, *, url: str, forge: str) -> str | None:
    body, _, status = answer.rpartition("\n")
    match = _STATUS.fullmatch(status)
    if match is None or match[2] != "0":
        fault = status.rpartition(" ")[2]
        return f"{url} cannot be asked: {_CURL.get(fault, 'see EXIT CODES of curl(1)')} (curl says {fault}); {NO_ASK}"
    code = match[1]
    if code == "200" and body.split() == ["known", "=end"]:
        return None
    if code.startswith("3"):
        return f"{url} redirects (HTTP {code}), and the secret is sent along to nobody: give the URL that it redirects to"
    if code in {"401", "403"}:
        return f"{url} refuses this secret for the forge {forge!r} (HTTP {code}): {_detail(body)}"
    if code.startswith("5"):
        return f"{url} cannot answer now (HTTP {code}): look at the gate's log; {NO_ASK}"
    return f"{url} answers HTTP {code}: {_HTTP.get(code, 'it does not answer as a gate: is the URL right?')}"


def _detail(body: str) -> str:
    """Return the gate's own sentence, if there is one."""
    try:
        detail = json.loads(body)["detail"]
    except (ValueError, KeyError, TypeError):
        return "something before the gate may have refused it"
    return plain_line(str(detail), _MOST_TOLD)


def _told(text: str) -> str:
    return plain_line(text.replace("tidegate: ", ""), _MOST_TOLD)


def _name_of(owner: os.stat_result) -> str:
    """Return a file owner's name, or the number if the machine knows no name."""
    try:
        return pwd.getpwuid(owner.st_uid).pw_name
    except KeyError:
        return str(owner.st_uid)
