"""Tidegate, a deployment gate. Exit codes: 0 done, 1 failed or denied, 2 bad configuration, 3 not found, 4 unavailable."""

from __future__ import annotations

import logging

import typer

from app.cli import (
    approval,
    audit,
    config,
    delivery,
    demo,
    deployment,
    environment,
    freeze,
    gogs,
    notice,
    override,
    proposal,
    scim,
    session,
    stack,
)
from app.cli.access import commands as access
from app.cli.policy import commands as policy

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
app.command("up")(stack.up)
app.command("restart")(stack.restart)
app.command("demo")(demo.demo)
app.add_typer(delivery.app, name="delivery")
app.add_typer(deployment.app, name="deployment")
app.add_typer(approval.app, name="approval")
app.add_typer(override.app, name="override")
app.add_typer(proposal.app, name="proposal")
app.add_typer(policy.app, name="policy")
app.add_typer(access.app, name="access")
app.add_typer(environment.app, name="environment")
app.add_typer(freeze.app, name="freeze")
app.add_typer(gogs.app, name="gogs")
app.add_typer(audit.app, name="audit")
app.add_typer(config.app, name="config")
app.add_typer(notice.app, name="notice")
app.add_typer(scim.app, name="scim")
app.add_typer(session.app, name="session")


def main() -> None:
    """Run the command line."""
    logging.getLogger("app").addHandler(logging.NullHandler())  # a command prints its own line about a fault
    app()
