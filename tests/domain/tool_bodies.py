"""Requests with tools, at the three addresses that have them, through the rules of one or several places."""

from __future__ import annotations

import json
from typing import Any, Final

from bailiwick.domain.confinement import Confinement
from bailiwick.domain.requests import ModelRequest, read_request
from bailiwick.domain.tool_policy import ToolPolicy, tool_policy
from bailiwick.domain.tool_requests import Confined, confined
from bailiwick.domain.tools import MODES, tool_rules
from bailiwick.services.doors import DOORS

CHAT: Final = "/chat/completions"
RESPONSES: Final = "/responses"
MESSAGES: Final = "/messages"
_ASK: Final[dict[str, dict[str, Any]]] = {
    CHAT: {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    RESPONSES: {"model": "m", "input": "x"},
    MESSAGES: {"model": "m", "max_tokens": 5, "messages": [{"role": "user", "content": "x"}]},
}
_FORMS: Final = {door.path: door.body for door in DOORS}


def policy(*documents: dict[str, Any], refuse: bool = False) -> ToolPolicy:
    """The rules of some places, as operators write them."""
    mode = {"mode": "refuse" if refuse else "remove"}
    places = [Confinement(source=f"place {number}", tools=tool_rules("tools", {**said, **mode}, modes=MODES))
              for number, said in enumerate(documents)]  # fmt: skip
    return tool_policy(tuple(places))


def request(path: str, body: dict[str, Any] | bytes) -> ModelRequest:
    """A request with these fields beside a model and a content."""
    form = _FORMS[path]
    assert form is not None
    raw = body if isinstance(body, bytes) else json.dumps({**_ASK[path], **body}).encode()
    return read_request(raw, form)


def narrowed(path: str, body: dict[str, Any] | bytes, *rules: dict[str, Any], refuse: bool = False) -> Confined:
    """What the rules leave of a request."""
    return confined(request(path, body), policy(*rules, refuse=refuse), None)


def sent(result: Confined, **options: Any) -> dict[str, Any]:
    """What goes to the provider."""
    given = {"model": "m", "user": None, "shared_account": False, **options}
    body: dict[str, Any] = json.loads(result.request.upstream(**given))
    return body


def function(name: str, path: str = CHAT) -> dict[str, Any]:
    """A tool of the application's own, in the form of an address."""
    if path == CHAT:
        return {"type": "function", "function": {"name": name, "parameters": {"type": "object"}}}
    if path == MESSAGES:
        return {"name": name, "input_schema": {"type": "object"}}
    return {"type": "function", "name": name, "parameters": {"type": "object"}, "strict": True}
