"""The control plane's own description, as OpenAPI 3.1 at `/admin/openapi.json`."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from bailiwick.apps.admin.problems import MEDIA_TYPE, schema
from bailiwick.domain.repeats import MAX_KEY

_PARAMETER: Final = re.compile(r"\{(\w+)\}")
_CHANGING: Final = frozenset({"patch", "delete"})
# What is done to a thing that is there, though it is a POST.
_ACTS: Final = ("/rotate", "/revoke")
_IF_MATCH: Final = {
    "name": "If-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of the version that is meant, several, or `*`; 412 if there is another one.",
    "schema": {"type": "string"},
}
_IDEMPOTENCY_KEY: Final = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "What is sent again with the same key and body is answered again, for a day, and not done again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": MAX_KEY, "pattern": "^[!-~]+$"},
}
_PROBLEM: Final = {
    "description": "A problem, by its code.",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}


def describe(app: FastAPI, *, version: str) -> Callable[[], dict[str, Any]]:
    """Return what describes `app`, made at its first call."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _described(app, version)
        return app.openapi_schema

    return openapi


def _described(app: FastAPI, version: str) -> dict[str, Any]:
    document = get_openapi(
        title="Bailiwick control plane",
        version=version,
        description="Tenants, projects, keys, providers and usage, for operators.",
        routes=app.routes,
    )
    components = document.setdefault("components", {})
    components.setdefault("schemas", {})["Problem"] = schema()
    for name in ("HTTPValidationError", "ValidationError"):
        components["schemas"].pop(name, None)
    components["securitySchemes"] = {"operator_key": {"type": "http", "scheme": "bearer", "bearerFormat": "bwa_…"}}
    document["security"] = [{"operator_key": []}]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            operation["responses"].pop("422", None)
            operation["responses"]["default"] = _PROBLEM
            _add_parameters(path, operation)
            if method in _CHANGING or path.endswith(_ACTS):
                operation["parameters"].append(_IF_MATCH)
            if method == "post":
                operation["parameters"].append(_IDEMPOTENCY_KEY)
    return document


def _add_parameters(path: str, operation: dict[str, Any]) -> None:
    """Ids of an address are read as a whole, so the framework does not know of them."""
    parameters = operation.setdefault("parameters", [])
    known = {parameter["name"] for parameter in parameters}
    parameters[:0] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(path)
        if name not in known
    ]
