"""Lists of tools, read within the rules of who asks; the one in `tools` once, for as long as they send the same.

An application sends the same definitions with every call. To decode them, to ask for each of them and to write them
anew would take longer than all else that is done with a body, so what came of them is remembered by their very bytes:
for the calls of one grant alone, so that nobody can tell by the time what others send.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Lock
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.json_body import Json, Raw, decoded
from bailiwick.domain.kept_state import kept_reference
from bailiwick.domain.offered_tools import offered
from bailiwick.domain.tool_names import (
    Object,
    Tool,
    in_namespace,
    is_object,
    listed_tool,
    read_tool,
    untold,
    with_listed,
)
from bailiwick.domain.tool_policy import Effort, ToolPolicy, TooMany

TOOLS: Final = "tools"
_NAMESPACE: Final = "namespace"
# In bytes: what is remembered of all callers together, and the longest of it. A tool takes about so many beside.
_REMEMBERED: Final = 32 * 1024 * 1024
_LONGEST: Final = 256 * 1024
_A_TOOL: Final = 512


@final
class ToolList:
    """What came of a list: `sent` is what goes on, written anew, None for nothing.

    `kept` are the tools in it, `removed` those that are not, as people know them. `offered` is what an answer may call,
    None if that cannot be told.
    """

    __slots__ = ("_reference", "kept", "offered", "removed", "sent")

    def __init__(self, left: list[Json], kept: tuple[Tool, ...], removed: tuple[str, ...], *, strict: bool) -> None:
        """`strict`: there are rules."""
        self.sent: Final = Raw(msgspec.json.encode(left)) if left or not removed else None
        self.kept: Final = kept
        self.removed: Final = removed
        # A type that we do not know may call whatever it likes.
        known = strict or (bool(kept) and all(tool.names for tool in kept))
        self.offered: Final = offered(kept, strict=strict) if known else None
        self._reference: tuple[str | None] | None = None

    def reference(self) -> str | None:
        """By which key it refers to something that a provider keeps, None for none; raises `Refused` (400)."""
        if self._reference is None:
            self._reference = (None if self.sent is None else kept_reference(TOOLS, str(self.sent, "latin-1")),)
        return self._reference[0]


@final
class Reading:
    """Tools on their way through the rules: `kept` are those that are let, `removed` the others."""

    __slots__ = ("_effort", "_policy", "kept", "removed")

    def __init__(self, policy: ToolPolicy) -> None:
        self._policy = policy
        self._effort = Effort()
        self.kept: Final[list[Tool]] = []
        self.removed: Final[list[str]] = []

    def within(self, tool: Json, namespace: str = "") -> Json:
        """What is left of a tool; None if it is not let. Raises `Refused` (403) where that is the rule."""
        if not namespace and is_object(tool) and tool.get("type") == _NAMESPACE:
            return self._namespace(tool)
        read = read_tool(tool)
        if namespace:
            read = in_namespace(read, namespace)
        if read.server is not None:
            return self.server(tool, read)
        return tool if self.lets(read) else None

    def _namespace(self, tool: Object) -> Json:
        name, tools = tool.get("name"), tool.get(TOOLS)
        if not isinstance(name, str) or not name or not isinstance(tools, list):
            self._refuse(untold(name), self.refusing(untold(name)))
            return None
        left: list[Json] = [kept for inner in tools if (kept := self.within(inner, name)) is not None]
        return {**tool, TOOLS: left} if left else None

    def server(self, tool: Json, read: Tool) -> Json:
        """What is left of a tool server, as `within`."""
        if read.server is None or read.listed is None or not is_object(tool):
            source = self.refusing(read)
            # A server that does not say which of its tools are meant may have any, one that is denied among them.
            if source is None and read.listed is None:
                source = self._policy.denying()
            if source is None:
                self.kept.append(read)
                return tool
            self._refuse(read, source)
            return None
        refused = {name for name in read.listed if not self.lets(listed_tool(read, name), offer=False)}
        kept = tuple(name for name in read.listed if name not in refused)
        if not kept:
            return None
        self.kept.append(Tool(read.shown, read.names, server=read.server, listed=kept))
        return with_listed(tool, frozenset(kept)) if refused else tool

    def lets(self, tool: Tool, *, offer: bool = True) -> bool:
        """Whether a tool is let; raises `Refused` (403) where that is the rule."""
        source = self.refusing(tool)
        if source is None:
            if offer:
                self.kept.append(tool)
            return True
        self._refuse(tool, source)
        return False

    def refusing(self, tool: Tool) -> str | None:
        """Which confinement does not let a tool; raises `Refused` (400) for too many to be asked for."""
        try:
            return self._policy.refusing(tool, self._effort)
        except TooMany:
            message = "The call names too many tools for as many rules as there are here; send fewer of them."
            raise Refused(Code.INVALID_REQUEST, message, param=TOOLS) from None

    def _refuse(self, tool: Tool, source: str | None) -> None:
        if self._policy.refuse:
            raise not_allowed(tool, source)
        self.removed.append(tool.shown)


def not_allowed(tool: Tool, source: str | None, *, param: str = TOOLS) -> Refused:
    """Refuse a call for one of its tools."""
    who = source or "the project"
    return Refused(
        Code.TOOL_NOT_ALLOWED, f"{who[0].upper()}{who[1:]} does not allow the tool {tool.shown!r}.", param=param
    )


def each(tools: Json) -> Iterator[Tool]:
    """The tools of a list, whether or not any rule lets them."""
    for tool in tools if isinstance(tools, list) else ():
        if is_object(tool) and tool.get("type") == _NAMESPACE:
            yield from (in_namespace(inner, "any") for inner in each(tool.get(TOOLS)))
        else:
            yield read_tool(tool)


def read_list(policy: ToolPolicy, raw: Raw) -> ToolList:
    """What came of the list in `tools`; raises `Refused` (400, 403)."""
    if len(raw) > _LONGEST:
        return _read(policy, raw)
    return _remembered.read(policy, bytes(raw))


def _read(policy: ToolPolicy, raw: Raw) -> ToolList:
    given = decoded({TOOLS: raw}, TOOLS)
    listed = given if isinstance(given, list) else []
    if not policy.narrows:
        return ToolList(listed, tuple(each(listed)), (), strict=False)
    reading = Reading(policy)
    left: list[Json] = [kept for tool in listed if (kept := reading.within(tool)) is not None]
    return ToolList(left if reading.removed else listed, tuple(reading.kept), tuple(reading.removed), strict=True)


@final
class _Remembered:
    """Lists by whose they are and their bytes, the oldest going first; for any thread."""

    __slots__ = ("_lists", "_lock", "_weight")

    def __init__(self) -> None:
        self._lists: dict[tuple[ToolPolicy, bytes], ToolList] = {}
        self._weight = 0
        self._lock = Lock()

    def read(self, policy: ToolPolicy, raw: bytes) -> ToolList:
        key = (policy, raw)
        found = self._lists.get(key)
        if found is None:
            found = _read(policy, Raw(raw))
            with self._lock:
                if key not in self._lists:
                    self._lists[key] = found
                    self._weight += _weight(raw, found)
                while self._weight > _REMEMBERED:
                    first = next(iter(self._lists))
                    self._weight -= _weight(first[1], self._lists.pop(first))
        return found


def _weight(raw: bytes, found: ToolList) -> int:
    return 2 * len(raw) + _A_TOOL * (1 + len(found.kept) + len(found.removed))


_remembered: Final = _Remembered()
