"""What processes cost, from /proc."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from bench.processes import PAGE, TICKS, Stat, all_stats, cpu_seconds, family, parse_stat, proportional, resident

LINE = "42 (a (strange) name) S 7 42 42 0 -1 4194304 1 2 3 4 100 50 30 20 20 0 4 0 1000 999999 256 18446744073709551615"


def test_a_stat_line_is_read_whatever_the_name_holds() -> None:
    assert parse_stat(LINE) == Stat(pid=42, parent=7, seconds=200 / TICKS, resident=256 * PAGE)


def test_a_family_is_the_root_and_all_below_it() -> None:
    stats = {pid: Stat(pid, parent, 0.0, 0) for pid, parent in ((1, 0), (2, 1), (3, 2), (4, 2), (5, 1), (6, 5))}
    assert sorted(s.pid for s in family(2, stats)) == [2, 3, 4]
    assert family(99, stats) == []


def test_work_of_children_counts_while_they_run_and_after_they_ended() -> None:
    work = "import time\nuntil = time.process_time() + 0.3\nwhile time.process_time() < until: pass"
    parent = (
        f"import subprocess, sys, time; subprocess.run([sys.executable, '-c', {work!r}]); "
        "print('done', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        assert cpu_seconds({"it": process.pid})["it"] >= 0.29
        assert resident(process.pid) >= proportional({"it": process.pid})["it"] > 1
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_process_that_is_gone_costs_nothing() -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    time.sleep(0.01)
    assert cpu_seconds({"gone": process.pid}) == {"gone": 0}
    assert os.getpid() in all_stats()


def test_an_unfinished_line_is_refused() -> None:
    with pytest.raises(IndexError):
        parse_stat("42 (short) S 7")
