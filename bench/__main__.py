"""Run the benchmark: `make bench`, or `python -m bench --quick` for a first look."""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.cli.demo_scene import Scene, free_port
from bench import parts
from bench.load import Load

console = Console(width=110)


def main() -> None:
    """Measure and print; nothing here passes or fails by time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--only", choices=("receiver", "latency", "backlog"))
    given = parser.parse_args()
    share = 0.1 if given.quick else 1.0
    wanted = {given.only} if given.only else {"receiver", "latency", "backlog"}
    with Scene(lambda _: None) as scene:
        push = parts.template(scene)
        if "latency" in wanted:
            _latency(scene, max(10, int(60 * share)))
        if "backlog" in wanted:
            speed, states = parts.backlog(scene, max(30, int(300 * share)))
            console.print(f"\n[bold]Backlog:[/] {speed:.1f} pipelines/s through all five stages ({dict(states)})")
        if "receiver" in wanted:
            with parts.only_the_receiver(scene):
                ours = parts.receiver(scene.stack.ports["TIDEGATE_WEB_PORT"], "/hooks/gogs", push, 6 * max(share, 0.3))
                theirs = parts.peer(free_port(), Path(scene.folder), push, 6 * max(share, 0.3))
                _receiver(ours, theirs)
                _memory(*parts.memory(scene, push, int(100_000 * share)))
                parts.forget(scene)


def _latency(scene: Scene, count: int) -> None:
    whole, stages = parts.push_to_dispatched(scene, count)
    ordered = sorted(1000 * w for w in whole[2:])
    p50, p99 = statistics.median(ordered), ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    console.print(f"\n[bold]Push to dispatched[/] ({len(ordered)} pushes, idle): p50 {p50:.0f} ms, p99 {p99:.0f} ms")
    table = Table("where it goes", "median ms")
    for name, seconds in stages.items():
        table.add_row(name, f"{1000 * seconds:.1f}")
    console.print(table)


def _receiver(ours: dict[int, Load], theirs: dict[int, Load] | None) -> None:
    table = Table("connections", "accepted/s", "p50 ms", "p99 ms", "answers", "webhook/s", "ratio", title="Receiver")
    for n, load in ours.items():
        peer = theirs[n] if theirs else None
        row = [str(n), f"{load.per_second:.0f}", f"{load.percentile(0.5):.1f}", f"{load.percentile(0.99):.1f}"]
        row += [str(dict(load.statuses)), f"{peer.per_second:.0f}" if peer else "not installed"]
        table.add_row(*row, f"{load.per_second / peer.per_second:.2f}" if peer else "")
    console.print(table)


def _memory(seen: list[tuple[int, float]], load: Load) -> None:
    table = Table("deliveries", "receiver, MB resident", title="Memory")
    for count, megabytes in seen:
        table.add_row(f"{count:,}", f"{megabytes:.0f}")
    console.print(table)
    console.print(f"the last of them: {load.per_second:.0f}/s, {dict(load.statuses)}")


if __name__ == "__main__":
    main()
