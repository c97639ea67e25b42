r"""References to what a provider keeps for an account: files, conversations, containers, prompts and their like.

On a platform's provider tenants share that account, so what one of them kept must not be named by another.

Worked example: `{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}` refers to a file; the
same words within a text (`"content": "my \"file_id\": 7"`) do not, and neither does a property of that name in a tool's
JSON schema or in what a model called a tool with.

A field is decoded and looked through only if it holds a key that may be a reference, and only if it is of a size to be
looked through: what a client can make us build is bounded by the number of values, whatever their length.
"""

from __future__ import annotations

import re
from typing import Final

from bailiwick.domain.json_search import ESCAPED_LETTER, Pairs, condensed, looked_through, members, types_of

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
# At the top level.
_METADATA: Final = "metadata"
_ID: Final = re.compile(r'"id"\s*+:', re.ASCII)
_KEYS: Final = re.compile(
    "|".join(
        [rf'"{name}"\s*+:' for name in sorted(_KEPT)]
        + [rf'"{name}"\s*+:\s*+\{{' for name in sorted(_KEPT_BY_ID)]
        + [f'"{_ITEM}"']
    ),
    re.ASCII,
)


def kept_reference(name: str, text: str) -> str | None:
    """The key by which a field, `name` with the JSON `text`, refers to something kept; None for none.

    The JSON is read as if it were Latin-1: names that matter are ASCII, and no text takes more room than its bytes did.
    Raises `Refused` (400) for a field that may hold one and is too intricate to be looked through.
    """
    if name in _KEPT:
        return None if text == "null" else name
    if name == _METADATA or text[0] not in "{[":
        return None
    text = condensed(name, text)
    if name not in _KEPT_BY_ID and not _may_refer(name, text):
        return None
    value = looked_through(name, text)
    if name == _INPUT and any(map(_is_reference, value if isinstance(value, list) else [value])):
        return _ITEM
    if name in _KEPT_BY_ID and _has_id(value):
        return name
    for _, key, inner in members(name, value):
        if (key in _KEPT and inner is not None) or (key in _KEPT_BY_ID and _has_id(inner)):
            return key
        if key == "type" and inner == _ITEM:
            return _ITEM
    return None


def _may_refer(name: str, text: str) -> bool:
    return (
        _KEYS.search(text) is not None
        or ESCAPED_LETTER.search(text) is not None
        or (name == _INPUT and _ID.search(text) is not None)
    )


def _is_reference(item: Pairs) -> bool:
    """Whether an item of an input is there by its id alone."""
    if not isinstance(item, tuple) or all(inner is None for key, inner in item if key == "id"):
        return False
    for kind in types_of(item):
        field = _WHOLE_BY.get(kind)
        own = [inner for key, inner in item if key == field]
        if not own or not all(own):
            return True
    return False


def _has_id(value: Pairs) -> bool:
    return isinstance(value, tuple) and any(key == "id" for key, _ in value)
