"""The tools of a request, within the rules of who asks.

Without a rule nothing is changed. With one, every tool that the request names is asked for, wherever it stands: in
`tools` and the older `functions`, in fields that ask for one by themselves, among tool servers, and in the content.
What is not let is taken out, or the call is refused, as the project says; within the content, which passes on as it
came, it is refused. A choice of a tool must then be one of those that are left.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.json_body import Json, Raw, wrong
from bailiwick.domain.offered_tools import Offered, offered
from bailiwick.domain.requests import ModelRequest
from bailiwick.domain.tool_choices import read_choice
from bailiwick.domain.tool_content import brings_tools, tools_within
from bailiwick.domain.tool_names import (
    Object,
    Tool,
    hosted,
    in_namespace,
    is_object,
    listed_tool,
    read_server,
    read_tool,
    untold,
    with_listed,
)
from bailiwick.domain.tool_policy import ToolPolicy

_TOOLS: Final = "tools"
_FUNCTIONS: Final = "functions"
_SERVERS: Final = "mcp_servers"
# Fields by which some providers are asked for a tool of theirs.
_ASKING: Final = {
    "enable_search": "web_search",
    "plugins": "plugins",
    "search_parameters": "web_search",
    "web_search_options": "web_search",
}
# What may bring tools that we cannot see: those of a prompt are used by themselves.
_PROMPT: Final = "prompt"
_KEPT: Final = ("prompt", "previous_response_id", "conversation")
_NULL: Final = b"null"
_OFF: Final = (_NULL, b"false", b"[]")
_NAMESPACE: Final = "namespace"
_MOST_SHOWN: Final = 32


@final
class Confined(NamedTuple):
    """A request as it may go on; `removed` are the tools that were taken out, as people know them.

    `offered` is what is left of them, None if nothing can be said of the calls that an answer may hold.
    """

    request: ModelRequest | FormRequest
    removed: tuple[str, ...] = ()
    offered: Offered | None = None


def confined(request: ModelRequest | FormRequest, policy: ToolPolicy | None, most: int | None) -> Confined:
    """Keep a request within the rules, and what it may have written within `most` tokens; raises `Refused` (400, 403).

    None: no rules, any number. Forms have no place for tools.
    """
    if isinstance(request, FormRequest):
        return Confined(request)
    if most is not None:
        request = msgspec.structs.replace(request, most=most)
    if policy is None:
        return Confined(request, offered=_offered_freely(request))
    return _Narrowing(request, policy).confined()


def _offered_freely(request: ModelRequest) -> Offered | None:
    fields = request.fields
    if _TOOLS not in fields and _FUNCTIONS not in fields:
        return None
    if any(name in fields and name != request.form.content for name in _KEPT):
        return None
    content = fields.get(request.form.content)
    if content is not None and brings_tools(bytes(content)):
        return None
    found = [tool for name in (_TOOLS, _FUNCTIONS) for tool in _each(request.value(name))]
    # A type that we do not know may call whatever it likes.
    return offered(found, None) if found and all(tool.names for tool in found) else None


def _each(tools: Json) -> Iterator[Tool]:
    for tool in tools if isinstance(tools, list) else ():
        if is_object(tool) and tool.get("type") == _NAMESPACE:
            yield from (in_namespace(inner, "any") for inner in _each(tool.get(_TOOLS)))
        else:
            yield read_tool(tool)


@final
class _Narrowing:
    """One request on its way through the rules."""

    __slots__ = ("_brought", "_fields", "_kept", "_policy", "_removed", "_request", "_values")

    def __init__(self, request: ModelRequest, policy: ToolPolicy) -> None:
        self._request = request
        self._policy = policy
        self._fields = request.fields
        self._values = request.values
        self._kept: list[Tool] = []
        self._removed: list[str] = []
        # Whether the content has tools of its own.
        self._brought = False

    def confined(self) -> Confined:
        """Go through all of it; raises `Refused`."""
        fields = self._request.fields
        self._take_list(_TOOLS)
        if _FUNCTIONS in fields:
            self._take_list(_FUNCTIONS)
        if _SERVERS in fields:
            self._take_servers()
        for name, family in _ASKING.items():
            if name in fields and bytes(fields[name]) not in _OFF and not self._lets(hosted(family)):
                self._drop(name)
        self._look_through()
        left = offered(self._kept, self._policy)
        self._check_choices(left)
        request = self._request
        if self._fields is not request.fields or self._values is not request.values:
            request = msgspec.structs.replace(request, fields=self._fields, values=self._values)
        return Confined(request, tuple(self._removed), left)

    def _take_list(self, name: str) -> None:
        given = self._request.value(name)
        if not isinstance(given, list) or not given:
            return
        before = len(self._removed)
        left: list[Json] = [kept for tool in given if (kept := self._within(tool, "")) is not None]
        if len(self._removed) > before:
            self._put(name, left)

    def _take_servers(self) -> None:
        given = self._request.value(_SERVERS)
        left: list[Json] = []
        before = len(self._removed)
        # In a toolset, which names its server, stands what may be used of it.
        toolsets = {tool.server for tool in self._kept if tool.server is not None}
        for server in given if isinstance(given, list) else ():
            read = read_server(server)
            if read.listed is None and read.server in toolsets:
                kept = server if self._policy.refusing(read) is None else None
            else:
                kept = self._server(server, read)
            if kept is not None:
                left.append(kept)
        if len(self._removed) > before:
            self._put(_SERVERS, left)

    def _within(self, tool: Json, namespace: str) -> Json:
        """What is left of a tool; None if it is not let."""
        if not namespace and is_object(tool) and tool.get("type") == _NAMESPACE:
            return self._namespace(tool)
        read = read_tool(tool)
        if namespace:
            read = in_namespace(read, namespace)
        if read.server is not None:
            return self._server(tool, read)
        return tool if self._lets(read) else None

    def _namespace(self, tool: Object) -> Json:
        name, tools = tool.get("name"), tool.get(_TOOLS)
        if not isinstance(name, str) or not name or not isinstance(tools, list):
            self._refuse(untold(name), self._policy.refusing(untold(name)))
            return None
        left: list[Json] = [kept for inner in tools if (kept := self._within(inner, name)) is not None]
        return {**tool, _TOOLS: left} if left else None

    def _server(self, tool: Json, read: Tool) -> Json:
        if read.server is None or read.listed is None or not is_object(tool):
            source = self._policy.refusing(read)
            # A server that does not say which of its tools are meant may have any, one that is denied among them.
            if source is None and read.listed is None:
                source = self._policy.denying()
            if source is None:
                self._kept.append(read)
                return tool
            self._refuse(read, source)
            return None
        refused = {name for name in read.listed if not self._lets(listed_tool(read, name), offer=False)}
        kept = tuple(name for name in read.listed if name not in refused)
        if not kept:
            return None
        self._kept.append(Tool(read.shown, read.names, server=read.server, listed=kept))
        return with_listed(tool, frozenset(kept)) if refused else tool

    def _lets(self, tool: Tool, *, offer: bool = True) -> bool:
        source = self._policy.refusing(tool)
        if source is None:
            if offer:
                self._kept.append(tool)
            return True
        self._refuse(tool, source)
        return False

    def _refuse(self, tool: Tool, source: str | None) -> None:
        if self._policy.refuse:
            raise not_allowed(tool, source)
        self._removed.append(tool.shown)

    def _look_through(self) -> None:
        """Ask for the tools that the other fields hold."""
        form = self._request.form
        if _PROMPT in self._fields and form.content != _PROMPT and bytes(self._fields[_PROMPT]) != _NULL:
            message = "A prompt that the provider keeps may bring tools of its own, which the rules here cannot see."
            raise Refused(Code.TOOL_NOT_ALLOWED, message, param=_PROMPT)
        for name, raw in self._fields.items():
            for tool in tools_within(name, raw):
                source = self._policy.refusing(tool) or (self._policy.denying() if tool.server is not None else None)
                if source is not None:
                    raise not_allowed(tool, source, param=name)
                self._brought = True
                self._kept.append(tool)

    def _check_choices(self, left: Offered) -> None:
        for name, given in (("tool_choice", _TOOLS), ("function_call", _FUNCTIONS)):
            if name in self._fields:
                choice = read_choice(self._request.value(name))
                for tool in choice.tools:
                    if not left.has(tool):
                        raise wrong(name, f"names the tool {tool.shown!r}, which may not be used")
                if self._is_gone(given):
                    if choice.required:
                        raise wrong(name, "requires a tool, and none is left that may be used")
                    self._drop(name)
        if self._is_gone(_TOOLS):
            self._drop("parallel_tool_calls")

    def _is_gone(self, name: str) -> bool:
        """Whether nothing is left of a list of tools that a choice is made from."""
        return name in self._request.fields and not {name, _SERVERS} & self._fields.keys() and not self._brought

    def _put(self, name: str, left: list[Json]) -> None:
        if not left:
            self._drop(name)
            return
        self._values = {**self._values, name: left}
        self._fields = {**self._fields, name: Raw(msgspec.json.encode(left))}

    def _drop(self, name: str) -> None:
        self._fields = {key: raw for key, raw in self._fields.items() if key != name}


def not_allowed(tool: Tool, source: str | None, *, param: str = _TOOLS) -> Refused:
    """Refuse a call for one of its tools."""
    who = source or "the project"
    return Refused(
        Code.TOOL_NOT_ALLOWED, f"{who[0].upper()}{who[1:]} does not allow the tool {tool.shown!r}.", param=param
    )
