r"""References to what a provider keeps for an account: files, conversations, containers, prompts and their like.

On a platform's provider tenants share that account, so what one of them kept must not be named by another.

Worked example: `{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}` refers to a file; the
same words within a text (`"content": "my \"file_id\": 7"`) do not, and neither does a property of that name in a JSON
schema.

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

_KEPT: Final = frozenset(
    {
        "cachedContent",
        "cached_content",
        "container",
        "conversation",
        "file_id",
        "file_ids",
        "previous_response_id",
        "prompt_id",
        "vector_store_ids",
    }
)
# Objects that refer to something kept when they hold an `id`.
_KEPT_BY_ID: Final = frozenset({"audio", "prompt", "voice"})
# What a Responses input is made of when it names an item of an earlier response.
_ITEM: Final = "item_reference"
# JSON schemas have properties of any name, and metadata keys of any name; neither is a reference.
_FREE_NAMES: Final = frozenset({"metadata", "parameters", "schema"})
# A conversation of ten thousand messages has some ten of them in each. To decode one takes half a microsecond.
_MOST_VALUES: Final = 200_000
# The longest of the names above, with every letter escaped (`\u0061`).
_LONGEST_NAME: Final = 6 * max(map(len, _KEPT | _KEPT_BY_ID))
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
    if text[0] not in "{[":
        return None
    if len(text) > _MOST_VALUES:
        text = _condensed(text)
    if name not in _KEPT_BY_ID and _KEYS.search(text) is None and _ESCAPED_LETTER.search(text) is None:
        return None
    if len(text) > _MOST_VALUES and _values(text) > _MOST_VALUES:
        raise _wrong(name, f"has more than {_MOST_VALUES} values, too many to be looked through")
    try:
        value = json.loads(text, object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise _wrong(name, "cannot be read") from None
    return next(_references(((name, value),)), None)


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


def _references(value: Pairs) -> Iterator[str]:
    pending: list[Pairs] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, tuple):
            for key, inner in part:
                if (key in _KEPT and inner is not None) or (key in _KEPT_BY_ID and _has_id(inner)):
                    yield key
                elif key == "type" and inner == _ITEM:
                    yield _ITEM
                elif key not in _FREE_NAMES:
                    pending.append(inner)


def _has_id(value: Pairs) -> bool:
    return isinstance(value, tuple) and any(key == "id" for key, _ in value)


def _wrong(name: str, what: str) -> Refused:
    return Refused(Code.INVALID_REQUEST, f"{name} {what}.", param=name)
