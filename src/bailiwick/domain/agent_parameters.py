"""The parameters that an agent fixes for its calls, by names of our own; each door has its own for them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Final

from bailiwick.domain.fields import Findings, invalid

MAX_BYTES: Final = 64 * 1024
_MOST_TOKENS: Final = 2**31 - 1
_HOTTEST: Final = 2
_EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
_FORMATS: Final[Mapping[str, frozenset[str]]] = {
    "text": frozenset({"type"}),
    "json_object": frozenset({"type"}),
    "json_schema": frozenset({"type", "json_schema"}),
}
_SCHEMA: Final[Mapping[str, type]] = {"name": str, "description": str, "schema": Mapping, "strict": bool}
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def read_parameters(field: str, said: Mapping[str, object]) -> Mapping[str, object]:
    """Take parameters; what is null is not said. Raises `Invalid`."""
    findings = Findings()
    for name, value in said.items():
        check = _CHECKS.get(name)
        if check is None:
            findings.add(f"{field}.{name}", f"is no field of it; fields are {', '.join(_CHECKS)}")
        elif value is not None and (message := check(value)) is not None:
            findings.add(f"{field}.{name}", message)
    findings.or_raise()
    read = {name: value for name, value in said.items() if value is not None}
    if len(json.dumps(read)) > MAX_BYTES:
        raise invalid(field, f"must be at most {MAX_BYTES} bytes of JSON")
    return read


def _number(value: object, most: float) -> str | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return None if is_number and 0 <= value <= most else f"must be a number from 0 to {most}"  # type: ignore[operator]


def _temperature(value: object) -> str | None:
    return _number(value, _HOTTEST)


def _top_p(value: object) -> str | None:
    return _number(value, 1)


def _tokens(value: object) -> str | None:
    is_whole = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= _MOST_TOKENS
    return None if is_whole else f"must be a whole number from 1 to {_MOST_TOKENS}"


def _effort(value: object) -> str | None:
    return None if value in _EFFORTS else f"must be one of {', '.join(_EFFORTS)}"


def _format(value: object) -> str | None:
    kind = value.get("type") if isinstance(value, Mapping) else None
    fields = _FORMATS.get(kind) if isinstance(kind, str) else None
    if not isinstance(value, Mapping) or fields is None or set(value) != fields:
        return 'must be {"type": "text"}, {"type": "json_object"} or {"type": "json_schema", "json_schema": {…}}'
    schema = value.get("json_schema", {"name": "x", "schema": {}})
    if not isinstance(schema, Mapping) or not {"name", "schema"} <= schema.keys() <= _SCHEMA.keys():
        return "must have a json_schema with name and schema, and no more than description and strict besides"
    if not all(isinstance(said, _SCHEMA[name]) for name, said in schema.items()):
        return "must have a json_schema whose name and description are strings, schema an object, strict true or false"
    if _NAME.fullmatch(schema["name"]) is None:
        return "must have a json_schema whose name is 1 to 64 letters, digits, '_' and '-'"
    return None


_CHECKS: Final[Mapping[str, Callable[[object], str | None]]] = {
    "temperature": _temperature,
    "top_p": _top_p,
    "max_output_tokens": _tokens,
    "reasoning_effort": _effort,
    "response_format": _format,
}
