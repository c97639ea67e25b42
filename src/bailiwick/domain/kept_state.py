r"""References to what a provider keeps for an account: files, conversations, containers, prompts and their like.

On a platform's provider tenants share that account, so what one of them kept must not be named by another.

Worked example: `{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}` refers to a file; the
same words within a text (`"content": "my \"file_id\": 7"`) do not, and neither does a property of that name in a tool's
JSON schema or in what a model called a tool with.

A field is decoded and looked through only if it holds a key that may be a reference, and only if it is of a size to be
looked through: what a client can make us build is bounded by the number of values, whatever their length.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Final

from bailiwick.domain.errors import Code, Refused

# JSON that is only looked through: an object is the tuple of its pairs, so that none hides behind a later one.
Pairs = tuple[tuple[str, "Pairs"], ...] | list["Pairs"] | str | bool | None

_THINGS: Final = (
    "comparison_response", "container", "conversation", "file", "previous_message", "previous_response", "prompt",
    "response", "skill", "tunnel", "user_profile", "vector_store",
)  # fmt: skip
_KEPT: Final = frozenset(
    {"cachedContent", "cached_content", "container", "conversation", "fileUri", "file_uri", "thread"}
    | {f"{thing}_id" for thing in _THINGS}
    | {f"{thing}_ids" for thing in _THINGS}
)
# Objects that refer to something kept when they hold an `id`.
_KEPT_BY_ID: Final = frozenset({"audio", "prompt", "voice"})
# What a Responses input is made of when it names an item of an earlier response. Its `type` may be left out.
_ITEM: Final = "item_reference"
_INPUT: Final = "input"
# Items of that input have an `id` when they come from an answer. Whole, with the field by which that type says what it
# is, they are the client's own; without it the provider looks up what it has kept under that id.
_WHOLE_BY: Final[dict[str | None, str]] = {
    None: "content",
    "additional_tools": "tools",
    "apply_patch_call": "call_id",
    "apply_patch_call_output": "call_id",
    "code_interpreter_call": "code",
    "compaction": "encrypted_content",
    "computer_call": "call_id",
    "computer_call_output": "call_id",
    "custom_tool_call": "call_id",
    "custom_tool_call_output": "call_id",
    "file_search_call": "queries",
    "function_call": "call_id",
    "function_call_output": "call_id",
    "image_generation_call": "result",
    "local_shell_call": "call_id",
    "local_shell_call_output": "output",
    "mcp_approval_request": "name",
    "mcp_approval_response": "approval_request_id",
    "mcp_call": "name",
    "mcp_list_tools": "tools",
    "message": "content",
    "program": "call_id",
    "program_output": "call_id",
    "reasoning": "encrypted_content",
    "shell_call": "call_id",
    "shell_call_output": "call_id",
    "tool_search_call": "arguments",
    "tool_search_output": "tools",
    "web_search_call": "action",
}
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
# At the top level.
_METADATA: Final = "metadata"
# A conversation of ten thousand messages has some ten of them in each. To decode one takes half a microsecond.
_MOST_VALUES: Final = 200_000
# Each takes a step or two to be read over. Text has one in ten characters at the most, and models take a few megabytes.
_MOST_ESCAPES: Final = 4_000_000
# The longest of the names above, with every letter escaped (`\u0061`).
_LONGEST_NAME: Final = 6 * max(map(len, _KEPT | _KEPT_BY_ID))
_ID: Final = re.compile(r'"id"\s*+:', re.ASCII)
_KEYS: Final = re.compile(
    "|".join(
        [rf'"{name}"\s*+:' for name in sorted(_KEPT)]
        + [rf'"{name}"\s*+:\s*+\{{' for name in sorted(_KEPT_BY_ID)]
        + [f'"{_ITEM}"']
    ),
    re.ASCII,
)
_STRINGS: Final = re.compile(r'"[^"]*+"')
# A letter that need not have been escaped, as the backtick is by some encoders: the name of a key may hide in it.
_ESCAPED_LETTER: Final = re.compile(r"\\u00[4-7](?!(?<=[46])0)")


def kept_reference(name: str, text: str) -> str | None:
    """The key by which a field, `name` with the JSON `text`, refers to something kept; None for none.

    The JSON is read as if it were Latin-1: names that matter are ASCII, and no text takes more room than its bytes did.
    Raises `Refused` (400) for a field that may hold one and is too intricate to be looked through.
    """
    if name in _KEPT:
        return None if text == "null" else name
    if name == _METADATA or text[0] not in "{[":
        return None
    if len(text) > _MOST_VALUES:
        if len(text) > _MOST_ESCAPES and text.count("\\") > _MOST_ESCAPES:
            raise _wrong(name, f"has more than {_MOST_ESCAPES} backslashes, too many to be looked through")
        text = _condensed(text)
    if name not in _KEPT_BY_ID and not _may_refer(name, text):
        return None
    if len(text) > _MOST_VALUES and _values(text) > _MOST_VALUES:
        raise _wrong(name, f"has more than {_MOST_VALUES} values, too many to be looked through")
    try:
        value = json.loads(text, object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise _wrong(name, "cannot be read") from None
    if name == _INPUT and any(map(_is_reference, value if isinstance(value, list) else [value])):
        return _ITEM
    return next(_references(((name, value),)), None)


def _may_refer(name: str, text: str) -> bool:
    return (
        _KEYS.search(text) is not None
        or _ESCAPED_LETTER.search(text) is not None
        or (name == _INPUT and _ID.search(text) is not None)
    )


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


def _is_reference(item: Pairs) -> bool:
    """Whether an item of an input is there by its id alone."""
    if not isinstance(item, tuple) or all(inner is None for key, inner in item if key == "id"):
        return False
    for kind in _types(item):
        field = _WHOLE_BY.get(kind)
        own = [inner for key, inner in item if key == field]
        if not own or not all(own):
            return True
    return False


def _references(value: Pairs) -> Iterator[str]:
    pending: list[tuple[str, Pairs]] = [("", value)]
    while pending:
        place, part = pending.pop()
        if isinstance(part, list):
            pending.extend((place, inner) for inner in part)
        elif isinstance(part, tuple):
            for key, inner in part:
                if (key in _KEPT and inner is not None) or (key in _KEPT_BY_ID and _has_id(inner)):
                    yield key
                elif key == "type" and inner == _ITEM:
                    yield _ITEM
                elif key not in _FREE or not _is_free(key, place, part):
                    pending.append((key, inner))


def _is_free(key: str, place: str, part: tuple[tuple[str, Pairs], ...]) -> bool:
    allowed = _FREE[key]
    if allowed is None:
        return True
    types = _types(part)
    return types <= allowed and (None not in types or place in _DEFINITIONS)


def _types(part: tuple[tuple[str, Pairs], ...]) -> set[str | None]:
    """The types that an object gives, each of them if it gives several; None for none."""
    types = [inner for key, inner in part if key == "type" and inner is not None]
    return {kind if isinstance(kind, str) else "" for kind in types} or {None}


def _has_id(value: Pairs) -> bool:
    return isinstance(value, tuple) and any(key == "id" for key, _ in value)


def _wrong(name: str, what: str) -> Refused:
    return Refused(Code.INVALID_REQUEST, f"{name} {what}.", param=name)
