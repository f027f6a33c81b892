"""Nothing that is empty, missing, cut off, late or full lets a push through: the real script, with parts of it broken."""

from __future__ import annotations

import os
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.integrations.targets.cast import Request, serving
from tests.pipeline.ask.cast import ACCOUNTS, POLICIES, REPOSITORY_ID, Hub, Person, configure
from tests.pipeline.ask.test_check import SHELLS
from tests.web.gate import Gate

TOOLS = ["awk", "curl", "git", "head", "mktemp", "sed"]
OTHERS = ["cat", "rm", "sleep", "timeout", "true", "mkdir"]


def ask(hub: Hub, given: str, *, shell: str = "/bin/sh", before: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    """Run the installed script as Gogs does, without a push. `before` is a command that the shell runs first."""
    told = {"GOGS_AUTH_USER_ID": str(ACCOUNTS["alice"]), "GOGS_AUTH_USER_NAME": "alice", "GOGS_REPO_ID": str(REPOSITORY_ID)}
    told |= {"GOGS_REPO_OWNER_NAME": "acme", "GOGS_REPO_NAME": "shop", "PATH": os.environ["PATH"], "GIT_DIR": "."}
    script = str(hub.bare / "custom_hooks" / "pre-receive")
    applet = "sh " if shell.endswith("busybox") else ""
    command = f'{before}\nexec "$0" {applet}"$1"'
    return subprocess.run(
        ["/bin/bash", "-c", command, shell, script],
        cwd=hub.bare,
        env=told | env,
        input=given,
        capture_output=True,
        text=True,
        timeout=120,
    )


def line(hub: Hub, old: str, new: str) -> str:
    return f"{old} {new} refs/heads/main\n"


@pytest.fixture
def push(alice: Person, hub: Hub) -> str:
    """The line that git writes for a push that the policies allow; its commits are in the repository."""
    old = alice.git("rev-parse", "HEAD")
    new = alice.commit("more", "1\n")
    subprocess.run(["git", "-C", str(hub.bare), "fetch", "-q", str(alice.clone), f"{new}:refs/keep/1"], check=True)
    return line(hub, old, new)


@pytest.mark.parametrize("shell", SHELLS)
def test_the_question_is_asked_and_answered_in_every_shell(hub: Hub, push: str, shell: str, gate: Gate) -> None:
    done = ask(hub, push, shell=shell)
    assert (done.returncode, done.stderr) == (0, "")
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert context["paths"] == ["more"] and context["paths_known"] and context["authors_known"] and not context["forced"]


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("given", ["nothing", "no end", "half", "two words"])
def test_invariant_14_a_list_of_refs_that_is_empty_or_cut_off_is_refused(
    hub: Hub, push: str, gate: Gate, given: str, shell: str
) -> None:
    hub.install(is_closed=False)
    asked = len(gate.audit("push:%"))
    cut = {"nothing": "", "no end": push[:-1], "half": push + push[:30], "two words": " ".join(push.split()[:2]) + "\n"}
    done = ask(hub, cut[given], shell=shell)
    assert done.returncode == 1 and ("ends early" in done.stderr or "has named" in done.stderr), done.stderr
    assert len(gate.audit("push:%")) == asked


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("is_closed", [True, False])
def test_invariant_14_a_full_disk_takes_no_push(hub: Hub, push: str, gate: Gate, shell: str, is_closed: bool) -> None:
    """A limit of no byte a file (RLIMIT_FSIZE) is what a full disk, or a spent quota, is to each that writes."""
    hub.install(is_closed=is_closed)
    configure(gate, policies='@id("no") forbid (principal, action == Action::"push", resource);')
    done = ask(hub, push, shell=shell, before="ulimit -f 0; trap '' XFSZ")
    assert done.returncode == 1 and "there is no room" in done.stderr
    assert ask(hub, push, shell=shell, before="ulimit -f 0").returncode != 0


@pytest.mark.parametrize("folder", ["missing", "a file", "closed"])
@pytest.mark.parametrize("is_closed", [True, False])
def test_without_a_temporary_folder_no_push_is_taken(hub: Hub, push: str, tmp_path: Path, folder: str, is_closed: bool) -> None:
    if folder == "closed" and os.getuid() == 0:
        pytest.skip("root writes everywhere")
    hub.install(is_closed=is_closed)
    place = tmp_path / "temporary"
    if folder == "a file":
        place.write_text("")
    elif folder == "closed":
        place.mkdir(mode=0o500)
    done = ask(hub, push, TMPDIR=str(place))
    assert done.returncode == 1 and f"no room for the check in {place}" in done.stderr


def tools(folder: Path, *without: str, **instead: str) -> str:
    """Make a folder with the script's tools, for PATH. `instead` are scripts that take the place of some."""
    folder.mkdir()
    for tool in {*TOOLS, *OTHERS} - {*without, *instead}:
        (folder / tool).symlink_to(str(shutil.which(tool)))
    for tool, body in instead.items():
        (folder / tool).write_text(f"#!/bin/sh\n{body}\n")
        (folder / tool).chmod(0o755)
    return str(folder)


@pytest.mark.parametrize("missing", TOOLS)
def test_a_missing_tool_is_named_and_takes_no_push(hub: Hub, push: str, tmp_path: Path, missing: str) -> None:
    hub.install(is_closed=False)
    done = ask(hub, push, PATH=tools(tmp_path / "bin", missing))
    assert done.returncode == 1 and f"{missing} is missing" in done.stderr


@pytest.mark.parametrize("missing", OTHERS)
def test_what_is_only_for_comfort_may_be_missing(hub: Hub, push: str, tmp_path: Path, missing: str) -> None:
    done = ask(hub, push, PATH=tools(tmp_path / "bin", missing), TMPDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr


DIES = "kill -KILL $$"
HALF = 'real=$(PATH={path} command -v {tool}); "$real" "$@" | PATH={path} head -c 30'


@pytest.mark.parametrize("tool", ["awk", "head", "git"])
@pytest.mark.parametrize("how", ["dies", "says nothing", "says half"])
def test_what_a_broken_tool_leaves_out_is_unknown(
    alice: Person, hub: Hub, push: str, gate: Gate, tmp_path: Path, tool: str, how: str
) -> None:
    """Lists that a helper left empty, or cut off, tell so by themselves: policies that ask for them deny."""
    body = {"dies": DIES, "says nothing": "exit 0", "says half": HALF.format(path=os.environ["PATH"], tool=tool)}[how]
    configure(
        gate,
        policies=POLICIES + '@id("whole") forbid (principal, action == Action::"push", resource)'
        " when { !context.paths_known || !context.authors_known };",
    )
    done = ask(hub, push, PATH=tools(tmp_path / "bin", **{tool: body}))
    assert done.returncode == 1, done.stderr
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert not context["paths_known"]


@pytest.mark.parametrize("how", ["dies", "says nothing", "cuts the refs"])
def test_a_broken_curl_takes_no_push(hub: Hub, push: str, gate: Gate, tmp_path: Path, how: str) -> None:
    """The number of refs that git named is held against the number that the gate decided on."""
    hub.install(is_closed=False)
    real = shutil.which("curl")
    cuts = f'''for each; do shift
      case $each in updates=*) each=$(printf '%s' "$each" | PATH={os.environ["PATH"]} head -n 1) ;; esac
      set -- "$@" "$each"; done; exec {real} "$@"'''
    body = {"dies": DIES, "says nothing": "exit 0", "cuts the refs": cuts}[how]
    given = push + push.replace("refs/heads/main", "refs/heads/other")
    assert ask(hub, given).returncode == 0
    done = ask(hub, given, PATH=tools(tmp_path / "bin", curl=body))
    assert done.returncode == 1, done.stderr
    if how == "cuts the refs":
        assert "has not decided about all 2 refs" in done.stderr and len(gate.audit("push:%")) == 4


def test_invariant_14_a_gate_that_hangs_up_in_the_middle_has_not_answered(hub: Hub, push: str) -> None:
    def half(handler: BaseHTTPRequestHandler, request: Request) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "100")
        handler.end_headers()
        handler.wfile.write(b"ok 1\n")
        handler.close_connection = True

    with serving() as gate:
        gate.answer = half
        hub.install(url=gate.url)
        done = ask(hub, push)
    assert done.returncode == 1 and "does not answer (curl says 18)" in done.stderr and "()" not in done.stderr


@pytest.mark.long
@pytest.mark.parametrize("kilobytes", [4, 8, 12, 20, 64])
def test_a_real_full_file_system_takes_no_push_that_is_forbidden(
    hub: Hub, push: str, gate: Gate, tmp_path: Path, kilobytes: int
) -> None:
    hub.install(is_closed=False, inspects=True)
    configure(gate, policies='@id("no") forbid (principal, action == Action::"push", resource);')
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tidegate", str(place)], check=True)
    try:
        for fill in range(0, kilobytes * 1024 + 4096, 2048):
            (place / "fill").unlink(missing_ok=True)
            subprocess.run(["head", "-c", str(fill), "/dev/zero"], stdout=(place / "fill").open("wb"), check=False, stderr=-3)
            assert ask(hub, push, TMPDIR=str(place)).returncode == 1
    finally:
        subprocess.run(["umount", str(place)], check=True)
