"""Which tools a request insists on: `tool_choice` in the forms of every address, and the older `function_call`.

"auto"  "none"  {"type": "auto"}                                          no tool, and none is required
"required"  "any"  {"type": "any"}                                        no tool, and one is required
{"type": "function", "function": {"name": "a"}}  {"type": "tool", "name": "a"}  {"name": "a"}      a
{"type": "allowed_tools", "mode": "auto", "tools": [{"type": "function", "name": "a"}]}           a
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

from bailiwick.domain.json_body import Json
from bailiwick.domain.tool_names import MCP, Tool, read_tool, untold

_FREE: Final = frozenset({"auto", "none"})
_REQUIRED: Final = frozenset({"any", "required"})
_LIST: Final = "allowed_tools"


@final
class Choice(NamedTuple):
    """The tools that a choice names, and whether one must be called."""

    tools: tuple[Tool, ...]
    required: bool


def read_choice(choice: Json) -> Choice:
    """Say what a choice names; what cannot be told is a tool without a name."""
    if choice is None:
        return Choice((), required=False)
    kind = choice.get("type") if isinstance(choice, dict) else choice
    if isinstance(kind, str) and kind in _FREE:
        return Choice((), required=False)
    if isinstance(kind, str) and kind in _REQUIRED:
        return Choice((), required=True)
    if not isinstance(choice, dict):
        return Choice((read_tool({"name": choice}),), required=True)
    if kind == _LIST:
        return _listed(choice)
    if kind == "tool":
        return Choice((read_tool({**choice, "type": "function"}),), required=True)
    return Choice((_one(choice),), required=True)


def _listed(choice: dict[str, Json]) -> Choice:
    tools: list[Tool] = []
    required = False
    for part in (choice, choice.get(_LIST)):
        if part is None:
            continue
        if not isinstance(part, dict):
            return Choice((untold(None),), required=True)
        required = required or part.get("mode", "auto") != "auto"
        named = part.get("tools")
        if named is not None:
            tools.extend(map(_one, named) if isinstance(named, list) else (untold(None),))
    return Choice(tuple(tools), required=required)


def _one(tool: Json) -> Tool:
    read = read_tool(tool)
    if read.server is None or not isinstance(tool, dict) or tool.get("type") != MCP:
        return read
    name = tool.get("name")
    if name is None:
        return read
    return Tool(read.shown, read.names, server=read.server, listed=(name if isinstance(name, str) else "",))
