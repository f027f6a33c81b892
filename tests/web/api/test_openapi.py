"""The description of the API is of all that it does, and of nothing else."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

from tests.web.gate import Browser, Gate

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def described(gate: Gate) -> dict[str, Any]:
    answer = httpx.get(f"{gate.url}/api/v1/openapi.json", timeout=20)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_it_is_valid(described: dict[str, Any]) -> None:
    validate(described)


def test_every_route_is_described_and_every_description_is_a_route(gate: Gate, described: dict[str, Any]) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", str(rule).removeprefix("/api/v1")), method.lower())
        for rule in gate.app.url_map.iter_rules()
        if str(rule).startswith("/api/v1/")
        for method in (rule.methods or set()) & METHODS
    }
    assert routes == {(path, method) for path, methods in described["paths"].items() for method in methods}


def check(described: dict[str, Any], path: str, method: str, answer: httpx.Response) -> None:
    """Make sure that an answer is one that is described."""
    said = described["paths"][path][method]["responses"][str(answer.status_code)]
    kind = answer.headers["content-type"].partition(";")[0]
    schema = said["content"][kind]["schema"] | {"components": described["components"]}
    Draft202012Validator(schema).validate(answer.json())


@pytest.mark.parametrize("path", ["/me", "/links", "/approvals", "/deployments", "/overrides", "/proposals"])
def test_what_is_answered_is_what_is_described(gate: Gate, browser: Browser, described: dict[str, Any], path: str) -> None:
    browser.sign_in()
    answer = browser.api("GET", path)
    assert answer.status_code == 200
    check(described, path, "get", answer)
    stranger = httpx.get(f"{gate.url}/api/v1{path}", timeout=20)
    assert stranger.status_code == 401
    check(described, path, "get", stranger)


def test_what_is_not_found_and_what_is_not_understood_are_described(browser: Browser, described: dict[str, Any]) -> None:
    browser.sign_in()
    nobody = "01890000-0000-7000-8000-000000000001"
    missing = browser.api("GET", f"/deployments/{nobody}")
    assert missing.status_code == 404
    check(described, "/deployments/{deployment}", "get", missing)
    odd = browser.api("GET", "/deployments?limit=many")
    assert odd.status_code == 400 and "limit" in odd.json()["detail"]
    check(described, "/deployments", "get", odd)
