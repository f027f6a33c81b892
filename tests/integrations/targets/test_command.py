"""A command as target: real processes, looked at through /proc, and killed at bad moments."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from app.domain.deployment import Dispatch, Progress
from app.domain.errors import StaleDispatch, TargetFailed, UnknownCommit
from app.integrations.targets.command import Command, Options
from app.integrations.targets.protocol import Report
from app.integrations.tokens.protocol import Token
from tests.fakes import FakeClock
from tests.integrations.targets.cast import dispatch, fresh_token, no_secret, order
from tests.waiting import PATIENCE, until

LIMIT = 1024
# says who it is, then goes on until it is let go
LINGER = f"""
import os, pathlib, sys, time
with open(sys.argv[1] + "/runs", "a") as runs:
    runs.write(f"{{os.getpid()}} {{os.getppid()}}\\n")
until = time.monotonic() + {PATIENCE}
while not pathlib.Path(sys.argv[1], "go").exists() and time.monotonic() < until:
    time.sleep(0.01)
print("let go")
"""


def python(code: str, *arguments: str) -> list[str]:
    """Spell a small Python program as an argument list."""
    return [sys.executable, "-I", "-S", "-c", code, *arguments]


def command(state: Path, argv: list[str], **options: object) -> Command:
    chosen = Options.model_validate({"argv": argv, **options})
    return Command("shop", chosen, state_dir=state, clock=FakeClock(), secret=no_secret)


def ended(target: Command, of: Dispatch | None = None) -> Report:
    """Wait for the end of a dispatch."""
    of = of or dispatch()
    until(lambda: target.poll(of).progress not in (Progress.RUNNING, Progress.UNKNOWN))
    return target.poll(of)


def run(state: Path, argv: list[str], token: Token | None = None, **options: object) -> Report:
    """Start a command and wait for its end."""
    target = command(state, argv, **options)
    target.start(order(), token or fresh_token())
    return ended(target)


def output(state: Path) -> bytes:
    return (state / "shop" / "dispatch-1" / "output").read_bytes()


def is_alive(pid: int) -> bool:
    """Tell whether a process still runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def processes() -> Iterator[tuple[int, bytes]]:
    """List every process with its arguments and its environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                yield int(folder.name), (folder / "cmdline").read_bytes() + b"\0" + (folder / "environ").read_bytes()
            except OSError:
                continue  # it has just ended, or is not ours


def runners(state: Path) -> list[int]:
    """Find the runners that work below `state`."""
    return [pid for pid, said in processes() if b"command_runner\0" + str(state).encode() in said]


class Linger:
    """A command that goes on until it is let go, and counts how often it was run."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.argv = python(LINGER, str(folder))

    def runs(self) -> list[tuple[int, int]]:
        """List (its process, its runner) for every run that has begun."""
        path = self._folder / "runs"
        lines = path.read_text().splitlines() if path.exists() else []
        return [(int(line.split()[0]), int(line.split()[1])) for line in lines]

    def let_go(self) -> None:
        (self._folder / "go").touch()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def linger(tmp_path: Path) -> Iterator[Linger]:
    made = Linger(tmp_path)
    yield made
    made.let_go()
    until(lambda: not any(is_alive(pid) for pid, _ in made.runs()))


def test_a_command_that_ends_well_succeeds_with_its_last_line(state: Path) -> None:
    report = run(state, ["/bin/sh", "-c", "echo first; echo last >&2"])
    assert report == Report(Progress.SUCCEEDED, "last")
    assert output(state) == b"first\nlast\n"


def test_arguments_arrive_as_they_are_since_there_is_no_shell(state: Path, tmp_path: Path) -> None:
    odd = ["; touch x", "$(touch x)", "`touch x`", "*", "$HOME", "a b", "", "'\"", "--", "line\nbreak", "ü"]
    code = "import json, sys; print(json.dumps(sys.argv[1:]))"
    run(state, python(code, *odd), cwd=tmp_path)
    assert json.loads(output(state)) == odd
    assert not list(tmp_path.rglob("x"))


