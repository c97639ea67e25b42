"""What a tool is called, in whatever form a request names it: in `tools`, in a choice of one, within its content.

    {"type": "function", "function": {"name": "search"}}              search
    {"name": "search", "input_schema": {…}}                           search
    {"type": "web_search_20250305", "name": "web_search"}             web_search_20250305, web_search
    {"type": "mcp", "server_label": "docs", "allowed_tools": ["a"]}   mcp, mcp/docs; and of its tool: a, docs/a
    {"type": "namespace", "name": "crm", "tools": [{… "find" …}]}     find, crm/find

A function or a custom tool has its name, whoever asks for it; a tool that the provider brings has its type, the type
without its date, and the family of all that do the same, in the tables below. What has two names, a name that is no
text, a key that another parser might read as one of ours, or a type that we do not know, has no name that can be told:
`Tool.names` is empty, and no rule lets it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, TypeGuard, final

import msgspec

from bailiwick.domain.json_body import Json

Object = dict[str, Json]


@final
@dataclass(frozen=True, slots=True)
class Hosted:
    """What providers bring themselves: its family, and the names that some forms give it beside its type."""

    family: str
    names: frozenset[str] = frozenset()


_EDITOR: Final = frozenset({"str_replace_editor", "str_replace_based_edit_tool"})
_CODE: Final = frozenset({"code_execution", "bash_code_execution", "text_editor_code_execution"})
# By type, without its date.
HOSTED: Final[dict[str, Hosted]] = {
    "advisor": Hosted("advisor", frozenset({"advisor"})),
    "apply_patch": Hosted("apply_patch"),
    "bash": Hosted("shell", frozenset({"bash"})),
    "browser_toolset": Hosted("browser", frozenset({"browser"})),
    "code_execution": Hosted("code_interpreter", _CODE),
    "code_interpreter": Hosted("code_interpreter"),
    "computer": Hosted("computer_use", frozenset({"computer"})),
    "computer_toolset": Hosted("computer_use", frozenset({"computer"})),
    "computer_use": Hosted("computer_use"),
    "computer_use_preview": Hosted("computer_use"),
    "file_search": Hosted("file_search"),
    "image_generation": Hosted("image_generation"),
    "local_shell": Hosted("shell"),
    "memory": Hosted("memory", frozenset({"memory"})),
    "programmatic_tool_calling": Hosted("programmatic_tool_calling"),
    "shell": Hosted("shell"),
    "text_editor": Hosted("text_editor", _EDITOR),
    "tool_search": Hosted("tool_search"),
    "tool_search_tool_bm25": Hosted("tool_search", frozenset({"tool_search_tool_bm25"})),
    "tool_search_tool_regex": Hosted("tool_search", frozenset({"tool_search_tool_regex"})),
    "web_fetch": Hosted("web_fetch", frozenset({"web_fetch"})),
    "web_search": Hosted("web_search", frozenset({"web_search"})),
    "web_search_preview": Hosted("web_search"),
}
MCP: Final = "mcp"
_DATE: Final = re.compile(r"_20\d{2}_?\d{2}_?\d{2}", re.ASCII)
_CHAT: Final = ("type", "function")
# What a named tool says of its type.
_NAMED: Final = frozenset({"custom", "function"})
# The keys that are read here, under any of which a second name might hide.
_READ: Final = frozenset({
    "allowed_tools", "configs", "connector_id", "custom", "default_config", "function", "mcp_server_name", "name",
    "server_label", "server_url", "tool_configuration", "tool_names", "tools", "type",
})  # fmt: skip
# The keys of most tools: nothing hides among them.
_USUAL: Final = _READ | {
    "cache_control", "container", "defer_loading", "description", "input_schema", "parameters", "strict",
}  # fmt: skip
_LONGEST_SHOWN: Final = 64
# Rules speak of no longer one; to put one together with each of many others would take long.
_LONGEST_NAME: Final = 255


@final
class Tool(msgspec.Struct, frozen=True, gc=False):
    """A tool that a request names. `shown` tells it to people; `names` are those that rules speak of, () for none.

    By `aliases` it can be denied, but not allowed: what the caller may choose as it likes. `name` is that by which an
    answer calls it, if it is a function or a custom tool, and `family` that of what a provider brings. Of a tool
    server, `server` is its label, and `listed` what it says of its tools, None for nothing.
    """

    shown: str
    names: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    name: str | None = None
    family: str | None = None
    server: str | None = None
    listed: tuple[str, ...] | None = None


def read_tool(tool: Json) -> Tool:
    """Say which tool this is, in whatever place and form."""
    if not isinstance(tool, dict):
        return untold(tool)
    if len(tool) == len(_CHAT) and tool.get("type") == "function":
        # As they are in almost every call, with nothing else: a call may offer a hundred of them.
        inner = tool.get("function")
        if isinstance(inner, dict) and inner.keys() <= _USUAL and isinstance(name := inner.get("name"), str) and name:
            return Tool(name[:_LONGEST_SHOWN], (name,), name=name)
    if not tool.keys() <= _USUAL and _disguised(tool):
        return untold(tool.get("name"))
    kind = tool.get("type")
    if kind is None or (isinstance(kind, str) and kind in _NAMED):
        return _named(tool)
    if not isinstance(kind, str):
        return untold(kind)
    return _brought(tool, kind)


def _brought(tool: Object, kind: str) -> Tool:
    """A tool of the provider, or of a server that it asks."""
    if kind == MCP:
        return _server(tool, tool.get("server_label"), listed_by(tool.get("allowed_tools")))
    if kind == "mcp_toolset":
        return _server(tool, tool.get("mcp_server_name"), _configured(tool))
    return _hosted(kind, tool.get("name"))


def read_server(server: Json) -> Tool:
    """Say which tool server this is, of a list of servers."""
    if not isinstance(server, dict) or _disguised(server):
        return untold(server)
    said = server.get("tool_configuration")
    if said is not None and (not isinstance(said, dict) or _disguised(said)):
        return untold(server.get("name"))
    return _server(server, server.get("name"), listed_by(None if said is None else said.get("allowed_tools")))


def hosted(family: str) -> Tool:
    """A tool that a field of its own asks for."""
    return Tool(family, (family,), family=family)


def untold(said: Json) -> Tool:
    """A tool whose name cannot be told; `said` is all there is to show of it."""
    return Tool(said[:_LONGEST_SHOWN] if isinstance(said, str) and said else "unnamed", ())


def is_object(value: Json) -> TypeGuard[Object]:
    """Whether this is an object."""
    return isinstance(value, dict)


def listed_tool(server: Tool, name: str) -> Tool:
    """One of the tools that a server lists."""
    own = server.names[-1]
    shown = f"{own[:_LONGEST_NAME]}/{name}"
    if not name or "/" in name or len(shown) > _LONGEST_NAME:
        return untold(shown)
    label = own.removeprefix(f"{MCP}/")
    return Tool(shown[:_LONGEST_SHOWN], (*server.names, shown), (name, f"{label}/{name}"))


def in_namespace(tool: Tool, namespace: str) -> Tool:
    """The same tool, as one of a namespace."""
    if tool.name is None or not namespace or len(namespace) > _LONGEST_NAME:
        return Tool(tool.shown, ())
    full = f"{namespace}/{tool.name}"
    return Tool(full, (tool.name, full), name=tool.name)


def listed_by(said: Json) -> tuple[str, ...] | None:
    """The names of a list of allowed tools, or of a filter; None if it says none."""
    if isinstance(said, dict):
        said = said.get("tool_names")
    if not isinstance(said, list):
        return None
    # What is no text is no tool's name, and an empty list may mean none or all of them.
    return tuple(name if isinstance(name, str) else "" for name in said) or None


def with_listed(tool: Object, kept: AbstractSet[str]) -> Object:
    """The same tool server, with those alone of the tools that it lists."""
    for place in ("allowed_tools", "tool_names"):
        said = tool.get(place)
        if isinstance(said, list):
            return {**tool, place: [name for name in said if name in kept]}
        if isinstance(said, dict):
            return {**tool, place: with_listed(said, kept)}
    configuration, configs = tool.get("tool_configuration"), tool.get("configs")
    if isinstance(configuration, dict):
        return {**tool, "tool_configuration": with_listed(configuration, kept)}
    if isinstance(configs, dict):
        return {**tool, "configs": {name: said for name, said in configs.items() if name in kept}}
    return tool


def _named(tool: Mapping[str, Json]) -> Tool:
    name = tool.get("name")
    for inner in (tool.get("function"), tool.get("custom")):
        if inner is None:
            continue
        if not isinstance(inner, dict) or (not inner.keys() <= _USUAL and _disguised(inner)):
            return untold(name)
        other = inner.get("name")
        if name is not None and other != name:
            return untold(name)
        name = other
    if not isinstance(name, str) or not name:
        return untold(name)
    return Tool(name[:_LONGEST_SHOWN], (name,), name=name)


def _hosted(kind: str, name: Json) -> Tool:
    found = _family(kind) if len(kind) <= _LONGEST_SHOWN else None
    if found is None:
        return untold(kind)
    stem, what = found
    if name is not None and name not in what.names:
        return untold(kind)
    names = tuple(dict.fromkeys((kind, stem, what.family)))
    return Tool(kind, names, name=name if isinstance(name, str) else None, family=what.family)


@lru_cache(maxsize=256)
def _family(kind: str) -> tuple[str, Hosted] | None:
    stem = kind
    dates = list(_DATE.finditer(kind))
    if dates and dates[-1].end() == len(kind):
        stem = kind[: dates[-1].start()]
    what = HOSTED.get(stem)
    return None if what is None else (stem, what)


def _server(tool: Mapping[str, Json], label: Json, listed: tuple[str, ...] | None) -> Tool:
    connector = tool.get("connector_id")
    if not isinstance(label, str) or not label or not isinstance(connector, str | None):
        return untold(label)
    if connector is None:
        return Tool(f"{MCP}/{label}"[:_LONGEST_SHOWN], (MCP, f"{MCP}/{label}"), server=label, listed=listed)
    if tool.get("server_url") is not None:
        return untold(connector)
    # The label is the caller's own word; whose account this opens is not.
    return Tool(f"{MCP}/{connector}"[:_LONGEST_SHOWN], (MCP, f"{MCP}/{connector}"), server=label, listed=listed)


def _configured(tool: Mapping[str, Json]) -> tuple[str, ...] | None:
    """The tools that a toolset switches on one by one; None if all others are on."""
    default, configs = tool.get("default_config"), tool.get("configs")
    if not isinstance(default, dict) or default.get("enabled") is not False or not isinstance(configs, dict):
        return None
    return tuple(n for n, said in configs.items() if isinstance(said, dict) and said.get("enabled") is not False)


def _disguised(part: Mapping[str, Json]) -> bool:
    """Whether a key is, to a parser that does not regard case, one of those that are read."""
    return any(key not in _READ and key.casefold() in _READ for key in part)
