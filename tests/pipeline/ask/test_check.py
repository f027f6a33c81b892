"""What the installed check does where the gate does not answer, and what it never shows."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from app.integrations.system import write_private
from tests.integrations.targets.cast import says, serving
from tests.pipeline.ask.cast import SECRET, Hub, Person, configure
from tests.ports import free_port
from tests.waiting import PATIENCE
from tests.web.gate import Gate

Make = Callable[[str], Person]
SHELLS = [path for path in map(shutil.which, ("dash", "bash", "busybox")) if path]


@pytest.mark.parametrize("is_closed", [True, False])
def test_while_the_gate_is_away_pushes_are_refused_or_taken_as_was_chosen(alice: Person, hub: Hub, is_closed: bool) -> None:
    hub.install(is_closed=is_closed, url=f"http://127.0.0.1:{free_port()}")
    alice.commit()
    done = alice.push("main")
    assert (done.returncode != 0) is is_closed
    assert ("set to fail closed" if is_closed else "WARNING") in done.stderr and "does not answer" in done.stderr


@pytest.mark.parametrize("is_closed", [True, False])
def test_a_gate_that_is_silent_holds_a_push_up_no_longer_than_the_limit(alice: Person, hub: Hub, is_closed: bool) -> None:
    with serving() as slow:
        slow.answer = slow.is_silent
        hub.install(is_closed=is_closed, url=slow.url, seconds=2)
        alice.commit()
        began = time.monotonic()
        done = alice.push("main")
        assert time.monotonic() - began < PATIENCE
    assert (done.returncode != 0) is is_closed


@pytest.mark.parametrize("status", [500, 502, 503])
def test_a_gate_that_cannot_decide_does_not_answer(alice: Person, hub: Hub, status: int) -> None:
    with serving() as ill:
        ill.answer = says(status, b"ok\n")
        hub.install(is_closed=False, url=ill.url)
        alice.commit()
        done = alice.push("main")
        assert done.returncode == 0 and "UNCHECKED" in done.stderr and str(status) in done.stderr
        hub.install(url=ill.url)
        alice.commit()
        assert alice.push("main").returncode != 0


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (401, b"ok\n"),
        (404, b"ok\n"),
        (413, b""),
        (429, b""),
        (302, b"ok"),
        (200, b"okay\n"),
        (200, b""),
        (204, b""),
        (200, b"ok\n"),
        (200, b"ok 2\n"),
        (200, b"ok 1 2\n"),
        (200, b"\nok 1\n"),
    ],
)
def test_what_is_no_answer_of_a_gate_refuses_in_both(alice: Person, hub: Hub, status: int, said: bytes) -> None:
    with serving() as other:
        other.answer = says(status, said)
        hub.install(is_closed=False, url=other.url)
        alice.commit()
        done = alice.push("main")
        told = "has not decided about all 1 refs" if status == 200 else "does not take this check's question"
        assert done.returncode != 0 and told in done.stderr


def test_a_wrong_secret_refuses_in_both(alice: Person, hub: Hub, gate: Gate, caplog: pytest.LogCaptureFixture) -> None:
    write_private(hub.secret_file, "another-secret-altogether")
    hub.install(is_closed=False)
    alice.commit()
    done = alice.push("main")
    assert done.returncode != 0 and "HTTP 401" in done.stderr
    write_private(hub.secret_file, SECRET + "2")  # that of another forge of this gate
    assert "HTTP 401" in alice.push("main").stderr
    assert "refused forge gogs, account gogs:71: the secret is not one of this forge's" in caplog.text


@pytest.mark.parametrize("content", ["", "x y", 'a"\nurl = "http://evil', "é" * 20])
def test_a_secret_that_cannot_be_sent_refuses_in_both(alice: Person, hub: Hub, content: str) -> None:
    write_private(hub.secret_file, content)
    hub.install(is_closed=False)
    alice.commit()
    done = alice.push("main")
    assert done.returncode != 0 and "secret cannot be read" in done.stderr


def test_an_older_secret_still_counts_and_one_that_was_removed_does_not(alice: Person, hub: Hub, gate: Gate) -> None:
    write_private(gate.folder / "newer", "a-newer-secret-of-the-day")
    configure(gate, secrets=("newer", "decide"))
    alice.commit()
    assert alice.push("main").returncode == 0
    configure(gate, secrets=("newer",))
    alice.commit()
    assert "HTTP 401" in alice.push("main").stderr


@pytest.mark.parametrize("missing", ["GOGS_AUTH_USER_ID", "GOGS_REPO_ID"])
def test_a_push_of_whom_gogs_says_nothing_is_refused_in_both(alice: Person, hub: Hub, missing: str) -> None:
    """Missing is not late: the gate is there, so even a check that fails open does not take the push."""
    hub.install(is_closed=False)
    alice.commit()
    for value in ("-", "", "x"):
        done = alice.push("main", **{missing: value})
        assert done.returncode != 0 and "has not said who pushes" in done.stderr


def test_a_git_that_takes_too_long_is_not_a_gate_that_is_away(alice: Person, hub: Hub, tmp_path: Path, gate: Gate) -> None:
    slow = tmp_path / "bin"
    slow.mkdir()
    real = shutil.which("git")
    (slow / "git").write_text(f'#!/bin/sh\ncase "$*" in *name-status*) sleep 120 ;; esac\nexec {real} "$@"\n')
    (slow / "git").chmod(0o755)
    hub.install(is_closed=False, seconds=6)
    alice.commit()
    hub.env["PATH"] = f"{slow}:{os.environ['PATH']}"
    delegate = hub.bare / "hooks" / "pre-receive"
    delegate.write_text(delegate.read_text().replace("exec", f"PATH={slow}:$PATH exec"))
    began = time.monotonic()
    done = alice.push("main")
    assert time.monotonic() - began < PATIENCE
    assert done.returncode == 0, done.stderr
    context = gate.audit("push:%")[-1]["detail"]["request"]["request"]["context"]
    assert not context["paths_known"] and context["authors_known"] and not context["forced"]


def test_the_secret_is_in_no_process_list(alice: Person, hub: Hub) -> None:
    seen: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.is_set():
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    seen.append((process / "cmdline").read_bytes())
                except OSError:
                    continue

    with serving() as slow:
        slow.answer = lambda handler, request: time.sleep(2)
        hub.install(url=slow.url, inspects=True, seconds=30)
        alice.commit()
        watcher = threading.Thread(target=watch)
        watcher.start()
        alice.push("main")
        ended.set()
        watcher.join()
        assert [request.headers["authorization"] for request in slow.requests] == [f"Bearer {SECRET}"]
    assert any(b"/api/v1/decide" in line for line in seen)
    assert not [line for line in seen if SECRET.encode() in line]
    assert SECRET not in (hub.bare / "custom_hooks" / "pre-receive").read_text()


@pytest.mark.parametrize("shell", SHELLS)
def test_the_script_runs_in_every_shell_and_leaves_nothing_behind(alice: Person, hub: Hub, tmp_path: Path, shell: str) -> None:
    place = hub.bare / "custom_hooks" / "pre-receive"
    place.write_text(place.read_text().replace("#!/bin/sh", f"#!{shell}{' sh' if shell.endswith('busybox') else ''}", 1))
    folder = tmp_path / "temporary"
    folder.mkdir()
    alice.commit()
    done = alice.push("main", TMPDIR=str(folder))
    assert done.returncode == 0 and "tidegate" not in done.stderr
    assert list(folder.iterdir()) == []


def test_a_shell_without_a_proxy_is_not_led_through_one(alice: Person) -> None:
    alice.commit()
    assert alice.push("main", http_proxy="http://127.0.0.1:1", ALL_PROXY="http://127.0.0.1:1").returncode == 0


def test_the_script_is_accepted_by_the_shells_own_look(hub: Hub) -> None:
    for shell in SHELLS:
        applet = ["sh"] if shell.endswith("busybox") else []
        subprocess.run([shell, *applet, "-n", str(hub.bare / "custom_hooks" / "pre-receive")], check=True)
