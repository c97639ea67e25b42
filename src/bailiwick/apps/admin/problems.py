"""Errors of the control plane: problem details (RFC 9457) with our stable `code`, and `errors` for wrong fields.

`type` is `about:blank`, so `title` is the status's own phrase; what a machine decides by is `code`. The request's id
is in the header alone: the bodies of what is absent and of what is another tenant's are the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import BaseRoute, Match, Route

from bailiwick.domain.errors import STATUS, Code, Refused, Unavailable
from bailiwick.domain.fields import FieldError, Invalid
from bailiwick.domain.versions import Changed

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_FIELD: Final = 200
# As RFC 9110 has them: Python's own differ from version to version.
_PHRASES: Final = {413: "Content Too Large", 422: "Unprocessable Content"}

# What pydantic found, in our words: a clause that goes on from the field's name, and never the value.
_MESSAGES: Final = {
    "extra_forbidden": "unknown field",
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "none_required": "must be null",
    "not_supported_yet": "not supported yet",
    "unstorable": "must not contain NUL or half of a surrogate pair",
}


class UnsupportedMediaType(Refused):
    """The body is in a form that this address does not take (415)."""

    def __init__(self) -> None:
        """Told with what would be taken."""
        message = "The body must be JSON: send the header Content-Type: application/json."
        super().__init__(Code.INVALID_REQUEST, message, status=HTTPStatus.UNSUPPORTED_MEDIA_TYPE)


def problem(refused: Refused) -> Response:
    """Write a refusal."""
    headers: dict[str, str] = {}
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if refused.retry_after is not None:
        headers["Retry-After"] = str(refused.retry_after)
    current: Mapping[str, object] | None = None
    if isinstance(refused, Changed):
        current = refused.document
        headers["ETag"] = refused.etag
    errors = refused.errors if isinstance(refused, Invalid) else ()
    if not errors and refused.param is not None:
        errors = (FieldError(field=refused.param, message=refused.message),)
    return _written(refused.status, refused.code, refused.message, errors, headers, current)


def unexpected() -> Response:
    """Write what a client is told of an error that nobody expected: nothing but that it was ours."""
    message = "An internal error occurred. Please report the request id."
    return _written(HTTPStatus.INTERNAL_SERVER_ERROR, Code.INTERNAL_ERROR, message)


def not_valid(error: RequestValidationError | ValidationError, *, below: Sequence[str] = ()) -> Invalid:
    """Say what a model found wrong; `below` names the leading places that are no fields (`body`)."""
    found = [FieldError(field=_field(item["loc"][len(below) :]), message=_message(item)) for item in error.errors()]
    # A union reports each of its members; the first of a field says enough.
    return Invalid(*{item.field: item for item in reversed(found)}.values())


def add_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Answer whatever the framework or we refuse with a problem; `routes` are those that 405 tells methods of."""

    async def refused(request: Request, error: Exception) -> Response:
        if not isinstance(error, Refused):
            raise error
        if isinstance(error, Unavailable):
            request.state.trouble = error.cause
        return problem(error)

    async def not_understood(_request: Request, error: Exception) -> Response:
        if not isinstance(error, RequestValidationError):
            raise error
        return problem(not_valid(error, below=("body",)))

    async def of_framework(request: Request, error: Exception) -> Response:
        if not isinstance(error, HTTPException):
            raise error
        if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            message = "This address does not take this method."
            allowed = {"Allow": ", ".join(sorted(_methods(routes, request)))}
            return _written(error.status_code, Code.METHOD_NOT_ALLOWED, message, headers=allowed)
        if error.status_code == HTTPStatus.NOT_FOUND:
            return problem(Refused(Code.NOT_FOUND, "There is nothing at this address."))
        return _written(error.status_code, Code.INVALID_REQUEST, HTTPStatus(error.status_code).phrase + ".")

    app.add_exception_handler(Refused, refused)
    app.add_exception_handler(RequestValidationError, not_understood)
    app.add_exception_handler(HTTPException, of_framework)


def schema() -> dict[str, object]:
    """The problem details as JSON Schema."""
    return {
        "title": "Problem",
        "description": "Problem details (RFC 9457). `code` is stable; `errors` names each wrong field; `current` "
        "is what is there instead of the version that If-Match names.",
        "type": "object",
        "required": ["type", "title", "status", "detail", "code"],
        "properties": {
            "type": {"type": "string", "const": "about:blank"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string", "enum": [code.value for code in STATUS]},
            "current": {"type": "object"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["field", "message"],
                    "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                },
            },
        },
    }


def _written(
    status: int,
    code: Code,
    detail: str,
    errors: Sequence[FieldError] = (),
    headers: Mapping[str, str] | None = None,
    current: Mapping[str, object] | None = None,
) -> Response:
    document: dict[str, object] = {
        "type": "about:blank",
        "title": _PHRASES.get(status, HTTPStatus(status).phrase),
        "status": int(status),
        "detail": detail,
        "code": code.value,
    }
    if errors:
        document["errors"] = [{"field": error.field, "message": error.message} for error in errors]
    if current is not None:
        document["current"] = current
    return Response(msgspec.json.encode(document), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def _field(places: Sequence[object]) -> str:
    return ".".join(map(str, places))[:_LONGEST_FIELD] or "body"


def _message(item: Mapping[str, Any]) -> str:
    # `literal_error` has no fixed text: what is expected differs.
    if item["type"] == "literal_error":
        return f"must be one of {item['ctx']['expected']}"
    return _MESSAGES.get(item["type"], "is not valid")


def _methods(routes: Sequence[BaseRoute], request: Request) -> set[str]:
    methods: set[str] = set()
    for route in routes:
        if isinstance(route, Route) and route.matches(request.scope)[0] is not Match.NONE:
            methods |= route.methods or set()
    return methods
