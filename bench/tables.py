"""The results as tables of Markdown, one function a part. Pure: figures in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench import model

Found = Mapping[str, Any]


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Spell a table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def number(value: float) -> str:
    """Spell a figure with as many digits as it deserves."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2g}" if abs(value) < 1 else f"{value:.2f}"


def percent(share: float) -> str:
    """Spell a share."""
    return f"{100 * share:.1f} %"


def receiver(found: Found) -> str:
    """Rates and latencies by connections, ours and the peer's, and how far the floor is."""
    head = [
        "connections",
        "ours/s",
        "p50, p99 ms",
        "rows a commit",
        "`webhook`/s",
        "p50, p99 ms",
        "ours : `webhook`",
        "`webhook` has run/s",
        "floor/s, a row a commit",
        "floor/s, batched",
        "ours : floor",
    ]
    rows = []
    for cell in found["cells"]:
        ours, theirs, floor = cell["ours"], cell.get("webhook"), cell["floor"]
        nearest = floor["one_row"] if cell["connections"] == 1 else floor["batched"]
        rows.append(
            [
                str(cell["connections"]),
                number(ours["per_second"]),
                _latency(ours),
                number(ours["rows_a_commit"]),
                number(theirs["per_second"]) if theirs else "not installed",
                _latency(theirs) if theirs else "",
                f"{cell['ratio']:.2f}" if theirs else "",
                number(cell["webhook_runs"]) if theirs else "",
                number(floor["one_row"]),
                f"{number(floor['batched'])} ({floor['batch']:.0f} a commit)",
                f"{ours['per_second'] / nearest:.2f}",
            ]
        )
    return f"{table(head, rows)}\n\n{_proof(found)}"


def _latency(side: Found) -> str:
    return f"{number(side['p50_ms'])}, {number(side['p99_ms'])}"


def _proof(found: Found) -> str:
    proof, cells = found["proof"], found["cells"]
    accepted = sum(sum(c["ours"]["statuses"].values()) for c in cells)
    text = (
        f"Load by {cells[0]['tool']}, {found['seconds_a_round']} s a round, in turns. All {accepted:,} answers of ours were 202, "
        f"each held against a committed row; {proof['ours_refused']} of {proof['forged']} forged signatures were refused and "
        f"{proof['ours_kept_of_forged']} kept."
    )
    if "webhook_ran" in proof:
        text += (
            f" `webhook` refused {proof['webhook_refused']} of {proof['forged']} forged ones and ran "
            f"{proof['webhook_ran_of_forged']} commands for them; of {proof['webhook_accepted']} signed ones it ran its command "
            f"{proof['webhook_ran']} times."
        )
    return text


def commands(found: Found) -> str:
    """From POST to done."""
    names = {
        "webhook": "`webhook`, script has run",
        "command": "ours, command target, script has run",
        "directory": "ours, directory target, dispatched",
    }
    rows = [[text, number(found[name]["p50"]), number(found[name]["p99"]), str(found[name]["n"])] for name, text in names.items()]
    return table(["from the POST until", "p50 ms", "p99 ms", "times"], rows)


def latency(found: Found) -> str:
    """Receipt to dispatched, and the stages."""
    ms = found["ms"]
    rows = [[name, number(value)] for name, value in found["stages_ms"].items()]
    return f"Receipt to dispatched, {ms['n']} pushes: **p50 {number(ms['p50'])} ms, p99 {number(ms['p99'])} ms**.\n\n" + table(
        ["where it goes", "median ms"], rows
    )


def backlog(found: Found) -> str:
    """Pipelines a second by the length of the backlog."""
    rows = [
        [
            _waiting(r),
            number(r["per_second"]),
            number(r["stages_per_second"]),
            f"{r['ended']:,}",
            _states(r["states"]),
            number(r["seconds"]),
        ]
        for r in _drains(found)
    ]
    return table(["waiting pushes", "pipelines ended/s", "stage results/s", "ended", "states at the end", "seconds"], rows)


def _drains(found: Found) -> list[Found]:
    one_each = [
        {**found["known_commit"], "of": ", commit in the mirror"},
        {**found["own_commits"], "of": ", a commit to fetch each"},
    ]
    return [*found["growth"], *one_each]


def _waiting(drained: Found) -> str:
    return f"{drained['waiting']:,}{drained.get('of', '')}"


