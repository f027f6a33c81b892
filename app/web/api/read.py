"""Read requests of `/api/v1` and write its answers, by the models from which its description is made (`openapi.py`)."""

from __future__ import annotations

from typing import Any, TypeVar

from flask import Response, jsonify, request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from app.domain.errors import BadRequest, TooLarge, UnsupportedContent
from app.web.people.protect import LARGEST_REQUEST

Model = TypeVar("Model", bound=BaseModel)
# Pydantic's own messages for these would repeat the input.
_OWN_WORDS = {
    "json_invalid": "not JSON",
    "union_tag_invalid": "not one of the known kinds",
    "union_tag_not_found": "Field required",
}


def read_body(model: type[Model], largest: int = LARGEST_REQUEST) -> Model:
    """Read the request's JSON; raises UnsupportedContent, TooLarge, or BadRequest, which names the fault but no value."""
    if request.mimetype != "application/json":
        raise UnsupportedContent("the body must be application/json")
    request.max_content_length = largest
    try:
        return model.model_validate_json(request.get_data())
    except RequestEntityTooLarge:
        raise TooLarge(f"the request is larger than {largest} bytes") from None
    except ValidationError as fault:
        raise _bad_request(fault, "body") from None


def read_query(model: type[Model]) -> Model:
    """Read the query parameters; raises BadRequest, which names the fault but no value."""
    several = [name for name, values in request.args.lists() if len(values) > 1]
    if several:
        raise BadRequest("a parameter is given more than once")
    try:
        return model.model_validate(request.args.to_dict())
    except ValidationError as fault:
        raise _bad_request(fault, "query") from None


def answer(model: BaseModel) -> Response:
    """Write an answer."""
    return jsonify(model.model_dump(mode="json"))


def _bad_request(fault: ValidationError, whole: str) -> BadRequest:
    faults = (f"{'.'.join(map(str, error['loc'])) or whole}: {_message(error)}" for error in fault.errors())
    return BadRequest("; ".join(sorted(faults)))


def _message(error: Any) -> str:
    return _OWN_WORDS.get(error["type"]) or str(error["msg"])
