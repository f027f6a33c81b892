"""`/api/v1/openapi.json`: what the API takes and answers (OpenAPI 3.1), made from the models and one table (`operations.py`)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Literal

from flask import Blueprint, Response, jsonify
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from app.bootstrap import Process
from app.web.api.answers import Problem
from app.web.api.operations import OPERATIONS, UNIVERSAL, Needs, Operation
from app.web.people.callers import ASSERTION, CSRF_HEADER
from app.web.people.sessions import Cookie

REFERENCE = "#/components/schemas/{model}"
IDS = frozenset({"deployment", "proposal"})  # parameters of paths that are ids; others are names
Mode = Literal["validation", "serialization"]
Schemas = Mapping[Any, dict[str, Any]]  # by model and mode
SECURITY: dict[Needs, list[dict[str, list[str]]]] = {
    Needs.NOBODY: [],
    Needs.CALLER: [{"session": []}, {"bearer": []}, {"access": []}],
    Needs.INTENT: [{"session": [], "csrf": []}, {"bearer": []}, {"access": []}],
    Needs.PERSON: [{"session": [], "csrf": []}],
    Needs.INSTANCE: [{"instance": []}],
}


def add_routes(blueprint: Blueprint, process: Process) -> None:
    """Add it to the API's room. It holds no secret, and is told to anybody."""

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(describe(str(process.settings.public_url).rstrip("/"), Cookie.of(process.settings).name))


@cache
def describe(public_url: str, cookie: str) -> dict[str, Any]:
    """Describe the API of a gate at this URL, whose session's cookie is called so."""
    models = _models(OPERATIONS)
    schemas, definitions = models_json_schema(models, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for each in OPERATIONS:
        paths.setdefault(each.path, {})[each.method] = _operation(each, schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Tidegate", "version": version("tidegate"), "description": "An identity-aware deployment gate."},
        "servers": [{"url": f"{public_url}/api/v1"}],
        "paths": paths,
        "components": {"schemas": definitions["$defs"], "securitySchemes": _schemes(cookie)},
    }


def _models(operations: Iterable[Operation]) -> list[tuple[type[BaseModel], Mode]]:
    found: list[tuple[type[BaseModel], Mode]] = [(Problem, "serialization")]
    for each in operations:
        found += [(each.body, "validation")] if each.body is not None else []
        found += [(each.answer, "serialization")] if each.answer is not None else []
    return list(dict.fromkeys(found))


def _operation(each: Operation, schemas: Schemas) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": schemas[Problem, "serialization"]}}
    statuses = sorted({*UNIVERSAL, *each.problems})
    made: dict[str, Any] = {
        "operationId": each.name,
        "summary": each.summary,
        "security": SECURITY[each.needs],
        "parameters": [*_in_path(each.path), *_in_query(each.query)],
        "responses": {
            str(each.status): {"description": HTTPStatus(each.status).phrase} | _answered(each, schemas),
            **{str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in statuses},
        },
    }
    if each.body is not None:
        content = {"application/json": {"schema": schemas[each.body, "validation"]}}
        made["requestBody"] = {"required": True, "content": content}
    return made


def _answered(each: Operation, schemas: Schemas) -> dict[str, Any]:
    if each.status == HTTPStatus.NO_CONTENT:
        return {}
    schema = schemas[each.answer, "serialization"] if each.answer is not None else {"type": "object"}
    return {"content": {"application/json": {"schema": schema}}}


def _in_path(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "schema": {"type": "string", "format": "uuid"} if name in IDS else {"type": "string"},
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]


def _in_query(query: type[BaseModel] | None) -> list[dict[str, Any]]:
    """Spell each field of the model as a parameter, with what it refers to written out."""
    if query is None:
        return []
    whole = query.model_json_schema()
    kept = whole.get("$defs", {})
    return [{"name": name, "in": "query", "schema": _whole(field, kept)} for name, field in whole["properties"].items()]


def _whole(schema: Any, kept: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_whole(each, kept) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _whole(kept[schema["$ref"].rpartition("/")[2]], kept)
    return {name: _whole(each, kept) for name, each in schema.items()}


def _schemes(cookie: str) -> dict[str, Any]:
    proof = (
        "The session's `csrf_token` (`GET /me`); the request also carries the gate's own Origin, or Sec-Fetch-Site: same-origin."
    )
    return {
        "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "A sign-in with a browser."},
        "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": proof},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of a configured issuer."},
        "instance": {"type": "http", "scheme": "bearer", "description": "One of the forge's `decide_secrets`."},
        "access": {"type": "apiKey", "in": "header", "name": ASSERTION, "description": "What Cloudflare Access puts in."},
    }
