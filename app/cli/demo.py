"""`tidegate demo`: show the whole line at work on scratch data, and check every claim as it happens."""

from __future__ import annotations

import signal
import threading
from typing import Annotated

import typer
from rich.table import Table

from app.bootstrap import Process, build
from app.cli.deployment import print_view
from app.cli.output import FAILED, coloured, command, console
from app.domain.deployment import Deployment, State, Trigger
from app.domain.errors import GateError
from app.integrations.system import operator
from app.pipeline.line.rollback import rollback
from app.settings import load_settings
from app.stack.scene import Scene

Check = tuple[str, bool]


@command
def demo(keep: Annotated[bool, typer.Option(help="Leave it running until Ctrl-C.")] = False) -> None:
    """Show an allowed, a denied, a failing and a rolled-back deployment, and their audit trail."""
    with Scene(say=lambda text: console.print(f"{text} …", style="dim")) as scene:
        process = build(load_settings(scene.env), pool_size=2)
        checks = _play(scene, process)
        _show_checks(checks)
        _show_urls(scene)
        if keep:
            _wait()
    if not all(holds for _, holds in checks):
        raise typer.Exit(FAILED)


def _play(scene: Scene, process: Process) -> list[Check]:
    _headline("1. alice pushes to main: she may deploy")
    first = _follow(process, scene.push("first release", account=scene.alice))
    checks = [("an allowed push was deployed", first.state is State.SUCCEEDED and scene.deployed() == first.sha)]

    _headline("2. mallory pushes to main: that account is not linked to a person")
    denied = _follow(process, scene.push("not mine to deploy", account=scene.mallory))
    stayed = scene.deployed() == first.sha
    checks.append(
        ("a stranger's push was denied, with the reason", denied.state is State.DENIED and bool(denied.reason) and stayed)
    )

    _headline("3. alice pushes a release that is not healthy: the last good one comes back by itself")
    broken = _follow(process, scene.push("broken release", account=scene.alice, healthy=False))
    checks.append(("a failed health check ended the deployment", broken.state is State.FAILED))
    again = _follow(process, _redeployment(process, broken))
    checks.append(("the last good release came back by itself", again.state is State.SUCCEEDED and scene.deployed() == first.sha))

    _headline("4. alice fixes it, and an operator rolls it back all the same")
    fixed = _follow(process, scene.push("second release", account=scene.alice))
    checks.append(("the fixed release was deployed", fixed.state is State.SUCCEEDED and scene.deployed() == fixed.sha))
    back = _follow(process, rollback(process.services, scene.environment, first.id, operator()).id)
    checks.append(
        ("an operator's rollback was authorised and done", back.state is State.SUCCEEDED and scene.deployed() == first.sha)
    )

    _headline("The trail of the failed deployment")
    view = process.reads.deployment(broken.id)
    print_view(view)
    entries = process.reads.audit(deployment_id=broken.id)
    for entry in entries:
        console.print(f"  {entry.seq:>4} {entry.action} by {entry.actor} {entry.detail.get('reason', '')}")
    expected = ["planned", "identified", "permitted", "granted", "dispatching", "dispatched", "failed"]
    checks.append(("its audit trail is complete", [e.action.partition(":")[2] for e in entries] == expected))
    return checks


def _follow(process: Process, deployment_id: str) -> Deployment:
    """Print the audit entries of a deployment as they come, until it has ended."""
    last_seq, pause = 0, threading.Event()
    for _ in range(600):
        deployment = process.reads.deployment(deployment_id).deployment
        for entry in process.reads.audit(deployment_id=deployment_id):
            if entry.seq > last_seq:
                last_seq = entry.seq
                state = entry.action.partition(":")[2]
                console.print(f"  {entry.at:%H:%M:%S.%f}", coloured(state), entry.detail.get("reason", ""))
        if deployment.has_ended:
            return deployment
        pause.wait(0.05)
    raise GateError(f"deployment {deployment_id} did not end")


def _redeployment(process: Process, failed: Deployment) -> str:
    followers = [d for d in process.reads.deployments(20) if d.trigger is Trigger.FAILURE and d.position == failed.position]
    if not followers:
        raise GateError("no redeployment was planned")
    return followers[0].id


def _headline(text: str) -> None:
    console.print(f"\n{text}", style="bold")


def _show_checks(checks: list[Check]) -> None:
    console.print()
    for text, holds in checks:
        console.print(f"{'yes' if holds else 'NO '} {text}", style="green" if holds else "red")


def _show_urls(scene: Scene) -> None:
    table = Table(show_header=False, title="To look at (while it runs: `tidegate demo --keep`)", title_justify="left")
    table.add_row("receiver", f"{scene.running.web_url}/readyz")
    table.add_row("metrics", f"{scene.running.web_url}/metrics")
    table.add_row("token keys", f"{scene.running.web_url}/.well-known/jwks.json")
    table.add_row("Flower", f"{scene.running.flower_url} (user ops, password in {scene.running.state}/secrets/flower)")
    console.print(table)


def _wait() -> None:
    ended = threading.Event()
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(name, lambda *_: ended.set())
    console.print("Ctrl-C ends the demo.")
    ended.wait()
