"""An agent as the fields of a form: what stands in them, and what is made of them."""

from __future__ import annotations

import json
from typing import Final

from bailiwick.apps.admin.body import read_json
from bailiwick.apps.dashboard.forms import Form
from bailiwick.apps.dashboard.pages.tool_fields import TOOL_FIELDS, tool_rules_given, tool_rules_sent, tool_rules_shown
from bailiwick.domain.agents import AgentSpec
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.merge_patch import Document

_NUMBERS: Final = ("temperature", "top_p", "max_output_tokens")
_PARAMETERS: Final = (*_NUMBERS, "reasoning_effort", "response_format")
FIELDS: Final = (
    *("name", "model", "description", "instructions", "tool_definitions", "enabled"),
    *(f"parameters.{name}" for name in _PARAMETERS),
    *TOOL_FIELDS,
)


def agent_shown(spec: AgentSpec | None) -> dict[str, str]:
    """The fields of an agent, or of none yet."""
    if spec is None:
        return {**dict.fromkeys(FIELDS, ""), **tool_rules_shown(None), "enabled": "yes"}
    parameters = {name: spec.parameters.get(name) for name in _PARAMETERS}
    return {
        "name": spec.name,
        "model": spec.model,
        "description": spec.description,
        "instructions": spec.instructions or "",
        "tool_definitions": json.dumps([dict(one) for one in spec.definitions], indent=1) if spec.definitions else "",
        "enabled": "yes" if spec.enabled else "",
        **{f"parameters.{name}": _written(value) for name, value in parameters.items()},
        **tool_rules_shown(spec.tools),
    }


def agent_sent(form: Form) -> dict[str, str]:
    """The fields as they were sent, to be shown again."""
    return {**{name: form.text(name) for name in FIELDS}, **tool_rules_sent(form)}


def agent_given(form: Form, before: AgentSpec | None) -> Document:
    """What a form asks for, as the API's body; raises `Refused`."""
    form.known(*FIELDS)
    given = {name: _parameter(form, name) for name in _PARAMETERS if form.optional(f"parameters.{name}")}
    # In the order of before, so that who saves what they found makes no new version.
    order = (*(() if before is None else before.parameters), *given)
    return {
        "name": form.text("name").strip(),
        "model": form.text("model").strip(),
        "description": form.text("description").strip(),
        "instructions": form.text("instructions") or None,
        "tools": tool_rules_given(form),
        "tool_definitions": _json(form, "tool_definitions") if form.optional("tool_definitions") else [],
        "parameters": {name: given[name] for name in dict.fromkeys(order) if name in given},
        "enabled": form.checked("enabled"),
    }


def _written(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value)


def _parameter(form: Form, name: str) -> object:
    field = f"parameters.{name}"
    if name == "reasoning_effort":
        return form.text(field)
    if name in _NUMBERS:
        try:
            return read_json(form.text(field).strip().encode())
        except Refused:
            raise invalid(field, "must be a number") from None
    return _json(form, field)


def _json(form: Form, field: str) -> object:
    try:
        return read_json(form.text(field).encode("utf-8", "surrogatepass"))
    except Refused:
        raise invalid(field, "must be JSON") from None
