"""Draw the results: one plain picture a question, SVG, the same bytes for the same figures."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

Found = Mapping[str, Any]
OURS, THEIRS, FLOOR, THIRD = "#1f6fb2", "#c2691c", "#7a7a7a", "#3a8f5c"
SETTINGS = {
    "svg.hashsalt": "tidegate",
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "legend.frameon": False,
    "figure.facecolor": "white",
}


def draw(results: Found, out: Path) -> None:
    """Draw every part that was measured."""
    with plt.rc_context(SETTINGS):  # type: ignore[arg-type]  # it wants its several hundred names as literals
        for name, part in results["parts"].items():
            figure, axes = plt.subplots(figsize=SIZES.get(name, (6.5, 3.2)), layout="constrained")
            PLOTS[name](axes, part["found"])
            figure.savefig(out / f"{name}.svg", metadata={"Date": None})
            plt.close(figure)


def _bars(axes: Axes, groups: Sequence[str], series: Mapping[str, tuple[str, Sequence[float]]]) -> None:
    """Draw groups of bars side by side, each with its figure above it."""
    width = 0.8 / len(series)
    for index, (label, (colour, values)) in enumerate(series.items()):
        places = [n + (index - (len(series) - 1) / 2) * width for n in range(len(groups))]
        drawn = axes.bar(places, values, width * 0.92, color=colour, label=label)
        axes.bar_label(drawn, fmt=lambda value: f"{value:,.0f}" if value >= 10 else f"{value:.2g}", fontsize=7, padding=1)
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylim(bottom=0)
    axes.margins(y=0.12)


def _legend_above(axes: Axes, columns: int) -> None:
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, borderaxespad=0.2)


def _receiver(axes: Axes, found: Found) -> None:
    cells = found["cells"]
    series = {"Tidegate: verified, committed": (OURS, [c["ours"]["per_second"] for c in cells])}
    if all("webhook" in c for c in cells):
        series["webhook: verified, not durable"] = (THEIRS, [c["webhook"]["per_second"] for c in cells])
    series["floor, a row a commit"] = (FLOOR, [c["floor"]["one_row"] for c in cells])
    series["floor, batched commits"] = ("#b5b5b5", [c["floor"]["batched"] for c in cells])
    _bars(axes, [f"{c['connections']} connection{'s' * (c['connections'] > 1)}" for c in cells], series)
    axes.set_ylabel("deliveries accepted a second")
    _legend_above(axes, 2)


def _commands(axes: Axes, found: Found) -> None:
    names = {
        "webhook": "webhook,\nscript has run",
        "command": "Tidegate command,\nscript has run",
        "directory": "Tidegate directory,\ndispatched",
    }
    series = {which: (colour, [found[n][which] for n in names]) for which, colour in (("p50", OURS), ("p99", "#9fc3e3"))}
    _bars(axes, list(names.values()), series)
    axes.set_ylabel("ms from POST")
    _legend_above(axes, 2)


def _latency(axes: Axes, found: Found) -> None:
    names = list(found["stages_ms"])[::-1]
    values = [found["stages_ms"][n] for n in names]
    drawn = axes.barh(names, values, color=[FLOOR if n.startswith("wait") else OURS for n in names])
    axes.bar_label(drawn, fmt="{:.1f}", fontsize=7, padding=2)
    axes.set_xlabel("median ms (grey: handed over, waiting)")
    axes.margins(x=0.1)


def _backlog(axes: Axes, found: Found) -> None:
    sizes = [d["waiting"] for d in found["growth"]]
    axes.plot(sizes, [d["per_second"] for d in found["growth"]], "o-", color=OURS, label="pipelines ended a second")
    fifth = [d["stages_per_second"] / 5 for d in found["growth"]]
    axes.plot(sizes, fifth, "s--", color=FLOOR, label="stage results a second, divided by five")
    axes.set_xscale("log")
    axes.set_xlabel("pushes waiting when the workers begin")
    axes.set_ylabel("a second")
    axes.set_ylim(bottom=0)
    _legend_above(axes, 2)


def _inbox(axes: Axes, found: Found) -> None:
    sizes = [s["rows"] for s in found["steps"]]
    axes.axhspan(0.9, 1.1, color="#eeeeee")
    axes.plot(sizes, [s["per_second_ratio"] for s in found["steps"]], "o-", color=OURS, label="received a second")
    axes.plot(sizes, [s["plan_ms_ratio"] for s in found["steps"]], "s-", color=THEIRS, label="time to plan a delivery")
    axes.set_xscale("log")
    axes.set_xlabel("rows in the inbox (grey: within 10 % of empty)")
    axes.set_ylabel("full : empty")
    axes.set_ylim(0, max(1.5, 1.1 * max(s["plan_ms_ratio"] for s in found["steps"])))
    _legend_above(axes, 2)


def _rules(axes: Axes, found: Found) -> None:
    for kind, colour, mark in (("policies", OURS, "o"), ("people", THEIRS, "s"), ("environments", THIRD, "^")):
        cells = [c for c in found["cells"] if c["kind"] == kind]
        axes.plot([c["count"] for c in cells], [c["per_second"] for c in cells], f"{mark}-", color=colour, label=kind)
    axes.set_xscale("log")
    axes.set_xlabel("how many of them")
    axes.set_ylabel("pipelines a second")
    axes.set_ylim(bottom=0)
    _legend_above(axes, 3)


def _identity(axes: Axes, found: Found) -> None:
    asked = {f"token\n{name}": each for name, each in found["tokens"].items()} | {
        "SCIM\nuserName": found["scim"],
        "access\nmap": found["map"],
    }
    series = {
        "median": (OURS, [each["p50"] for each in asked.values()]),
        "99 of 100 within": (THEIRS, [each["p99"] for each in asked.values()]),
    }
    _bars(axes, list(asked), series)
    axes.set_ylabel("ms")
    _legend_above(axes, 2)


def _policy(axes: Axes, found: Found) -> None:
    asked = {"engine\nalone": "engine", "with\nthe slice": "slice", "the whole\nstage": "stage"}
    figures = {what: found["decide"][name] for what, name in asked.items()} | {"before\na push": found["push"]}
    series = {
        "median": (OURS, [each["p50"] for each in figures.values()]),
        "99 of 100 within": (THEIRS, [each["p99"] for each in figures.values()]),
    }
    _bars(axes, list(figures), series)
    axes.set_ylabel("ms")
    _legend_above(axes, 2)


def _memory(axes: Axes, found: Found) -> None:
    curve = found["receiver"]
    axes.plot([s["deliveries"] for s in curve], [s["mb"] for s in curve], "o-", color=OURS, markersize=3)
    axes.set_xlabel("deliveries")
    axes.set_ylabel("receiver, resident MB")
    axes.set_ylim(0, 1.25 * max(s["mb"] for s in curve))
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _cost(axes: Axes, found: Found) -> None:
    kinds = {"a_pipeline": "a pipeline", "a_delivery": "a delivery", "an_idle_second": "an idle second"}
    names = [n for n in found["a_pipeline"] if n.startswith("cpu:")]
    left = [0.0] * len(kinds)
    for index, name in enumerate(names):
        values = [1000 * max(0.0, found[kind].get(name, 0.0)) for kind in kinds]
        axes.barh(list(kinds.values()), values, left=left, color=plt.get_cmap("tab10")(index), label=name.removeprefix("cpu:"))
        left = [a + b for a, b in zip(left, values, strict=True)]
    for row, whole in enumerate(left):
        axes.annotate(f"{whole:.1f}", (whole, row), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_xlabel("ms of processor time")
    axes.margins(x=0.08)
    _legend_above(axes, 4)


def _profile(axes: Axes, found: Found) -> None:
    processes = list(found["rooms"])
    names = list(dict.fromkeys(room for rooms in found["rooms"].values() for room in rooms))
    left = [0.0] * len(processes)
    for index, name in enumerate(names):
        values = [100 * found["rooms"][p].get(name, {"self": 0.0})["self"] for p in processes]
        drawn = axes.barh(processes, values, left=left, color=plt.get_cmap("tab20")(index % 20), label=name)
        axes.bar_label(drawn, [f"{v:.0f}" if v >= 4 else "" for v in values], label_type="center", fontsize=7)
        left = [a + b for a, b in zip(left, values, strict=True)]
    axes.invert_yaxis()
    axes.set_xlabel("share of the samples, %, by the innermost frame that belongs somewhere")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)


def _scaling(axes: Axes, found: Found) -> None:
    pairs, receivers = found["pairs"], found["receivers"]
    groups = [f"{r['pairs']} pair{'s' * (r['pairs'] > 1)}" for r in pairs] + [
        f"{r['receivers']} receiver{'s' * (r['receivers'] > 1)}" for r in receivers
    ]
    rates = [r["per_second"] / pairs[0]["per_second"] for r in pairs] + [
        r["per_second"] / receivers[0]["per_second"] for r in receivers
    ]
    drawn = axes.bar(groups, rates, color=[OURS] * len(pairs) + [THIRD] * len(receivers))
    told = [f"{r['per_second']:.1f} pipelines/s" for r in pairs] + [f"{r['per_second']:,.0f} deliveries/s" for r in receivers]
    axes.bar_label(drawn, told, fontsize=7, padding=1)
    axes.axhline(1, color=FLOOR, linewidth=0.7)
    axes.set_ylabel("against one")
    axes.margins(y=0.12)


SIZES = {"profile": (8.5, 3.2), "latency": (6.5, 3.6), "cost": (7.5, 2.8)}
PLOTS: dict[str, Callable[[Axes, Found], None]] = {
    "receiver": _receiver,
    "commands": _commands,
    "latency": _latency,
    "backlog": _backlog,
    "inbox": _inbox,
    "rules": _rules,
    "identity": _identity,
    "policy": _policy,
    "memory": _memory,
    "cost": _cost,
    "profile": _profile,
    "scaling": _scaling,
}
