"""Tools that a request brings where nobody would look for them: in the items of its content, in fields of others.

    {"input": [{"type": "additional_tools", "tools": [{"type": "web_search"}]}]}
    {"messages": [{"role": "system", "content": [{"type": "tool_addition", "tool": {"definition": {…}}}]}]}
    {"extra_body": {"tools": [{"google_search": {}}]}}

A field is decoded only if one of the words is in it, and only if it is of a size to be looked through.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from bailiwick.domain.json_body import Json, Raw
from bailiwick.domain.json_search import ESCAPED_LETTER, Object, Pairs, condensed, looked_through, objects, types_of
from bailiwick.domain.tool_names import Tool, listed_tool, read_server, read_tool

# Read on their own, or without any tool in them.
_ELSEWHERE: Final = frozenset({"tools", "functions", "tool_choice", "function_call", "mcp_servers", "metadata"})
# What has been used of a tool server, as an answer told it: nothing can be called by it.
_TOLD: Final = frozenset({"mcp_list_tools", "mcp_tool_listing"})
_SERVERS: Final = "mcp_servers"
_LISTS: Final = frozenset({"tools", "functions", _SERVERS})
_NAMES: Final = "enabled_tools"
_DEFINITION: Final = "definition"
_BEGINS: Final = (b"{", b"[")
_BRINGING: Final = (b'additional_tools"', b'tool_search_output"', b'tool_addition"')


def brings_tools(content: bytes) -> bool:
    """Whether a content may add tools to those of its request."""
    return any(mark in content for mark in _BRINGING) or b"\\u00" in content


def tools_within(name: str, raw: Raw) -> Iterator[Tool]:
    """The tools that a field of a request brings, none for those that are read on their own.

    Raises `Refused` (400) for a field that may hold some and is too intricate to be looked through.
    """
    if name in _ELSEWHERE or bytes(memoryview(raw)[:1]) not in _BEGINS or not _may_bring(bytes(raw)):
        return
    # Read as it is: names must come out as they are.
    text = condensed(name, str(raw, "utf-8"))
    for place, part in objects(name, looked_through(name, text)):
        if not types_of(part) & _TOLD:
            yield from _brought(place, part)


def _may_bring(text: bytes) -> bool:
    return (
        b'tools"' in text
        or b'functions"' in text
        or b'mcp_servers"' in text
        or b'"definition"' in text
        or (b"\\u00" in text and ESCAPED_LETTER.search(str(text, "latin-1")) is not None)
    )


def _brought(place: str, part: Object) -> Iterator[Tool]:
    for key, value in part:
        if key in _LISTS and isinstance(value, list):
            for entry in value:
                yield from _read(key, entry)
        elif key == _NAMES and isinstance(value, list):
            yield from (read_tool({"name": _plain(entry)}) for entry in value)
        elif key == _DEFINITION and place == "tool":
            yield from _read(key, value)


def _read(key: str, entry: Pairs) -> Iterator[Tool]:
    plain = _plain(entry)
    if isinstance(plain, dict) and plain.get("type") == "namespace":
        return  # Its own tools are found as those of any object.
    read = read_server(plain) if key == _SERVERS else read_tool(plain)
    if read.listed is None:
        yield read
    else:
        yield from (listed_tool(read, name) for name in read.listed)


def _plain(value: Pairs) -> Json:
    """The same without its pairs; what has a key twice is no object that can be told."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if not isinstance(value, tuple):
        return value
    if len({key for key, _ in value}) < len(value):
        return None
    return {key: _plain(inner) for key, inner in value}
