"""The supervisor, with real processes: what dies comes back, and when it stops, all of its own is gone."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

import app.stack.supervisor
from app.domain.errors import GateError
from app.stack.supervisor import Supervisor, arguments, read_procfile
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SLEEP = "import time; time.sleep(600)"
STUBBORN = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); {SLEEP}"
PARENT = "import subprocess, sys; subprocess.Popen([sys.executable, '-c', sys.argv[1]]); {}"


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def python(program: str, *more: str) -> str:
    return shlex.join([sys.executable, "-c", program, *more])


def members(session: int) -> list[int]:
    """List the living processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if os.getsid(int(path.name)) == session and lives(int(path.name)):
                found.append(int(path.name))
    return sorted(found)


class Yard:
    """Makes supervisors and, at the end, takes down whatever they left."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "stack.log"
        self.made: list[Supervisor] = []
        self.sessions: set[int] = set()

    def run(self, commands: Mapping[str, str], env: Mapping[str, str] | None = None) -> Supervisor:
        supervisor = Supervisor(commands, dict(os.environ) if env is None else env, log=self.log)
        self.made.append(supervisor)
        supervisor.start()
        return supervisor

    def pid(self, supervisor: Supervisor, name: str, *, other_than: int | None = None) -> int:
        until(lambda: supervisor.pid(name) not in (None, other_than))
        pid = supervisor.pid(name)
        assert pid is not None
        self.sessions.add(pid)
        return pid

    def said(self, name: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [text for line in lines for who, _, text in [line.partition("| ")] if who.strip() == name]


@pytest.fixture
def yard(tmp_path: Path) -> Iterator[Yard]:
    made = Yard(tmp_path)
    yield made
    for session in made.sessions:
        for pid in members(session):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    for supervisor in made.made:
        supervisor.stop()


def test_every_command_runs_in_a_session_of_its_own(yard: Yard) -> None:
    supervisor = yard.run({"one": python(SLEEP), "two": python(SLEEP)})
    one, two = yard.pid(supervisor, "one"), yard.pid(supervisor, "two")
    assert one != two
    until(lambda: (os.getsid(one), os.getsid(two)) == (one, two))


def test_what_dies_is_started_again(yard: Yard) -> None:
    supervisor = yard.run({"web": python(SLEEP), "beat": python(SLEEP)})
    web, beat = yard.pid(supervisor, "web"), yard.pid(supervisor, "beat")
    supervisor.kill("web")
    assert yard.pid(supervisor, "web", other_than=web) != web
    assert not lives(web)
    assert supervisor.pid("beat") == beat
    assert yard.said("web")[0].startswith("ended with -9; starting again in ")
    assert yard.said("beat") == []


def test_the_pause_grows_as_long_as_it_dies_at_once_and_never_beyond_the_longest(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.stack.supervisor, "LONGEST_PAUSE", 1.0)
    yard.run({"web": python("import sys; sys.exit(3)")})
    until(lambda: len(yard.said("web")) >= 4)
    assert yard.said("web")[:4] == [f"ended with 3; starting again in {pause} s" for pause in ("0.4", "0.8", "1.0", "1.0")]


def test_the_next_start_waits_for_the_pause_that_was_told(yard: Yard) -> None:
    yard.run({"web": python("import time; print('at', time.monotonic(), flush=True)")})
    until(lambda: sum(line.startswith("at ") for line in yard.said("web")) >= 3)
    first, second, third = [float(line.split()[1]) for line in yard.said("web") if line.startswith("at ")][:3]
    assert second - first >= 0.4
    assert third - second >= 0.8


def test_the_pause_is_short_again_after_it_ran_steadily(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.stack.supervisor, "STEADY_SECONDS", 0.0)
    yard.run({"web": python("")})
    until(lambda: len(yard.said("web")) >= 3)
    assert set(yard.said("web")) == {"ended with 0; starting again in 0.2 s"}


def test_what_cannot_be_started_is_told_and_tried_again_while_others_run(yard: Yard) -> None:
    supervisor = yard.run({"web": "/nonexistent/program", "beat": python(SLEEP)})
    until(lambda: sum("cannot be started" in line for line in yard.said("web")) >= 2)
    assert "/nonexistent/program" in yard.said("web")[0]
    assert lives(yard.pid(supervisor, "beat"))


def test_what_dies_is_started_again_though_a_child_of_it_lives_on(yard: Yard) -> None:
    supervisor = yard.run({"web": python(PARENT.format("import time; time.sleep(600)"), STUBBORN)})
    first = yard.pid(supervisor, "web")
    until(lambda: "ready" in yard.said("web"))
    (orphan,) = set(members(first)) - {first}
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.pid("web") not in (None, first))
    yard.pid(supervisor, "web", other_than=first)
    until(lambda: not lives(orphan))


def test_stop_ends_all_children_and_their_children(yard: Yard) -> None:
    parent = python(PARENT.format(SLEEP), f"print('ready', flush=True); {SLEEP}")
    supervisor = yard.run({"one": parent, "two": parent})
    pids = [yard.pid(supervisor, name) for name in ("one", "two")]
    until(lambda: yard.said("one") and yard.said("two"))
    assert [len(members(pid)) for pid in pids] == [2, 2]
    supervisor.stop()
    until(lambda: not any(members(pid) for pid in pids))
    assert (supervisor.pid("one"), supervisor.pid("two")) == (None, None)


def test_stop_kills_what_does_not_end_when_asked(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.stack.supervisor, "STOP_SECONDS", 0.5)
    supervisor = yard.run({"one": python(STUBBORN)})
    pid = yard.pid(supervisor, "one")
    until(lambda: yard.said("one") == ["ready"])
    supervisor.stop()
    assert not lives(pid)


def test_stop_kills_grandchildren_that_do_not_end_with_their_parent(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.stack.supervisor, "STOP_SECONDS", 0.5)
    supervisor = yard.run({"one": python(PARENT.format(SLEEP), STUBBORN)})
    pid = yard.pid(supervisor, "one")
    until(lambda: yard.said("one") == ["ready"])
    supervisor.stop()
    until(lambda: not members(pid))


def test_nothing_that_could_start_it_again_is_left_after_stop(yard: Yard) -> None:
    supervisor = yard.run({"lonely": python("print('run', flush=True)")})
    until(lambda: "run" in yard.said("lonely"))
    assert [thread.name for thread in threading.enumerate() if thread.name == "watch-lonely"]
    supervisor.stop()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "watch-lonely"]
    assert supervisor.pid("lonely") is None


def test_stop_interrupts_a_long_pause(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app.stack.supervisor, "STEADY_SECONDS", 0.0)
    monkeypatch.setattr(app.stack.supervisor, "SHORTEST_PAUSE", 100.0)
    supervisor = yard.run({"one": python("")})
    until(lambda: any("starting again in 100.0 s" in line for line in yard.said("one")))
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 50


READY = "import os, pathlib; pathlib.Path(os.environ['TIDEGATE_READY_FILE']).touch(); "
READY_IF_ASKED = f"import os; exec({READY!r}) if 'TIDEGATE_READY_FILE' in os.environ else None; "


def test_a_successor_is_at_work_before_the_first_one_is_asked_to_end(yard: Yard) -> None:
    told = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (print('asked at', time.monotonic()), sys.exit())); "
    )
    supervisor = yard.run({"web": python(f"{told}{READY_IF_ASKED}print('ready at', time.monotonic(), flush=True); {SLEEP}")})
    first = yard.pid(supervisor, "web")
    until(lambda: yard.said("web"))
    supervisor.replace("web", drain_within=10)
    assert yard.pid(supervisor, "web") != first
    assert not lives(first)
    _, ready, asked = [float(line.split()[-1]) for line in yard.said("web")]
    assert ready < asked
    assert not any("ended with" in line for line in yard.said("web"))


def test_a_successor_that_does_not_get_to_work_leaves_the_first_one_in_its_place(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.stack.supervisor, "READY_SECONDS", 0.5)
    supervisor = yard.run({"web": python(SLEEP)})
    first = yard.pid(supervisor, "web")
    with pytest.raises(GateError, match="the new web does not get to work"):
        supervisor.replace("web", drain_within=10)
    assert supervisor.pid("web") == first
    assert lives(first)


def test_what_outlasts_its_time_after_it_was_replaced_is_killed(yard: Yard) -> None:
    supervisor = yard.run({"web": python(READY_IF_ASKED + STUBBORN)})
    first = yard.pid(supervisor, "web")
    until(lambda: "ready" in yard.said("web"))
    supervisor.replace("web", drain_within=0.5)
    assert not lives(first)


def test_a_successor_that_dies_is_started_again(yard: Yard) -> None:
    supervisor = yard.run({"web": python(READY_IF_ASKED + SLEEP)})
    yard.pid(supervisor, "web")
    supervisor.replace("web", drain_within=10)
    second = yard.pid(supervisor, "web")
    supervisor.kill("web")
    assert yard.pid(supervisor, "web", other_than=second) != second


def test_of_what_is_renewed_there_are_never_two(yard: Yard) -> None:
    supervisor = yard.run({"beat": python(STUBBORN)})
    first = yard.pid(supervisor, "beat")
    until(lambda: yard.said("beat") == ["ready"])
    supervisor._stop_within = 0.5
    supervisor.renew("beat")
    assert not lives(first)
    assert yard.pid(supervisor, "beat", other_than=first) != first


def test_only_the_process_is_asked_to_end_so_that_what_it_has_started_can_finish(yard: Yard) -> None:
    asked = "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))"
    child = f"import signal, time; {asked}; print('up', flush=True); time.sleep(2); print('finished', flush=True)"
    deaf = "import signal, subprocess, sys; signal.signal(signal.SIGTERM, lambda *_: None); "
    parent = f"{deaf}subprocess.run([sys.executable, '-c', {child!r}])"
    supervisor = yard.run({"worker": python(parent)})
    yard.pid(supervisor, "worker")
    until(lambda: "up" in yard.said("worker"))
    supervisor.stop()
    assert "finished" in yard.said("worker")
    assert "asked" not in yard.said("worker")


def test_other_processes_are_left_alone(yard: Yard) -> None:
    others = [
        subprocess.Popen([sys.executable, "-c", SLEEP]),
        subprocess.Popen([sys.executable, "-c", SLEEP], start_new_session=True),
    ]
    try:
        ours, theirs = (yard.run({"web": python(SLEEP)}) for _ in range(2))
        yard.pid(ours, "web")
        kept = yard.pid(theirs, "web")
        ours.kill("web")
        ours.stop()
        assert [other.poll() for other in others] == [None, None]
        assert theirs.pid("web") == kept
    finally:
        for other in others:
            other.kill()
            other.wait()


def test_every_line_of_output_bears_its_name(yard: Yard) -> None:
    program = (
        "import sys, time; [print('line', n, flush=True) for n in range(200)]; sys.stderr.write('err'); sys.stderr.flush(); "
    )
    yard.run({"web": python(program + SLEEP), "flower": python(program.replace("line", "petal") + SLEEP)})
    until(lambda: len(yard.said("web")) >= 200 and len(yard.said("flower")) >= 200)
    assert yard.said("web")[:200] == [f"line {number}" for number in range(200)]
    assert yard.said("flower")[:200] == [f"petal {number}" for number in range(200)]
    assert all(re.match(r"(web {6}|flower {3})\| ", line) for line in yard.log.read_text().splitlines())


def test_output_that_is_not_text_does_not_stop_it(yard: Yard) -> None:
    yard.run({"web": python(f"import os; os.write(1, b'caf\\xe9\\n'); print('after', flush=True); {SLEEP}")})
    until(lambda: "after" in yard.said("web"))
    assert yard.said("web") == ["caf\N{REPLACEMENT CHARACTER}", "after"]


def test_output_goes_to_standard_output_unless_there_is_a_log(capfd: pytest.CaptureFixture[str]) -> None:
    supervisor = Supervisor({"web": python(f"print('hello', flush=True); {SLEEP}")}, dict(os.environ))
    supervisor.start()
    seen: list[str] = []
    try:
        until(lambda: seen.append(capfd.readouterr().out) or "web      | hello\n" in "".join(seen))
    finally:
        supervisor.stop()


def test_a_child_gets_the_environment_it_is_given_and_the_programs_beside_python(yard: Yard) -> None:
    program = "import os; print(os.environ['GIVEN'], os.environ['PATH'], os.environ.get('HOME'), flush=True); "
    yard.run({"web": python(program + SLEEP)}, {"GIVEN": "this", "PATH": "/usr/bin"})
    until(lambda: yard.said("web"))
    assert yard.said("web") == [f"this {Path(sys.executable).parent}:/usr/bin None"]


def test_a_child_has_no_standard_input_to_wait_for(yard: Yard) -> None:
    yard.run({"web": python(f"import sys; print('read', len(sys.stdin.read()), flush=True); {SLEEP}")})
    until(lambda: yard.said("web") == ["read 0"])


def test_a_procfile_is_read_line_by_line(tmp_path: Path) -> None:
    path = tmp_path / "Procfile"
    path.write_text("# all\n\nweb: serve --at http://127.0.0.1:80 --x\n  beat :  tick\n")
    assert read_procfile(path) == {"web": "serve --at http://127.0.0.1:80 --x", "beat": "tick"}


def test_the_shipped_procfile_names_every_role() -> None:
    commands = read_procfile(ROOT / "Procfile")
    assert list(commands) == ["web", "worker", "deployer", "slow", "beat", "flower"]
    argv = arguments(commands["web"], {})
    assert argv[argv.index("--host") + 1] == "127.0.0.1"
    assert argv[argv.index("--port") + 1] == "8300"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("serve --port $PORT", ["serve", "--port", "81"]),
        ("serve --port ${PORT}", ["serve", "--port", "81"]),
        ("serve --port ${PORT:-80}", ["serve", "--port", "81"]),
        ("serve --host ${HOST:-127.0.0.1}", ["serve", "--host", "127.0.0.1"]),
        ("serve --host ${EMPTY:-127.0.0.1}", ["serve", "--host", "127.0.0.1"]),
        ("serve --host=${HOST:-}:$PORT/x", ["serve", "--host=:81/x"]),
        ("serve $NONE", ["serve", ""]),
        ("serve '$PORT and more' \"a b\"", ["serve", "81 and more", "a b"]),
        ("serve $SPACED", ["serve", "a; rm -rf / b"]),
        ("serve a;b && c | d > e `f`", ["serve", "a;b", "&&", "c", "|", "d", ">", "e", "`f`"]),
    ],
)
def test_variables_are_filled_in_and_no_shell_is_involved(command: str, expected: list[str]) -> None:
    assert arguments(command, {"PORT": "81", "SPACED": "a; rm -rf / b", "EMPTY": ""}) == expected
