"""`/api/v1/openapi.json`: the API's description (OpenAPI 3.1), made from the models and one table (`operations.py`)."""

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

from app.answers.answer import Problem
from app.bootstrap import Process
from app.web.api.operations import OPERATIONS, UNIVERSAL, Operation
from app.web.people.callers import ASSERTION, CSRF_HEADER
from app.web.people.protect import Needs
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
    """Add this route to the API. Anybody may read the description, since it holds no secret."""

    @blueprint.get("/openapi.json")
    def openapi() -> Response:
        return jsonify(describe(str(process.settings.public_url).rstrip("/"), Cookie.of(process.settings).name))


@cache
def describe(public_url: str, cookie: str) -> dict[str, Any]:
    """Describe the API of a gate at this URL, with this name of the session's cookie."""
    models = _models(OPERATIONS)
    schemas, definitions = models_json_schema(models, ref_template=REFERENCE)
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schemas)
    return {
        "openapi": "3.1.1",
        "info": {"title": "Tidegate", "version": version("tidegate"), "description": "An identity-aware deployment gate."},
        "servers": [{"url": f"{public_url}/api/v1"}],
        "paths": paths,
        "components": {"schemas": definitions["$defs"], "securitySchemes": _schemes(cookie)},
    }


def _models(operations: Iterable[Operation]) -> list[tuple[type[BaseModel], Mode]]:
    models: list[tuple[type[BaseModel], Mode]] = [(Problem, "serialization")]
    for operation in operations:
        models += [(operation.body, "validation")] if operation.body is not None else []
        models += [(operation.answer, "serialization")] if operation.answer is not None else []
    return list(dict.fromkeys(models))


def _operation(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    problem = {"application/problem+json": {"schema": schemas[Problem, "serialization"]}}
    statuses = sorted({*UNIVERSAL, *operation.problems})
    description: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "security": SECURITY[operation.needs],
        "parameters": [*_in_path(operation.path), *_in_query(operation.query)],
        "responses": {
            str(operation.status): {"description": HTTPStatus(operation.status).phrase} | _success(operation, schemas),
            **{str(status): {"description": HTTPStatus(status).phrase, "content": problem} for status in statuses},
        },
    }
    if operation.body is not None:
        content = {"application/json": {"schema": schemas[operation.body, "validation"]}}
        description["requestBody"] = {"required": True, "content": content}
    return description


def _success(operation: Operation, schemas: Schemas) -> dict[str, Any]:
    if operation.status == HTTPStatus.NO_CONTENT:
        return {}
    schema = schemas[operation.answer, "serialization"] if operation.answer is not None else {"type": "object"}
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
    """Spell each field of the model as a parameter, with its references written out."""
    if query is None:
        return []
    whole = query.model_json_schema()
    definitions = whole.get("$defs", {})
    return [
        {"name": name, "in": "query", "schema": _write_out(field, definitions)} for name, field in whole["properties"].items()
    ]


def _write_out(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_write_out(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _write_out(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    return {name: _write_out(part, definitions) for name, part in schema.items()}


def _schemes(cookie: str) -> dict[str, Any]:
    proof = (
        "The session's `csrf_token` (`GET /me`); the request also carries the gate's own Origin, or Sec-Fetch-Site: same-origin."
    )
    return {
        "session": {"type": "apiKey", "in": "cookie", "name": cookie, "description": "A sign-in with a browser."},
        "csrf": {"type": "apiKey", "in": "header", "name": CSRF_HEADER, "description": proof},
        "bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token of a configured issuer."},
        "instance": {"type": "http", "scheme": "bearer", "description": "One of the forge's `decide_secrets`."},
        "access": {
            "type": "apiKey",
            "in": "header",
            "name": ASSERTION,
            "description": "The assertion that Cloudflare Access adds.",
        },
    }