def test_the_environment_is_the_facts_and_what_was_configured(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "postgres://user:password@db/")
    env = {"SHOP": "eu", "LANG": "C", "TIDEGATE_SHA": "a lie"}
    target = command(state, ["/usr/bin/env", "-0"], env=env, cwd=tmp_path)
    target.start(order(dispatch("dispatch-1", target="shop-eu"), ref="refs/tags/v1", is_rollback=True), fresh_token())
    ended(target)
    pairs = output(state).decode().rstrip("\0").split("\0")
    assert dict(pair.split("=", 1) for pair in pairs) == {
        "PATH": os.defpath,
        "LANG": "C",
        "SHOP": "eu",
        "TIDEGATE_DISPATCH_ID": "dispatch-1",
        "TIDEGATE_DEPLOYMENT_ID": "deployment-of-dispatch-1",
        "TIDEGATE_ENVIRONMENT": "production",
        "TIDEGATE_TARGET": "shop-eu",
        "TIDEGATE_REPOSITORY": "gogs:acme/shop",
        "TIDEGATE_REF": "refs/tags/v1",
        "TIDEGATE_SHA": "a" * 40,
        "TIDEGATE_IS_ROLLBACK": "true",
    }


def test_the_runner_does_not_inherit_the_workers_environment(
    state: Path, linger: Linger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIDEGATE_DATABASE_URL", "postgres://user:password@db/")
    command(state, linger.argv).start(order(), fresh_token())
    until(linger.runs)
    for pid in linger.runs()[0]:
        assert b"password" not in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_configured_folder_is_the_working_directory_and_stays(state: Path, tmp_path: Path) -> None:
    report = run(state, ["/bin/pwd"], cwd=tmp_path)
    assert report.detail == str(tmp_path)
    until(lambda: not runners(state))
    assert tmp_path.is_dir()


def test_without_one_the_commits_files_are_the_working_directory_and_go_afterwards(state: Path) -> None:
    report = run(state, ["/bin/sh", "-c", "cat file; echo; pwd"])
    assert output(state).startswith(b"content\n")
    assert report.detail.startswith(str(state))
    until(lambda: not Path(report.detail).exists())


def test_a_commit_that_cannot_be_exported_fails_before_the_command_runs(state: Path, linger: Linger) -> None:
    def fails(folder: Path) -> None:
        raise UnknownCommit

    target = command(state, linger.argv)
    with pytest.raises(TargetFailed, match="could not be exported"):
        target.start(order(export=fails), fresh_token())
    assert target.poll(dispatch()).progress is Progress.UNKNOWN
    assert linger.runs() == []


def test_the_token_comes_on_standard_input_with_a_line_end(state: Path) -> None:
    token = fresh_token()
    code = "import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())"
    report = run(state, python(code), token)
    assert report.detail == hashlib.sha256(token.reveal().encode() + b"\n").hexdigest()


def test_a_command_that_does_not_read_its_token_may_succeed(state: Path) -> None:
    assert run(state, ["/bin/sh", "-c", "exec <&-; echo fine"]) == Report(Progress.SUCCEEDED, "fine")


def test_the_token_is_in_no_argument_no_environment_and_no_file(state: Path, tmp_path: Path, linger: Linger) -> None:
    token = fresh_token()
    secret = token.reveal().encode()

    def files_with_it() -> list[Path]:
        return [entry for entry in tmp_path.rglob("*") if entry.is_file() and secret in entry.read_bytes()]

    target = command(state, linger.argv)
    target.start(order(), token)
    until(linger.runs)
    seen = dict(processes())
    assert set(linger.runs()[0]) <= set(seen)
    assert [pid for pid, said in seen.items() if secret in said] == []
    assert files_with_it() == []
    linger.let_go()
    ended(target)
    until(lambda: not runners(state))
    assert files_with_it() == []


@pytest.mark.parametrize("code", [0, 3])
def test_a_command_that_prints_its_token_prints_stars(state: Path, tmp_path: Path, code: int) -> None:
    token = fresh_token()
    report = run(state, ["/bin/sh", "-c", f'read t; echo "a $t $t"; echo "b $t"; exit {code}'], token)
    assert output(state) == b"a *** ***\nb ***\n"
    assert report.detail.endswith("b ***")
    files = [entry for entry in tmp_path.rglob("*") if entry.is_file()]
    assert not any(token.reveal().encode() in entry.read_bytes() for entry in files)


@pytest.mark.parametrize(
    "said",
    [f"t + '.' * ({LIMIT} - len(t) + 1)", f"t * {LIMIT}", f"'.' * {LIMIT} + t + '.' * (2 * {LIMIT} - len(t) + 1)"],
    ids=["at the limit", "all over", "at twice the limit"],
)
def test_a_token_that_is_cut_by_the_bound_does_not_show_its_rest(state: Path, said: str) -> None:
    token = fresh_token()
    code = f"import sys; t = sys.stdin.readline().strip(); sys.stdout.write({said})"
    assert run(state, python(code), token, output_limit=LIMIT).progress is Progress.SUCCEEDED
    kept = output(state).decode()
    assert 0 < len(kept) <= LIMIT
    assert token.reveal()[-8:] not in kept


def test_output_is_kept_up_to_its_bound_and_from_its_end(state: Path) -> None:
    code = "for n in range(200000): print(n)"
    report = run(state, python(code), output_limit=LIMIT)
    assert report == Report(Progress.SUCCEEDED, "199999")
    kept = output(state)
    assert len(kept) == LIMIT
    assert kept.endswith(b"199998\n199999\n")


def test_a_flood_of_output_does_not_grow_the_runner(state: Path, linger: Linger) -> None:
    flood = "import sys\nfor _ in range(2048): sys.stdout.write('x' * 65535 + chr(10))\nsys.stdout.flush()\n"
    target = command(state, [*linger.argv[:4], flood + LINGER, *linger.argv[5:]], output_limit=LIMIT)
    target.start(order(), fresh_token())
    until(linger.runs)
    facts = Path(f"/proc/{linger.runs()[0][1]}/status").read_text().splitlines()
    (peak,) = [int(fact.split()[1]) for fact in facts if fact.startswith("VmHWM:")]
    assert 0 < peak < 64 * 1024  # kB, of 128 MiB that were said
    linger.let_go()
    assert ended(target) == Report(Progress.SUCCEEDED, "let go")


def test_a_long_last_line_is_cut_in_the_detail(state: Path) -> None:
    report = run(state, python("print('x' * 5000)"))
    assert report == Report(Progress.SUCCEEDED, "x" * 500)


def test_output_that_is_no_text_does_no_harm(state: Path) -> None:
    report = run(state, python(r"import sys; sys.stdout.buffer.write(b'\xff\x00\n\xfe!\n')"))
    assert report == Report(Progress.SUCCEEDED, "\ufffd!")


def test_what_a_command_leaves_is_for_its_owner_only(state: Path) -> None:
    run(state, ["/bin/echo", "private"])
    assert stat.S_IMODE((state / "shop" / "dispatch-1").stat().st_mode) == 0o700
    assert stat.S_IMODE((state / "shop" / "dispatch-1" / "output").stat().st_mode) == 0o600


@pytest.mark.parametrize("code", [1, 3, 255])
def test_a_command_that_ends_badly_fails_with_its_last_line(state: Path, code: int) -> None:
    report = run(state, ["/bin/sh", "-c", f"echo first; echo 'no space left' >&2; exit {code}"])
    assert report == Report(Progress.FAILED, f"exit {code}: no space left")


def test_a_command_that_dies_by_a_signal_fails(state: Path) -> None:
    assert run(state, ["/bin/sh", "-c", "echo last; kill -9 $$"]) == Report(Progress.FAILED, "exit -9: last")


def test_a_command_that_is_not_there_fails_and_is_named(state: Path) -> None:
    report = run(state, ["/no/such/program"])
    assert report == Report(Progress.FAILED, "exit 127: /no/such/program: No such file or directory")


def test_the_time_limit_ends_the_command_and_all_its_children(state: Path, tmp_path: Path) -> None:
    script = 'sleep 60 & echo "$$ $!" > pids.new; mv pids.new pids; wait'
    report = run(state, ["/bin/sh", "-c", script], cwd=tmp_path, timeout=3.0)
    assert report == Report(Progress.FAILED, "exit 124: ended after 3 s")
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    until(lambda: not any(is_alive(pid) for pid in pids))


def test_a_background_process_that_holds_the_output_does_not_hold_up_the_end(state: Path, tmp_path: Path) -> None:
    script = "sleep 60 & echo $! > pid; echo done"
    try:
        assert run(state, ["/bin/sh", "-c", script], cwd=tmp_path, timeout=50.0) == Report(Progress.SUCCEEDED, "done")
        assert is_alive(int((tmp_path / "pid").read_text()))
    finally:
        os.kill(int((tmp_path / "pid").read_text()), signal.SIGKILL)


def test_a_command_under_way_is_running_and_start_does_not_wait_for_it(state: Path, linger: Linger) -> None:
    target = command(state, linger.argv)
    assert target.poll(dispatch()).progress is Progress.UNKNOWN
    assert target.start(order(), fresh_token()).progress is Progress.RUNNING
    assert target.poll(dispatch()).progress is Progress.RUNNING
    assert target.poll(dispatch("another")).progress is Progress.UNKNOWN
    linger.let_go()
    assert ended(target) == Report(Progress.SUCCEEDED, "let go")


def test_a_second_start_joins_the_run_that_is_under_way_or_has_ended(state: Path, linger: Linger) -> None:
    command(state, linger.argv).start(order(), fresh_token())
    until(linger.runs)
    again = command(state, linger.argv)
    assert again.start(order(dispatch(fence=2)), fresh_token()).progress is Progress.RUNNING
    linger.let_go()
    done = ended(again)
    assert again.start(order(dispatch(fence=3)), fresh_token()) == done
    until(lambda: not runners(state))
    assert len(linger.runs()) == 1


def test_many_starts_of_one_dispatch_at_once_run_the_command_once(state: Path, linger: Linger) -> None:
    barrier = threading.Barrier(4)
    reports: list[Progress] = []

    def start(fence: int) -> None:
        barrier.wait()
        reports.append(command(state, linger.argv).start(order(dispatch(fence=fence)), fresh_token()).progress)

    threads = [threading.Thread(target=start, args=(fence,)) for fence in range(1, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert reports == [Progress.RUNNING] * 4
    linger.let_go()
    assert ended(command(state, linger.argv)) == Report(Progress.SUCCEEDED, "let go")
    until(lambda: not runners(state))
    assert len(linger.runs()) == 1


def test_a_command_that_begins_while_one_looks_has_not_died(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The runner takes its lock and begins just after it was seen to be free."""
    (state / "shop" / dispatch().id).mkdir(parents=True)
    looked: list[Path] = []

    def look(lock: Path) -> bool:
        looked.append(lock)
        (lock.parent / "begun").touch()
        return False

    monkeypatch.setattr("app.integrations.targets.command._is_locked", look)
    target = command(state, ["true"])
    assert target.poll(dispatch()).progress is Progress.UNKNOWN
    assert looked and target.poll(dispatch()).progress is Progress.FAILED


def test_different_dispatches_run_side_by_side(state: Path, linger: Linger) -> None:
    target = command(state, linger.argv)
    for position in (1, 2):
        target.start(order(dispatch(f"d-{position}", position=position)), fresh_token())
    until(lambda: len(linger.runs()) == 2)
    linger.let_go()
    assert [ended(target, dispatch(f"d-{n}")).progress for n in (1, 2)] == [Progress.SUCCEEDED] * 2


def test_an_older_position_of_another_environment_runs(state: Path, linger: Linger) -> None:
    """Environments that share a command have each their own order; only within one is older too late."""
    target = command(state, linger.argv)
    target.start(order(dispatch("newer", position=10)), fresh_token())
    other = replace(dispatch("older", position=9), environment="staging")
    assert command(state, linger.argv).start(order(other), fresh_token()).progress is not Progress.UNKNOWN
    linger.let_go()
    assert [ended(target, each).progress for each in (dispatch("newer"), other)] == [Progress.SUCCEEDED] * 2


def test_an_older_position_is_refused_and_does_not_run(state: Path, linger: Linger) -> None:
    run(state, ["/bin/true"])
    target = command(state, ["/bin/true"])
    target.start(order(dispatch("newer", position=10)), fresh_token())
    with pytest.raises(StaleDispatch):
        command(state, linger.argv).start(order(dispatch("older", position=9)), fresh_token())
    assert target.poll(dispatch("older")).progress is Progress.UNKNOWN
    assert linger.runs() == []
    assert not runners(state / "shop" / "older")


def start_and_die(state: Path, argv: list[str]) -> None:
    """Be the worker that is killed, with all of its process group, right after it has started the command."""
    os.setsid()
    command(state, argv).start(order(), fresh_token())
    os.killpg(os.getpgrp(), signal.SIGKILL)


def test_a_command_goes_on_when_its_worker_is_killed_and_a_poll_finds_its_end(state: Path, linger: Linger) -> None:
    worker = multiprocessing.get_context("spawn").Process(target=start_and_die, args=(state, linger.argv))
    worker.start()
    worker.join()
    assert worker.exitcode == -signal.SIGKILL
    target = command(state, linger.argv)
    assert target.poll(dispatch()).progress is Progress.RUNNING
    linger.let_go()
    assert ended(target) == Report(Progress.SUCCEEDED, "let go")
    assert len(linger.runs()) == 1


def test_a_killed_runner_is_a_failure_whose_extent_is_unknown_and_is_not_repeated(state: Path, linger: Linger) -> None:
    target = command(state, linger.argv)
    target.start(order(), fresh_token())
    until(linger.runs)
    os.kill(linger.runs()[0][1], signal.SIGKILL)
    report = ended(target)
    assert report.progress is Progress.FAILED
    assert "how far the command got is unknown" in report.detail
    assert target.start(order(dispatch(fence=2)), fresh_token()) == report
    assert not runners(state)
    assert len(linger.runs()) == 1


def test_a_runner_that_died_before_the_command_began_leaves_the_dispatch_to_be_started(state: Path) -> None:
    folder = state / "shop" / "dispatch-1"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    target = command(state, ["/bin/echo", "now"])
    assert target.poll(dispatch()).progress is Progress.UNKNOWN
    target.start(order(), fresh_token())
    assert ended(target) == Report(Progress.SUCCEEDED, "now")


def test_polls_at_once_do_not_take_each_other_for_a_runner(state: Path) -> None:
    folder = state / "shop" / "dispatch-1"
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    barrier = threading.Barrier(4)
    said: set[Progress] = set()

    def poll() -> None:
        target = command(state, ["/bin/true"])
        barrier.wait()
        for _ in range(1000):
            said.add(target.poll(dispatch()).progress)

    threads = [threading.Thread(target=poll) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == {Progress.UNKNOWN}


def in_the_way_is_the_state(state: Path) -> None:
    state.write_text("in the way")


def in_the_way_is_the_target(state: Path) -> None:
    state.mkdir()
    (state / "shop").write_text("in the way")


def in_the_way_is_the_dispatch(state: Path) -> None:
    (state / "shop").mkdir(parents=True)
    (state / "shop" / "dispatch-1").write_text("in the way")


@pytest.mark.parametrize("obstacle", [in_the_way_is_the_state, in_the_way_is_the_target, in_the_way_is_the_dispatch])
def test_a_file_in_place_of_a_folder_is_a_clear_failure(state: Path, obstacle: Callable[[Path], None]) -> None:
    obstacle(state)
    with pytest.raises(TargetFailed, match=r"File exists|Not a directory"):
        command(state, ["/bin/true"]).start(order(), fresh_token())