def _states(states: Mapping[str, int]) -> str:
    return ", ".join(f"{count:,} {state}" for state, count in sorted(states.items()))


def inbox(found: Found) -> str:
    """The receiver's and the planner's speed on a full inbox against an empty one."""
    rows = [
        [
            f"{step['rows']:,}",
            number(step["empty"]["per_second"]),
            number(step["full"]["per_second"]),
            f"{step['per_second_ratio']:.2f}",
            f"{number(step['empty']['plan_ms'])}, {number(step['full']['plan_ms'])}",
            f"{step['plan_ms_ratio']:.2f}",
            number(step["deliveries_mb"]),
        ]
        for step in found["steps"]
    ]
    return table(
        [
            "rows",
            "received/s, empty",
            "received/s, full",
            "full : empty",
            "planning a delivery, empty, full (ms)",
            "full : empty",
            "inbox MB",
        ],
        rows,
    )


def rules(found: Found) -> str:
    """Pipelines a second by how many policies, people and environments there are."""
    counts = sorted({cell["count"] for cell in found["cells"]})
    kinds = list(dict.fromkeys(cell["kind"] for cell in found["cells"]))
    of = {(cell["kind"], cell["count"]): number(cell["per_second"]) for cell in found["cells"]}
    rows = [[kind, *(of[kind, count] for count in counts)] for kind in kinds]
    return table(["pipelines/s with", *(f"{count:,}" for count in counts)], rows)


def identity(found: Found) -> str:
    """What it costs to ask who somebody is."""
    asked = [(f"a token, {name}", each) for name, each in found["tokens"].items()]
    asked += [(f"SCIM: a person by `userName`, of {found['people']:,}", found["scim"])]
    asked += [(f"the access map: whom an account stands for, of {2 * found['people']:,}", found["map"])]
    rows = [[what, *(number(each[name]) for name in ("p50", "p99", "least"))] for what, each in asked]
    okta = found["okta"]
    text = (
        f"A whole reading of Okta, {okta['identities']:,} people and {okta['groups']:,} groups, written down: "
        f"**{number(okta['first_s'])} s** the first time, {number(okta['again_s'])} s where nothing has changed."
    )
    return table(["asked, in ms", "p50", "p99", "least"], rows) + f"\n\n{text}"


def policy(found: Found) -> str:
    """What it costs to decide, before a push and again, and to look into a push."""
    decide, looked = found["decide"], found["inspection"]
    asked = [
        ("the engine alone", decide["engine"]),
        ("**with the entity slice of who acts, from SQL**", decide["slice"]),
        ("with all that the stage looks up: session, freezes, votes, evidence", decide["stage"]),
        ("**`POST /api/v1/decide`, over loopback**", found["push"]),
        ("the same, denied, with what would change it", found["push_denied"]),
        (f"**content inspection of {looked['files']:,} files, {looked['lines']:,} new lines**", looked["whole"]),
    ]
    rows = [[what, *(number(each[name]) for name in ("p50", "p99", "least"))] for what, each in asked]
    replay = found["replay"]
    text = (
        f"A replay of {replay['decisions']:,} recorded decisions, no two alike, came out as recorded: "
        f"**{number(replay['seconds'])} s** "
        f"({number(replay['decisions'] / replay['seconds'])} a second)."
    )
    return table(["ms", "p50", "p99", "least"], rows) + f"\n\n{text}"


def memory(found: Found) -> str:
    """Megabytes by process, and the receiver's growth."""
    states = ("at_start_mb", "after_pipelines_mb", "after_all_mb")
    rows = [[name, *(number(found[state].get(name, 0)) for state in states)] for name in found["at_start_mb"]]
    curve = found["receiver"]
    text = (
        f"Receiver, resident: {number(curve[0]['mb'])} MB warm, {number(curve[-1]['mb'])} MB after "
        f"{curve[-1]['deliveries']:,} more deliveries (**{100 * found['growth']:+.1f} %**); each of them answered 202 and kept."
    )
    return table(["process", "MB at start", "after pipelines", "after all deliveries"], rows) + f"\n\n{text}"


