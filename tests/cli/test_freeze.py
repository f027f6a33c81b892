"""`tidegate freeze …` as an operator uses it, against a real database."""

from __future__ import annotations

import json
import os
import pwd
from pathlib import Path

import pytest
from sqlalchemy import Engine

from app.config.example import write_example
from app.stack.postgres import EmbeddedPostgres
from app.store.reads import Reads
from tests.cli.desk import Command, sit_down

ME = pwd.getpwuid(os.getuid()).pw_name
YEAR_END = ("--environment", "production", "--from", "2126-12-18 15:00", "--to", "2127-01-02 08:00", "--reason", "nobody is in")


class Desk(Command):
    """A folder with the example configuration, its environment in Berlin, and the command."""

    def __init__(self, folder: Path) -> None:
        super().__init__("freeze")
        write_example(folder)
        config = folder / "tidegate.toml"
        place = '[[environments]]\nname = "production"\n'
        assert place in config.read_text()
        config.write_text(config.read_text().replace(place, f'{place}time_zone = "Europe/Berlin"\n'))
        self.config = config


@pytest.fixture
def desk(folder: Path, postgres: EmbeddedPostgres, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk(folder)
    sit_down(folder, postgres, monkeypatch)
    return made


def test_an_operator_freezes_looks_and_ends(desk: Desk, engine: Engine) -> None:
    span = "from Wed 2126-12-18 15:00 CET until Thu 2127-01-02 08:00 CET"
    assert desk.run("add", "year-end", *YEAR_END) == (0, f"year-end freezes production: {span}\n", "")
    code, out, _ = desk.run("list")
    assert code == 0 and f"year-end  production   {span}" in out and f"os:{ME}  nobody is in" in out
    assert desk.run("end", "year-end") == (0, "year-end no longer freezes production\n", "")
    assert desk.json("list") == []
    code, out, _ = desk.run("list", "--all")
    assert code == 0 and "ended " in out and f"by os:{ME}" in out
    entries = [(e.action, e.actor) for e in Reads(engine).audit() if e.action.startswith("freeze:")]
    assert entries == [("freeze:added", f"os:{ME}"), ("freeze:ended", f"os:{ME}")]


def test_a_freeze_that_no_policy_asks_for_is_warned_about(desk: Desk) -> None:
    policy = desk.config.parent / "policies" / "deploy.cedar"
    heeded = policy.read_text()
    assert desk.run("add", "year-end", *YEAR_END)[2] == ""
    policy.write_text(heeded.replace("context.frozen", 'context.freezes.contains("incident")'))
    assert desk.run("add", "incident", "--everywhere", "--for", "1h", "--reason", "r")[2] == ""
    policy.write_text(heeded.replace("context.frozen", "context.forced"))
    code, out, err = desk.run("add", "unheeded", "--everywhere", "--for", "1h", "--reason", "r")
    assert code == 0 and out.startswith("unheeded freezes everywhere")
    assert err == "warning: no policy about production asks for context.frozen, so this freeze stops nothing there\n"


def test_machines_read_it_as_json(desk: Desk) -> None:
    added = desk.json("add", "year-end", *YEAR_END)
    window = {"begins_at": "2126-12-18T14:00:00+00:00", "ends_at": "2127-01-02T07:00:00+00:00"}
    assert (added["name"], added["environment"], added["time_zone"]) == ("year-end", "production", "Europe/Berlin")
    assert (added["starts_at"], added["lasts"], added["window"]) == ("2126-12-18T15:00:00", 1270800.0, window)
    assert desk.json("list", "--environment", "production") == [added]
    ended = desk.json("end", added["id"][-12:])
    assert (ended["id"], ended["ended_by"], ended["is_in_force"]) == (added["id"], f"os:{ME}", False)
    assert [each["id"] for each in desk.json("list", "--all")] == [added["id"]]


def test_a_freeze_may_begin_now_and_be_of_everything(desk: Desk) -> None:
    code, out, _ = desk.run("add", "incident", "--everywhere", "--for", "2d12h", "--reason", "the database is on fire")
    assert code == 0 and out.startswith("incident freezes everywhere: in force until ")
    (found,) = desk.json("list")
    assert (found["environment"], found["is_in_force"], found["rule"]) == (None, True, None)


@pytest.mark.parametrize(
    ("every", "window"),
    [
        ("FREQ=WEEKLY;BYDAY=FR", ["2126-12-20T14:00:00+00:00", "2126-12-23T07:00:00+00:00"]),
        ("weekly", ["2126-12-18T14:00:00+00:00", "2126-12-21T07:00:00+00:00"]),
    ],
)
def test_a_freeze_may_recur(desk: Desk, every: str, window: list[str]) -> None:
    rest = ("--environment", "production", "--from", "2126-12-18 15:00", "--for", "65h", "--reason", "weekend")
    added = desk.json("add", "weekends", *rest, "--every", every)
    assert list(added["window"].values()) == window
    assert (added["rule"], added["until"]) == (every, None)
    code, out, _ = desk.run("list")
    assert code == 0 and every in out


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("add", "x", "--reason", "r", "--for", "1h"), 1, "give either --environment or --everywhere"),
        (("add", "x", "--reason", "r", "--for", "1h", "--everywhere", "--environment", "production"), 1, "either --environment"),
        (("add", "x", "--reason", "r", "--for", "1h", "--environment", "nowhere"), 3, "there is no environment nowhere"),
        (("add", "x", "--reason", "r", "--for", "1 hour", "--everywhere"), 1, "'1 hour' is not a length, such as 65h, 90m"),
        (("add", "x", "--reason", "r", "--for", "", "--everywhere"), 1, "'' is not a length"),
        (("add", "x", "--reason", "r", "--for", "0h", "--everywhere"), 1, "a freeze ends after it starts"),
        (("add", "x", "--reason", "r", "--for", "9999w9999d99999h", "--everywhere"), 1, "lasts at most 3660 days"),
        (("add", "x", "--reason", "r", "--to", "2020-01-01", "--everywhere"), 1, "a freeze ends after it starts"),
        (("add", "x", "--reason", "r", "--from", "2019-01-01", "--to", "2020-01-01", "--everywhere"), 1, "is over already"),
        (
            ("add", "x", "--reason", "r", "--from", "now", "--for", "1h", "--everywhere"),
            1,
            "'now' is not a time: 2026-12-18 15:00",
        ),
        (("add", "x", "--reason", "r", "--everywhere"), 1, "a freeze needs either its end or its length"),
        (("add", "x", "--reason", "r", "--for", "1h", "--everywhere", "--time-zone", "Berlin"), 1, "'Berlin' is not a time zone"),
        (("add", "x", "--reason", "r", "--for", "1h", "--everywhere", "--every", "FREQ=MINUTELY"), 1, "FREQ is one of YEARLY"),
        (("end", "nothing"), 3, "there is no open freeze 'nothing'"),
        (("list", "--environment", "nowhere"), 3, "there is no environment nowhere"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(desk: Desk, arguments: tuple[str, ...], code: int, says: str) -> None:
    ended, out, told = desk.run(*arguments)
    assert (ended, out, told.count("\n")) == (code, "", 1)
    assert says in told


def test_a_name_is_taken_until_it_is_ended(desk: Desk) -> None:
    ran = [
        desk.run(*arguments) for arguments in (("add", "year-end", *YEAR_END), ("add", "year-end", *YEAR_END), ("list", "--json"))
    ]
    assert [code for code, _, _ in ran] == [0, 1, 0]
    assert ran[1][2] == "tidegate: there is an open freeze year-end; end it first: tidegate freeze end year-end\n"
    assert [each["name"] for each in json.loads(ran[2][1])] == ["year-end"]
