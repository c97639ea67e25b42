"""The tools of a request, within the rules of who asks.

Without a rule nothing is changed. With one, every tool that the request names is asked for, wherever it stands: in
`tools` and the older `functions`, in fields that ask for one by themselves, among tool servers, and in the content.
What is not let is taken out, or the call is refused, as the project says; within the content, which passes on as it
came, it is refused. A choice of a tool must then be one of those that are left.
"""

from __future__ import annotations

from typing import Final, NamedTuple, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.json_body import Json, Raw, wrong
from bailiwick.domain.offered_tools import Offered, offered
from bailiwick.domain.requests import ModelRequest
from bailiwick.domain.tool_choices import read_choice
from bailiwick.domain.tool_content import brings_tools, tools_within
from bailiwick.domain.tool_lists import TOOLS, Reading, ToolList, each, not_allowed, read_list
from bailiwick.domain.tool_names import Tool, hosted, read_server
from bailiwick.domain.tool_policy import ToolPolicy

_FUNCTIONS: Final = "functions"
_SERVERS: Final = "mcp_servers"
# Fields by which some providers are asked for a tool of theirs.
_ASKING: Final = {
    "enable_search": "web_search",
    "plugins": "plugins",
    "search_parameters": "web_search",
    "web_search_options": "web_search",
}
# With this after a model's name, a router has the model search.
_SEARCHING: Final = ":online"
# What may bring tools that we cannot see: those of a prompt are used by themselves.
_PROMPT: Final = "prompt"
_KEPT: Final = ("prompt", "previous_response_id", "conversation")
_NULL: Final = b"null"
_OFF: Final = (_NULL, b"false", b"[]")


@final
class Confined(NamedTuple):
    """A request as it may go on; `removed` are the tools that were taken out, as people know them.

    `offered` is what is left of them, None if nothing can be said of the calls that an answer may hold.
    """

    request: ModelRequest | FormRequest
    removed: tuple[str, ...] = ()
    offered: Offered | None = None


def confined(request: ModelRequest | FormRequest, policy: ToolPolicy, most: int | None) -> Confined:
    """Keep a request within the rules, and what it may have written within `most` tokens; raises `Refused` (400, 403).

    None: any number. Forms have no place for tools.
    """
    if isinstance(request, FormRequest):
        return Confined(request)
    raw = request.fields.get(TOOLS)
    tools = None if raw is None or bytes(raw) == _NULL else read_list(policy, raw)
    if policy.narrows:
        return _Narrowing(request, policy, tools, most).confined()
    if tools is None and most is None:
        return Confined(request, offered=_offered_freely(request, None))
    return Confined(_with(request, request.fields, tools, most), offered=_offered_freely(request, tools))


def _with(request: ModelRequest, fields: dict[str, Raw], tools: ToolList | None, most: int | None) -> ModelRequest:
    """The request with these fields, and of them `tools` as it was read."""
    if tools is not None and tools.sent is not None:
        fields = {**fields, TOOLS: tools.sent}
    return msgspec.structs.replace(request, fields=fields, tools=tools, most=most)


def _offered_freely(request: ModelRequest, tools: ToolList | None) -> Offered | None:
    fields = request.fields
    if tools is None and _FUNCTIONS not in fields:
        return None
    if any(name in fields and name != request.form.content for name in _KEPT):
        return None
    content = fields.get(request.form.content)
    if content is not None and brings_tools(bytes(content)):
        return None
    if tools is not None and _FUNCTIONS not in fields:
        return tools.offered
    found = [*(() if tools is None else tools.kept), *each(request.value(_FUNCTIONS))]
    # A type that we do not know may call whatever it likes.
    return offered(found, strict=False) if found and all(tool.names for tool in found) else None


