"""`python -m tests.torture`: plan, run, check, tell. Exit status 0 only if nothing was violated."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tests.torture.cast import ENVIRONMENTS
from tests.torture.check import check
from tests.torture.faults import Faults
from tests.torture.gather import Watch, gather, wait_for_the_end
from tests.torture.history import History, Violation
from tests.torture.plan import Plan, make_plan
from tests.torture.processes import names_in
from tests.torture.report import summary, violations
from tests.torture.requests import Requests
from tests.torture.traffic import Traffic
from tests.torture.world import ROOT, World

CALM_SECONDS = 6.0  # longer than a request may hang in a receiver that stood still
END_SECONDS = 600.0


@dataclass
class Run:
    """One run and all that came of it."""

    plan: Plan
    history: History
    found: list[Violation]
    seconds: float

    def lines(self) -> list[str]:
        """Spell the report."""
        return [*summary(self.history, self.plan, self.seconds), *violations(self.history, self.plan, self.found)]


def run(plan: Plan, folder: Path, *, rate: float, old: str | None = None) -> Run:
    """Play a plan on a stage of its own in `folder`, and check what happened."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} {text}", flush=True)

    world = World(plan, folder, say, old=old)
    try:
        requests = world.start()
        watch = Watch(world)
        history = History(plan.seed, began=began)
        traffic, faults = Traffic(world, plan, requests, rate=rate), Faults(world, say)
        say("sending")
        traffic.play(faults, say)
        say("all faults are healed")
        world.until_ready()
        time.sleep(CALM_SECONDS)
        traffic.end(plan.endings)
        has_ended = wait_for_the_end(world, END_SECONDS, say)
        traffic.end(plan.encores)
        has_ended = wait_for_the_end(world, END_SECONDS, say) and has_ended
        traffic.close()
        watch.stop()
        say("gathering")
        _tell(history, plan, requests, traffic, faults, world)
        gather(world, history, watch)
    finally:
        world.stop()
    found = check(history)
    found += [Violation("harness", "broken", each) for each in (*traffic.broken, *faults.broken)]
    found += [] if has_ended else [Violation("ended", "run", f"not everything had ended after {END_SECONDS:g} s")]
    return Run(plan, history, found, time.monotonic() - began)


def _tell(history: History, plan: Plan, requests: Requests, traffic: Traffic, faults: Faults, world: World) -> None:
    """Write down what the harness itself knows."""
    history.requests = {r.delivery: r for r in (requests.of(a) for a in plan.every if a.kind != "rollback")}
    history.answers, history.struck, history.rollbacks = traffic.answers, faults.struck, traffic.rollbacks
    history.moves = world.forge.moves
    shas = world.forge.shas
    history.parents = {
        shas[f"{c.repository} {c.name}"]: tuple(shas[f"{c.repository} {p}"] for p in c.parents) for c in plan.commits
    }
    for act in plan.endings:
        for each in ENVIRONMENTS.values():
            if each.repository == act.repository and each.takes(act.ref):
                history.decisive[each.name] = requests.commit_of(act)


def main() -> int:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--deliveries", type=int, default=10_000)
    parser.add_argument("--faults", type=int, default=200)
    parser.add_argument("--rate", type=float, default=20.0, help="deliveries a second at most")
    parser.add_argument("--old", help="a git revision: begin with that version of the code, and upgrade to the working tree")
    parser.add_argument("--plan", action="store_true", help="print the plan and stop")
    parser.add_argument("--keep", action="store_true", help="keep the folder with logs, tables' files and records")
    given = parser.parse_args()
    plan = make_plan(given.seed, given.deliveries, given.faults, names_in(ROOT))
    if given.plan:
        print("\n".join(plan.lines()))
        return 0
    folder = Path(mkdtemp(prefix="tidegate-torture-"))
    try:
        done = run(plan, folder, rate=given.rate, old=given.old)
    finally:
        if not given.keep:
            shutil.rmtree(folder, ignore_errors=True)
    print("\n".join(done.lines()))
    again = f"--seed {given.seed} --deliveries {given.deliveries} --faults {given.faults} --rate {given.rate:g}"
    print(f"to repeat   python -m tests.torture {again}{f' --old {given.old}' if given.old else ''}")
    if given.keep:
        print(f"kept        {folder}")
    return 1 if done.found else 0


if __name__ == "__main__":
    sys.exit(main())
