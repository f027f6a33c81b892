"""The real `tidegate scim token …` on a real database: shown once, listed without its secret, revoked, audited."""

from __future__ import annotations

from sqlalchemy import Engine, text

from app.domain.scim import digest_of
from tests.cli.test_cli import CONFIGURATION, ME, NOT_FOUND, TIDEGATE_TOML, UNKNOWN, Cli, cli

FAILED = 1
__all__ = ["cli"]


def test_a_token_is_made_listed_and_revoked(cli: Cli, engine: Engine) -> None:
    (cli.folder / "tidegate.toml").write_text(f'{TIDEGATE_TOML}\n[identity.directory]\nkind = "scim"\n')
    made = cli("scim", "token", "create", "directory", "--client", "okta", "--json").json
    assert (made["source"], made["client"]) == ("directory", "okta")
    assert made["url"] == "http://127.0.0.1:8300/scim/v2"
    with engine.connect() as connection:
        (row,) = connection.execute(text("SELECT * FROM scim_tokens")).all()
        assert row.digest == digest_of(made["token"])
        assert made["token"] not in str(row)
    for_people = cli("scim", "token", "create", "directory", "--client", "okta")
    assert for_people.code == 0
    assert sum(line.startswith("tgs_") for line in for_people.text.splitlines()) == 1
    listed, shown = cli.each(("scim", "token", "list", "--json"), ("scim", "token", "list"))
    assert [(each["client"], each["created_by"], each["revoked_at"]) for each in listed.json] == [("okta", f"os:{ME}", None)] * 2
    assert made["token"] not in listed.text + shown.text
    assert made["id"][-12:] in shown.text
    assert cli("scim", "token", "revoke", made["id"][-12:], "--json").json["revoked"]["id"] == made["id"]
    assert cli("scim", "token", "revoke", made["id"]).text == "it was already revoked\n"
    with engine.connect() as connection:
        entries = connection.execute(
            text("SELECT action, actor, detail FROM audit_entries WHERE action LIKE 'access:%' ORDER BY seq")
        )
        told = [(row.action, row.actor, row.detail["client"]) for row in entries]
    assert told == [(f"access:token-{verb}", f"os:{ME}", "okta") for verb in ("created", "created", "revoked")]


def test_what_cannot_be_is_told_in_one_line(cli: Cli) -> None:
    (cli.folder / "tidegate.toml").write_text(f'{TIDEGATE_TOML}\n[identity.directory]\nkind = "scim"\n')
    nowhere, unnamed, unknown = cli.each(
        ("scim", "token", "create", "nowhere", "--client", "okta"),
        ("scim", "token", "create", "directory", "--client", " "),
        ("scim", "token", "revoke", UNKNOWN),
    )
    assert nowhere.ended_with(NOT_FOUND) == 'there is no [identity.nowhere] with kind = "scim" in the configuration'
    unnamed.ended_with(FAILED)
    unknown.ended_with(NOT_FOUND)
    (cli.folder / "tidegate.toml").write_text(f'{TIDEGATE_TOML}\n[identity.directory]\nkind = "scim"\nsubject = "emails"\n')
    assert "identity.directory.subject" in cli("config", "check").ended_with(CONFIGURATION)
