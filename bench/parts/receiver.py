"""How many signed deliveries a second are accepted: ours (each a committed row), `webhook`, and the floor, in turns."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.stack.scene import Scene
from bench import peers
from bench.drive import Round, drive
from bench.effort import Effort
from bench.figures import medians, ratio_of_pairs, totals
from bench.floor import floor
from bench.pushes import body_of, pushes, signed, write_requests
from bench.rows import count, forget_pending, rows_per_commit
from bench.scenes import Site

CONNECTIONS = (1, 16, 64)
PATH = "/hooks/gogs"
ROOM = {"ours": 2_500, "webhook": 7_000}  # requests for each second of a round; one that runs out of them ends sooner
TO_THE_END = 1_000  # requests for each second of a round
FORGED = 20
WRONG = "not what was agreed on"


@dataclass
class _Run:
    site: Site
    template: dict[str, Any]
    seconds: int

    def requests(self, number: int) -> Path:
        """Write fresh requests, and wait until they lie on the disk: flushing them would slow the commits that are measured."""
        file = self.site.folder / "requests"
        write_requests(file, pushes(PATH, self.template, number))
        os.sync()
        return file


def measure(effort: Effort) -> dict[str, Any]:
    """Measure at 1, 16 and 64 connections, in turns; prove on the way that both really verify, keep and run."""
    with Site() as site:
        run = _Run(site, site.commit("the first", account=Scene.alice), effort.of(3, 1))
        with site.only_the_receivers():
            proof, there = _prove_ours(run), peers.is_installed()
            cells = [_cell(run, effort, n, has_peer=there) for n in CONNECTIONS]
            proof |= _prove_theirs(run) if there else {}
    return {"cells": cells, "proof": proof, "seconds_a_round": run.seconds}


def _cell(run: _Run, effort: Effort, connections: int, *, has_peer: bool) -> dict[str, Any]:
    """Take turns, and turns about who goes first; what slows the machine for a while slows both."""
    drive(run.site.port, run.requests(300), connections)  # warm
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    floors: list[dict[str, Any]] = []
    for number in range(effort.of(4, 2)):
        effort.noise.sample()
        if has_peer and number % 2:
            theirs.append(_theirs(run, connections))
        ours.append(_ours(run, connections))
        if has_peer and not number % 2:
            theirs.append(_theirs(run, connections))
        floors.append(_floors(run, max(2, round(ours[-1]["rows_a_commit"]))))
    cell = {"connections": connections, "tool": ours[0]["tool"], "ours": _together(ours), "floor": medians(floors)}
    if theirs:
        ratio = ratio_of_pairs([r["per_second"] for r in ours], [r["per_second"] for r in theirs])
        cell |= {"webhook": _together(theirs), "ratio": ratio, "webhook_runs": _theirs_to_the_end(run, connections)}
    return cell


def _together(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    rates = [round(r["per_second"], 1) for r in rounds]
    return medians(rounds) | {"statuses": totals(r["statuses"] for r in rounds), "rounds": rates}


def _ours(run: _Run, connections: int) -> dict[str, Any]:
    """Drive ours and hold its answers against its rows; raises RuntimeError where a 202 has none."""
    with run.site.sql() as sql:
        began = _now(sql)
        done = drive(run.site.port, run.requests(ROOM["ours"] * run.seconds), connections, run.seconds)
        rows, accepted = count(sql, "deliveries", began), done.accepted(202)
        if not accepted <= rows <= accepted + done.unanswered:
            raise RuntimeError(f"{accepted} accepted and {done.unanswered} open, but {rows} rows")
        together = rows_per_commit(sql, began)
        forget_pending(sql)
    return _told(done, 202) | {"rows": rows, "rows_a_commit": together}


def _theirs(run: _Run, connections: int) -> dict[str, Any]:
    """Drive a fresh `webhook`: it answers first and runs its commands later, and must not run them in the next round."""
    with peers.webhook(run.site.folder, "/bin/true") as peer:
        drive(peer.port, run.requests(100), connections)
        return _told(drive(peer.port, run.requests(ROOM["webhook"] * run.seconds), connections, run.seconds), 200)


def _theirs_to_the_end(run: _Run, connections: int) -> float:
    """Return the commands that `webhook` runs a second, from the first request until it has run all that it accepted."""
    with peers.webhook(run.site.folder, "/bin/true") as peer:
        requests = run.requests(TO_THE_END * run.seconds)
        began = time.perf_counter()
        accepted = drive(peer.port, requests, connections).accepted(200)
        return accepted / (peers.until_idle(peer.pid) - began)


def _told(done: Round, status: int) -> dict[str, Any]:
    if done.accepted(status) != done.answered:
        raise RuntimeError(f"not what was to be measured: {done}")
    return asdict(done) | {"per_second": done.accepted(status) / done.seconds}


def _floors(run: _Run, batch: int) -> dict[str, Any]:
    bodies = [body_of(r) for r in itertools.islice(pushes(PATH, run.template, 500), 500)]
    seconds = run.seconds / 2
    return {
        "one_row": floor(run.site, bodies, seconds, 1),
        "batched": floor(run.site, bodies, seconds, batch),
        "batch": batch,
    }


def _prove_ours(run: _Run) -> dict[str, Any]:
    """Refuse forged signatures, and keep no row of them."""
    with run.site.sql() as sql:
        before = count(sql, "deliveries")
        refused = _forge(run, run.site.port).accepted(401)
        kept = count(sql, "deliveries") - before
    _hold(refused == FORGED and kept == 0, f"ours refused {refused} of {FORGED} forged deliveries and kept {kept}")
    return {"forged": FORGED, "ours_refused": refused, "ours_kept_of_forged": kept}


def _prove_theirs(run: _Run) -> dict[str, Any]:
    """Count what `webhook` runs under load, by a script that adds a byte each time, and what it runs of forged requests."""
    script, counted = peers.counting_script(run.site.folder)
    with peers.webhook(run.site.folder, str(script)) as peer:
        forged = _forge(run, peer.port)
        ran_of_forged = peers.until_still(counted)
        accepted = drive(peer.port, run.requests(300), 16).accepted(200)
        ran = peers.until_still(counted) - ran_of_forged
    _hold(forged.accepted(200) == 0 and ran_of_forged == 0, f"webhook took forged requests: {forged}, ran {ran_of_forged}")
    _hold(accepted == ran == 300, f"webhook accepted {accepted} of 300 and ran {ran}")
    return {
        "webhook_refused": forged.answered,
        "webhook_refused_with": forged.statuses,
        "webhook_ran_of_forged": ran_of_forged,
        "webhook_accepted": accepted,
        "webhook_ran": ran,
    }


def _hold(is_so: bool, otherwise: str) -> None:
    if not is_so:
        raise RuntimeError(otherwise)


def _forge(run: _Run, port: int) -> Round:
    file = run.site.folder / "forged"
    write_requests(file, (signed(PATH, run.template | {"n": n}, secret=WRONG) for n in range(FORGED)))
    return drive(port, file, 4)


def _now(sql: Any) -> datetime:
    moment: datetime = sql.execute("SELECT clock_timestamp()").fetchone()[0]
    return moment