@final
class _Narrowing:
    """One request on its way through the rules, but for its `tools`, which were read."""

    __slots__ = ("_brought", "_fields", "_most", "_policy", "_reading", "_request", "_tools", "_values")

    def __init__(self, request: ModelRequest, policy: ToolPolicy, tools: ToolList | None, most: int | None) -> None:
        self._request = request
        self._policy = policy
        self._tools = tools
        self._most = most
        self._fields = request.fields
        self._values = request.values
        self._reading = Reading(policy)
        # Whether the content has tools of its own.
        self._brought = False

    def confined(self) -> Confined:
        """Go through all of it; raises `Refused`."""
        fields, tools, reading = self._request.fields, self._tools, self._reading
        if tools is not None and tools.sent is None:
            self._drop(TOOLS)
        if _FUNCTIONS in fields:
            self._take_list(_FUNCTIONS)
        if _SERVERS in fields:
            self._take_servers()
        for name, family in _ASKING.items():
            if name in fields and bytes(fields[name]) not in _OFF and not reading.lets(hosted(family)):
                self._drop(name)
        if self._request.model.endswith(_SEARCHING):
            self._require(hosted("web_search"), "model")
        self._look_through()
        left = self._left()
        self._check_choices(left)
        request = self._request
        if self._values is not request.values:
            request = msgspec.structs.replace(request, values=self._values)
        removed = reading.removed if tools is None else (*tools.removed, *reading.removed)
        return Confined(_with(request, self._fields, tools, self._most), tuple(removed), left)

    def _left(self) -> Offered:
        tools, reading = self._tools, self._reading
        if tools is not None and tools.offered is not None and not reading.kept:
            return tools.offered
        return offered([*(() if tools is None else tools.kept), *reading.kept], strict=True)

    def _take_list(self, name: str) -> None:
        given = self._request.value(name)
        if not isinstance(given, list) or not given:
            return
        before = len(self._reading.removed)
        left: list[Json] = [kept for tool in given if (kept := self._reading.within(tool)) is not None]
        if len(self._reading.removed) > before:
            self._put(name, left)

    def _take_servers(self) -> None:
        given, reading = self._request.value(_SERVERS), self._reading
        left: list[Json] = []
        before = len(reading.removed)
        # In a toolset, which names its server, stands what may be used of it.
        toolsets = {tool.server for tool in (self._tools.kept if self._tools is not None else ())}
        for server in given if isinstance(given, list) else ():
            read = read_server(server)
            if read.listed is None and read.server is not None and read.server in toolsets:
                kept = server if reading.refusing(read) is None else None
            else:
                kept = reading.server(server, read)
            if kept is not None:
                left.append(kept)
        if len(reading.removed) > before:
            self._put(_SERVERS, left)

    def _look_through(self) -> None:
        """Ask for the tools that the other fields hold."""
        form = self._request.form
        if _PROMPT in self._fields and form.content != _PROMPT and bytes(self._fields[_PROMPT]) != _NULL:
            message = "A prompt that the provider keeps may bring tools of its own, which the rules here cannot see."
            raise Refused(Code.TOOL_NOT_ALLOWED, message, param=_PROMPT)
        for name, raw in self._fields.items():
            for tool in tools_within(name, raw):
                self._require(tool, name)
                self._brought = True

    def _require(self, tool: Tool, place: str) -> None:
        """Offer a tool that cannot be taken out of its place; raises `Refused` (403)."""
        source = self._reading.refusing(tool) or (self._policy.denying() if tool.server is not None else None)
        if source is not None:
            raise not_allowed(tool, source, param=place)
        self._reading.kept.append(tool)

    def _check_choices(self, left: Offered) -> None:
        for name, given in (("tool_choice", TOOLS), ("function_call", _FUNCTIONS)):
            if name in self._fields:
                choice = read_choice(self._request.value(name))
                for tool in choice.tools:
                    if not left.has(tool):
                        raise wrong(name, f"names the tool {tool.shown!r}, which may not be used")
                if self._is_gone(given):
                    if choice.required:
                        raise wrong(name, "requires a tool, and none is left that may be used")
                    self._drop(name)
        if self._is_gone(TOOLS):
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