def cost(found: Found) -> str:
    """What a delivery, a pipeline and an idle second cost."""
    kinds = ("a_delivery", "a_pipeline", "an_idle_second")
    names = [name for name in found["a_pipeline"] if name != "per_second"]
    rows = []
    for name in names:
        factor, text = (
            (1000, f"{name.removeprefix('cpu:')}, ms of processor") if name.startswith("cpu:") else (1, name.replace("_", " "))
        )
        rows.append([text, *(number(factor * found[kind].get(name, 0)) for kind in kinds)])
    whole = [number(1000 * sum(v for n, v in found[kind].items() if n.startswith("cpu:"))) for kind in kinds]
    return table(["what", "a delivery", "a pipeline", "an idle second"], [*rows, ["**all processes, ms of processor**", *whole]])


def profile(found: Found) -> str:
    """Shares of the processor's time by room."""
    processes = list(found["rooms"])
    names = list(dict.fromkeys(room for rooms in found["rooms"].values() for room in rooms))
    rows = []
    for name in names:
        shares = [found["rooms"][process].get(name, {"self": 0.0, "with": 0.0}) for process in processes]
        rows.append([name, *(f"{100 * s['self']:.0f} ({100 * s['with']:.0f})" for s in shares)])
    return table(["room", *(f"{process}, %" for process in processes)], rows)


def scaling(found: Found) -> str:
    """Rates by number of processes."""
    rows = [[f"{r['pairs']} worker + {r['pairs']} deployer", number(r["per_second"]), "pipelines/s"] for r in found["pairs"]]
    rows += [
        [f"{r['receivers']} receiver{'s' * (r['receivers'] > 1)}", number(r["per_second"]), "deliveries/s"]
        for r in found["receivers"]
    ]
    return table(["processes", "rate", "of"], rows)


def machine(results: Found) -> str:
    """What it was measured on, and how unevenly it ran, by part."""
    facts = results["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in facts["packages"].items())
    text = (
        f"{facts['processor']}, {facts['cores']} cores, {facts['memory_gb']} GB, {facts['system']}; Python {facts['python']}; "
        f"{packages}; {facts['wrk'] or 'no wrk'}; {facts['webhook'] or 'no webhook'}; {facts['git']}."
    )
    head = ["part", "measured at (UTC)", "seconds", "calibration loop, median ms", "least to most", "spread", "load before"]
    return f"{text}\n\n{table(head, [_circumstances(name, part) for name, part in results['parts'].items()])}"


def _circumstances(name: str, part: Found) -> list[str]:
    noise, mark = part["noise"], " (quick)" if part["quick"] else ""
    span = f"{number(noise['least_ms'])} to {number(noise['most_ms'])}"
    taken, load = number(part["took_seconds"]), str(part["load_at_start"])
    return [
        name,
        part["at"].removesuffix("+00:00") + mark,
        taken,
        number(noise["median_ms"]),
        span,
        percent(noise["spread"]),
        load,
    ]


def capacity(results: Found) -> str:
    """The model's needs by size of installation."""
    given = model.Assumptions()
    parts = results["parts"]
    sizes = {size: model.needs(parts, size, given) for size in model.REPOSITORIES}
    rows = [
        [
            "**deliveries/s, pipelines/s** (busiest minute)",
            "",
            *(", ".join(number(rate) for rate in model.rates(size, given)) for size in sizes),
        ]
    ]
    for index, need in enumerate(model.needs(parts, model.REPOSITORIES[0], given)):
        rows.append(
            [
                need.service.name,
                need.service.unit,
                *(_busy(needs[index]) for needs in sizes.values()),
            ]
        )
    kept = [model.storage(parts, size, given) for size in sizes]
    rows.append(
        [
            "inbox and its audit entries",
            "",
            *(f"{k['rows_a_year'] / 1e6:,.1f} M rows, {k['gigabytes_a_year']:,.0f} GB a year" for k in kept),
        ]
    )
    return table(["resource", "unit", *(f"{size:,} repositories" for size in sizes)], rows)


def _busy(need: model.Need) -> str:
    busy = f"{number(need.units)} busy"
    return busy if need.service.unit == model.LOG else f"{busy}, {need.needed:,} needed"  # Postgres has one log


def breaking(results: Found) -> str:
    """What breaks first, and the remedy."""
    order = model.first_to_break(results["parts"], model.Assumptions())
    rows = [[str(n), need.service.name, f"{need.breaks_at:,.0f}", need.service.remedy] for n, need in enumerate(order, start=1)]
    return table(["", "resource", "full at, repositories", "remedy"], rows)
