"""The tools that an agent offers: functions, written as `/v1/chat/completions` takes them.

    {"type": "function", "function": {"name": "search", "description": "…", "parameters": {…}, "strict": true}}

Functions are what every door has; each gets them in its own form (`domain/agent_calls.py`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Final

from bailiwick.domain.fields import Findings, invalid

MAX_DEFINITIONS: Final = 128
MAX_BYTES: Final = 64 * 1024
_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_KINDS: Final[Mapping[str, tuple[type, str]]] = {
    "name": (str, "a string"),
    "description": (str, "a string"),
    "parameters": (Mapping, "an object: a JSON schema"),
    "strict": (bool, "true or false"),
}


def read_definitions(field: str, said: Sequence[object]) -> tuple[Mapping[str, object], ...]:
    """Take the tools that an agent offers, each name once; raises `Invalid`."""
    if len(said) > MAX_DEFINITIONS:
        raise invalid(field, f"must be at most {MAX_DEFINITIONS}")
    findings = Findings()
    tools: list[Mapping[str, object]] = []
    for place, tool in enumerate(said):
        with findings.noted():
            tools.append(_read(f"{field}.{place}", tool))
    findings.or_raise()
    if len({function_of(tool)["name"] for tool in tools}) < len(tools):
        raise invalid(field, "must not name anything twice")
    if len(json.dumps(tools)) > MAX_BYTES:
        raise invalid(field, f"must be at most {MAX_BYTES} bytes of JSON together")
    return tuple(tools)


def function_of(tool: Mapping[str, object]) -> Mapping[str, object]:
    """What a definition says of its function."""
    function = tool["function"]
    if not isinstance(function, Mapping):
        raise TypeError(function)
    return function


def _read(field: str, tool: object) -> Mapping[str, object]:
    if not isinstance(tool, Mapping) or tool.keys() != {"type", "function"} or tool["type"] != "function":
        raise invalid(field, 'must be {"type": "function", "function": {…}}')
    function = tool["function"]
    if not isinstance(function, Mapping):
        raise invalid(f"{field}.function", "must be an object")
    findings = Findings()
    for name, value in function.items():
        kind = _KINDS.get(name)
        if kind is None:
            findings.add(f"{field}.function.{name}", f"is no field of it; fields are {', '.join(_KINDS)}")
        elif not isinstance(value, kind[0]):
            findings.add(f"{field}.function.{name}", f"must be {kind[1]}")
    name = function.get("name")
    if name is None or (isinstance(name, str) and _NAME.fullmatch(name) is None):
        findings.add(f"{field}.function.name", "must be 1 to 64 letters, digits, '_' and '-'")
    findings.or_raise()
    return tool
