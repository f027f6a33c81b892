"""What the pipeline relies on from anything that is deployed to: the folder, the web service and the command."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from app.domain.deployment import Dispatch, Progress
from app.domain.errors import TargetFailed
from app.integrations.targets import command, directory, webhook
from app.integrations.targets.protocol import Report, Target
from tests.fakes import FakeClock
from tests.integrations.targets.cast import (
    Request,
    Service,
    dispatch,
    fresh_token,
    no_secret,
    order,
    says,
    serving,
    the_secret,
    write_index,
)
from tests.waiting import until

COUNT = "import sys; open(sys.argv[1], 'a').write('x'); sys.exit(int(sys.argv[2]))"


class Rig:
    """A target, made anew on each call of `target`; `deployed` counts what really happened there."""

    can_tell = True

    def __init__(self, folder: Path, *, works: bool) -> None:
        self.folder = folder
        self.works = works

    def target(self) -> Target:
        raise NotImplementedError

    def export(self, folder: Path) -> None:
        write_index(folder)

    def deployed(self) -> int:
        return (self.folder / "count").stat().st_size if (self.folder / "count").exists() else 0


class DirectoryRig(Rig):
    """A folder, or a file where the folder should be; an export is a deployment."""

    def target(self) -> Target:
        path = self.folder / "www"
        if not self.works:
            path.write_text("in the way")
        options = directory.Options.model_validate({"path": path})
        return directory.Directory("shop", options, state_dir=self.folder, clock=FakeClock(), secret=no_secret)

    def export(self, folder: Path) -> None:
        with (self.folder / "count").open("a") as count:
            count.write("x")
        write_index(folder)


class CommandRig(Rig):
    """A program that leaves a mark each time it runs."""

    def target(self) -> Target:
        argv = [sys.executable, "-I", "-S", "-c", COUNT, str(self.folder / "count"), "0" if self.works else "3"]
        state = self.folder / "state"
        options = command.Options.model_validate({"argv": argv})
        return command.Command("shop", options, state_dir=state, clock=FakeClock(), secret=no_secret)


@dataclass(frozen=True)
class Deployer:
    """A service that keeps its side of the bargain: one idempotency key is done once."""

    done: set[str]
    lock: threading.Lock
    mark: Path
    works: bool

    def __call__(self, handler: BaseHTTPRequestHandler, request: Request) -> None:
        key = request.headers["idempotency-key"]
        with self.lock:
            if self.works and key not in self.done:
                self.done.add(key)
                with self.mark.open("a") as mark:
                    mark.write("x")
        says(202 if self.works else 500)(handler, request)


class WebhookRig(Rig):
    """A web service; it cannot be asked afterwards."""

    can_tell = False

    def __init__(self, folder: Path, service: Service, *, works: bool) -> None:
        super().__init__(folder, works=works)
        self._url = service.url
        service.answer = Deployer(set(), threading.Lock(), folder / "count", works)

    def target(self) -> Target:
        options = webhook.Options.model_validate({"url": self._url, "secret": "env:SHOP_SECRET", "idempotent": True})
        return webhook.Webhook("shop", options, state_dir=self.folder, clock=FakeClock(), secret=the_secret)


Make = Callable[[bool], Rig]


@pytest.fixture(params=["directory", "webhook", "command"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Make]:
    with serving() as service:
        rigs: dict[str, Make] = {
            "directory": lambda works: DirectoryRig(tmp_path, works=works),
            "webhook": lambda works: WebhookRig(tmp_path, service, works=works),
            "command": lambda works: CommandRig(tmp_path, works=works),
        }
        yield rigs[request.param]


@pytest.fixture
def rig(make: Make) -> Rig:
    return make(True)


@pytest.fixture
def broken(make: Make) -> Rig:
    return make(False)


def start(rig: Rig, of: Dispatch) -> Report:
    return rig.target().start(order(of, export=rig.export), fresh_token())


def end(rig: Rig, report: Report, of: Dispatch) -> Report:
    """Poll as the pipeline does: only what is running is asked again."""
    reports = [report]

    def has_ended() -> bool:
        if reports[-1].progress is Progress.RUNNING:
            reports.append(rig.target().poll(of))
        return reports[-1].progress is not Progress.RUNNING

    until(has_ended)
    return reports[-1]


def test_a_dispatch_that_was_never_started_is_unknown(rig: Rig) -> None:
    assert rig.target().poll(dispatch()).progress is Progress.UNKNOWN
    assert rig.deployed() == 0


def test_a_started_dispatch_ends_in_success(rig: Rig) -> None:
    assert end(rig, start(rig, dispatch()), dispatch()).progress is Progress.SUCCEEDED
    assert rig.deployed() == 1


def test_an_ended_dispatch_is_remembered_by_those_who_can_tell_and_never_denied(rig: Rig) -> None:
    done = end(rig, start(rig, dispatch()), dispatch())
    assert rig.target().poll(dispatch()) == (done if rig.can_tell else Report(Progress.UNKNOWN))


def test_one_dispatch_says_nothing_of_another(rig: Rig) -> None:
    end(rig, start(rig, dispatch()), dispatch())
    assert rig.target().poll(dispatch("another", position=2)).progress is Progress.UNKNOWN


def test_a_second_start_of_the_same_dispatch_does_not_deploy_twice(rig: Rig) -> None:
    first = end(rig, start(rig, dispatch()), dispatch())
    again = dispatch(fence=2)
    second = end(rig, start(rig, again), again)
    assert first == second
    assert rig.deployed() == 1


def test_starts_of_the_same_dispatch_at_once_do_not_deploy_twice(rig: Rig) -> None:
    barrier = threading.Barrier(3)
    ends: list[Progress] = []

    def start_and_end(fence: int) -> None:
        of = dispatch(fence=fence)
        barrier.wait()
        ends.append(end(rig, start(rig, of), of).progress)

    threads = [threading.Thread(target=start_and_end, args=(fence,)) for fence in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ends == [Progress.SUCCEEDED] * 3
    assert rig.deployed() == 1


def test_another_dispatch_of_another_commit_deploys_again(rig: Rig) -> None:
    for position, sha in ((1, "a" * 40), (2, "b" * 40)):
        of = dispatch(f"dispatch-{position}", position=position)
        report = rig.target().start(order(of, sha=sha, export=rig.export), fresh_token())
        assert end(rig, report, of).progress is Progress.SUCCEEDED
    assert rig.deployed() == 2


def test_a_target_that_fails_says_so(broken: Rig) -> None:
    try:
        report = end(broken, start(broken, dispatch()), dispatch())
    except TargetFailed as fault:
        report = Report(Progress.FAILED, str(fault))
    assert report.progress is Progress.FAILED
    assert report.detail
    assert "\n" not in report.detail


def test_a_target_that_failed_never_says_that_it_succeeded(broken: Rig) -> None:
    try:
        end(broken, start(broken, dispatch()), dispatch())
    except TargetFailed:
        assert broken.target().poll(dispatch()).progress is Progress.UNKNOWN
    else:
        assert broken.target().poll(dispatch()).progress is Progress.FAILED


def test_the_token_is_in_no_report(rig: Rig) -> None:
    token = fresh_token()
    report = rig.target().start(order(export=rig.export), token)
    said = repr([report, end(rig, report, dispatch()), rig.target().poll(dispatch())])
    assert token.reveal() not in said
