"""Who may do what: `docs/who-may.md` has a row for each route, and each route answers each caller as its row says."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer

from app.cli.main import app as command_line
from app.domain.deployment import Stage
from app.store.queue import wakes
from tests.integrations.targets.cast import Service, says, serving
from tests.web.gate import Browser, Gate
from tests.web.people.test_callers import EDGE_KEY, assertion, edge_table
from tests.web.people.test_protect import EXAMPLES

PAGE = (Path(__file__).parents[2] / "docs" / "who-may.md").read_text()
TASKS = "".join((Path(__file__).parents[2] / "workers" / name).read_text() for name in ("stages.py", "periodic.py"))
PEOPLE = """\
[[people]]
subject = "alice"
groups = ["deployers"]
[[people]]
subject = "bea@example.com"
groups = ["deployers"]
[[people]]
subject = "agent@example.com"
kind = "agent"
owner = "alice"
[[people]]
subject = "machine@example.com"
kind = "machine"
"""
BEARERS = {"bearer": "bea@example.com", "agent": "agent@example.com", "machine": "machine@example.com"}
CALLERS = ("stranger", *BEARERS, "person")
UNSPOKEN = {"HEAD", "OPTIONS"}
PARAMETERS = EXAMPLES | {"<issuer>": "corp", "<path:filename>": "page.css"}
LISTS = ("approvals", "deployments", "overrides", "proposals")


def rows(title: str) -> list[list[str]]:
    """Read the table under a heading, without its own heading."""
    part = PAGE.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    table = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def routes() -> dict[str, dict[str, str]]:
    """Map each route to the word for each caller."""
    return {row[0].strip("`"): dict(zip(CALLERS, row[2:], strict=True)) for row in rows("Routes")}


def names(title: str) -> set[str]:
    return {name for row in rows(title) for name in re.findall(r"`([^`]+)`", row[0])}


def commands(group: Any, *words: str) -> Iterator[str]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name))


@pytest.fixture
def edge() -> Iterator[Service]:
    with serving() as service:
        service.answer = says(200, json.dumps({"keys": [EDGE_KEY.as_dict(private=False)]}).encode())
        yield service


def served(gate: Gate) -> set[str]:
    """List the routes of the app. SCIM's are one: the same token is asked for before any of them."""
    found = set()
    for rule in gate.app.url_map.iter_rules():
        for method in (rule.methods or set()) - UNSPOKEN:
            found.add("ANY /scim/v2" if rule.rule.startswith("/scim/v2") else f"{method} {rule.rule}")
    return found


def path_of(route: str) -> tuple[str, str]:
    method, _, path = route.partition(" ")
    for name, value in PARAMETERS.items():
        path = path.replace(name, value)
    return ("GET", "/scim/v2/Users") if method == "ANY" else (method, path)


def ask(gate: Gate, route: str, client: httpx.Client, csrf: str) -> httpx.Response:
    """Ask with all that a browser would send, and nothing in it."""
    method, path = path_of(route)
    headers = {"origin": gate.url, "x-csrf-token": csrf}
    if method == "GET":
        return client.request(method, gate.url + path)
    if path.startswith(("/account", "/logout")):
        return client.request(method, gate.url + path, headers=headers, data={"csrf_token": csrf})
    return client.request(method, gate.url + path, headers=headers, json={})


def fits(word: str, answer: httpx.Response) -> bool:
    code = answer.status_code
    match word:
        case "proof":
            return code in (401, 403, 404)
        case "401" | "403":
            return code == int(word)
        case "sign-in":
            return code == 303 and answer.headers["location"].startswith("/login")
        case "open":
            return code not in (401, 403)
        case "reads" | "own":
            return code in (200, 404)
        case "acts":
            return code in (200, 201, 204, 303, 400, 404, 409, 415)
    raise AssertionError(f"the word {word!r} is not explained")


def test_each_route_has_a_row_and_no_row_is_left_over(gate: Gate) -> None:
    assert set(routes()) == served(gate)


def test_each_command_has_a_row_and_no_row_is_left_over() -> None:
    assert names("Commands") == set(commands(typer.main.get_command(command_line)))


def test_each_message_has_a_row_and_no_row_is_left_over() -> None:
    words = {name for name in vars(wakes) if name.isupper() and f"name={name})" in TASKS}
    assert names("Messages") == {getattr(wakes, name) for name in words} | set(Stage)
    assert len(names("Messages")) == TASKS.count("@app.task(")


def test_invariant_16_each_route_answers_each_caller_as_its_row_says(gate: Gate, browser: Browser, edge: Service) -> None:
    gate.configure(people=PEOPLE, more=edge_table(edge))
    browser.sign_in()
    csrf = browser.api("GET", "/me").json()["csrf_token"]
    clients = {"stranger": httpx.Client(timeout=20), "person": browser.http}
    for name, subject in BEARERS.items():
        token = assertion(gate, email=subject)
        clients[name] = httpx.Client(timeout=20, headers={"authorization": f"Bearer {token}"})
    wrong = []
    ordered = sorted(routes().items(), key=lambda row: row[0] == "POST /logout")  # it ends the session
    for route, words in ordered:
        for caller, word in words.items():
            answer = ask(gate, route, clients[caller], csrf)
            if not fits(word, answer):
                wrong.append((route, caller, word, answer.status_code, answer.text[:120]))
            if word == "own" and route.rpartition("/")[2] in LISTS:
                assert list(answer.json().values()) == [[]], (route, caller)
    assert wrong == []
    assert gate.rows("SELECT count(*) FROM deployments") == gate.rows("SELECT count(*) FROM votes") == [(0,)]


def test_proposing_a_file_does_not_show_the_one_in_force_to_a_caller_that_reads_nothing(
    gate: Gate, browser: Browser, edge: Service
) -> None:
    """The difference to the file in force is that file."""
    gate.configure(people=PEOPLE, more=edge_table(edge))
    (gate.folder / "policies" / "secret.cedar").write_text(
        '@id("hidden-one") forbid (principal == Principal::"mallory", action, resource);'
    )
    body = {"kind": "policy", "file": "secret.cedar", "reason": "let me see what it says"}
    body["text"] = '@id("other") forbid (principal == Principal::"nobody", action, resource);'
    token = assertion(gate, email="agent@example.com")
    agent = httpx.Client(timeout=20, headers={"authorization": f"Bearer {token}"}, base_url=f"{gate.url}/api/v1")
    made = agent.post("/proposals", json=body)
    assert made.status_code == 201 and made.json()["text"] == body["text"], made.text
    for answer in (made, agent.get(f"/proposals/{made.json()['id']}")):
        assert answer.json()["diff"] is None and "hidden-one" not in answer.text
    browser.sign_in()
    assert "hidden-one" in browser.api("GET", f"/proposals/{made.json()['id']}").json()["diff"]
