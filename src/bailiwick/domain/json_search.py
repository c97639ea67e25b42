"""JSON that is looked through for keys that mean something to a provider, wherever they stand.

Not where the application's own names stand: in the schema of a tool or of an answer, in what a tool was called with.
What a client can make us build is bounded by the number of values, whatever their length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from bailiwick.domain.json_body import wrong

# An object is the tuple of its pairs, so that none hides behind a later one.
Object = tuple[tuple[str, "Pairs"], ...]
Pairs = Object | list["Pairs"] | str | bool | None

# Where the application's own JSON stands, whose names mean nothing to a provider: under these keys of objects with one
# of these types. None among them: of objects without a type that stand where definitions do; in their place: of any.
_FREE: Final[dict[str, frozenset[str | None] | None]] = {
    "arguments": frozenset({"tool_search_call"}),
    "input": frozenset({"mcp_tool_use", "server_tool_use", "tool_use"}),
    "input_examples": None,
    "input_schema": frozenset({None, "custom"}),
    "output_schema": frozenset({"function"}),
    "parameters": frozenset({None, "function", "tool_search"}),
    "schema": frozenset({None, "json_schema"}),
}
_DEFINITIONS: Final = frozenset({"definition", "function", "functions", "json_schema", "tools"})
# A conversation of ten thousand messages has some ten of them in each. To decode one takes half a microsecond.
_MOST_VALUES: Final = 200_000
# Each takes a step or two to be read over. Text has one in ten characters at the most, and models take a few megabytes.
_MOST_ESCAPES: Final = 4_000_000
# Longer than any name that is looked for, with every letter escaped (`\u0061`).
_LONGEST_NAME: Final = 6 * 64
_STRINGS: Final = re.compile(r'"[^"]*+"')
# A letter that need not have been escaped, as the backtick is by some encoders: the name of a key may hide in it.
ESCAPED_LETTER: Final = re.compile(r"\\u00[4-7](?!(?<=[46])0)")


def condensed(name: str, text: str) -> str:
    """The JSON of a field, in its long strings emptied if it is large; raises `Refused` (400)."""
    if len(text) > _MOST_VALUES:
        if len(text) > _MOST_ESCAPES and text.count("\\") > _MOST_ESCAPES:
            raise wrong(name, f"has more than {_MOST_ESCAPES} backslashes, too many to be looked through")
        return _condensed(text)
    return text


def looked_through(name: str, text: str) -> Pairs:
    """Decode what `condensed` returned; raises `Refused` (400) for a field too intricate for that."""
    if len(text) > _MOST_VALUES and _values(text) > _MOST_VALUES:
        raise wrong(name, f"has more than {_MOST_VALUES} values, too many to be looked through")
    try:
        value: Pairs = json.loads(text, object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise wrong(name, "cannot be read") from None
    return value


def members(name: str, value: Pairs) -> Iterator[tuple[str, str, Pairs]]:
    """Every member of every object in a field: under which key the object stands, the member's own key, its value."""
    for place, part in objects(name, value):
        for key, inner in part:
            yield place, key, inner


def objects(name: str, value: Pairs) -> Iterator[tuple[str, Object]]:
    """Every object in a field, and under which key it stands."""
    pending: list[tuple[str, Pairs]] = [(name, value)]
    while pending:
        place, part = pending.pop()
        if isinstance(part, list):
            pending.extend((place, inner) for inner in part)
        elif isinstance(part, tuple):
            yield place, part
            pending.extend((key, inner) for key, inner in part if key not in _FREE or not _is_free(key, place, part))


def _is_free(key: str, place: str, part: Object) -> bool:
    allowed = _FREE[key]
    if allowed is None:
        return True
    types = types_of(part)
    return types <= allowed and (None not in types or place in _DEFINITIONS)


def types_of(part: Object) -> set[str | None]:
    """The types that an object gives, each of them if it gives several; None for none."""
    types = [inner for key, inner in part if key == "type" and inner is not None]
    return {kind if isinstance(kind, str) else "" for kind in types} or {None}


def _condensed(text: str) -> str:
    """The same JSON with its long strings emptied: no name is as long, and what a string says is of no concern."""
    if "\\" in text:
        # No name has these. In this order: a quote after two backslashes ends its string.
        text = text.replace("\\\\", "~~").replace('\\"', "~~")
    parts = text.split('"')
    parts[1::2] = [part if len(part) <= _LONGEST_NAME else "" for part in parts[1::2]]
    return '"'.join(parts)


def _values(text: str) -> int:
    """Count what condensed JSON would be decoded to, to within a factor of two."""
    bare = _STRINGS.sub("", text)
    return bare.count(",") + bare.count("[") + bare.count("{")
