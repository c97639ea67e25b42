"""A request's JSON body as it came: an object whose top level alone is decoded.

A key that stands twice at the top level, or in another case, is refused: two parsers would read two different requests.
What is decoded is bounded before it is, since an object costs many times the bytes that spell it: whatever a client
sends, reading it is a few passes over its bytes and takes memory of their order.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from functools import lru_cache
from typing import Final, cast

import msgspec

from bailiwick.domain.errors import Code, Refused

Raw = msgspec.Raw
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

# More than any client sends; looking for one that stands twice takes a step for each.
_MOST_FIELDS: Final = 1000
# Keys and strings of the whole body. A conversation of ten thousand messages has some ten of them in each.
_MOST_STRINGS: Final = 200_000
# Bytes of all that is not the content: ten thousand tools of 200 bytes, or the 128 that OpenAI takes with 16 KiB each.
_MOST_BESIDES: Final = 2 * 1024 * 1024
# Values of whatever we decode whole. To decode one and encode it anew takes a fifth of a microsecond.
MOST_VALUES: Final = 200_000
# To go over so many bytes once takes up to some milliseconds, and a body is gone over several times.
LARGE: Final = 512 * 1024
_SHORTEST_VALUE: Final = len(b"1,")
_CHECKED_AT_ONCE: Final = 64 * 1024
# Written anew, to be compared.
_SHORT: Final = 4 * 1024
_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_top_level = msgspec.json.Decoder(dict[str, Raw]).decode
# Possessive: a key of many megabytes is matched in one go and in no memory.
_KEY: Final = re.compile(rb'\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*:\s*', re.DOTALL)
_NEXT: Final = re.compile(rb"\s*([,}])")


def read_object(body: bytes, *, content: str, names: frozenset[str]) -> dict[str, Raw]:
    """Decode the top level of a body; raises `Refused` (400).

    `content` is the field that may be as large as the body; `names` are those that must not stand in another case.
    """
    if len(body) > _MOST_STRINGS:
        _check_strings(body)
    try:
        if not body.isascii():
            _check_utf8(body)
        fields = _top_level(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = "The body must be a JSON object."
        raise Refused(Code.INVALID_REQUEST, message) from None
    if len(fields) > _MOST_FIELDS:
        message = f"The body must have at most {_MOST_FIELDS} fields."
        raise Refused(Code.INVALID_REQUEST, message)
    if len(body) > _MOST_BESIDES and len(body) - len(fields.get(content, b"")) > _MOST_BESIDES:
        message = f"The body must have at most {_MOST_BESIDES} bytes besides its {content}."
        raise Refused(Code.INVALID_REQUEST, message)
    if (twice := _repeated_key(body, fields)) is not None:
        message = f"The body names {twice[:64]!r} more than once."
        raise Refused(Code.INVALID_REQUEST, message)
    spelled = _spelled(names)
    for name in fields:
        # To a parser that does not regard case, `Model` is a second spelling of what was checked as `model`.
        if name not in names and name.casefold() in spelled:
            message = f"The body names {name!r}, which must be written {spelled[name.casefold()]!r}."
            raise Refused(Code.INVALID_REQUEST, message)
    return fields


@lru_cache(maxsize=64)
def _spelled(names: frozenset[str]) -> dict[str, str]:
    """Each of the names by how it is without regard to case."""
    return {name.casefold(): name for name in names}


def _check_strings(body: bytes) -> None:
    """Refuse a body with too many keys and strings. Each has a quote, or two, that is not escaped."""
    quotes = body.count(b'"')
    if quotes > 2 * _MOST_STRINGS and quotes - body.count(b'\\"') > 2 * _MOST_STRINGS:
        message = f"The body must have at most {_MOST_STRINGS} keys and strings."
        raise Refused(Code.INVALID_REQUEST, message)


def too_many_values(body: bytes, most: int) -> bool:
    """Whether decoding JSON would make more than `most` values, before it is decoded; a few passes over its bytes.

    Every value but the first follows one of three characters. These stand in text, too, so text is taken out of what
    has more of them.
    """
    if len(body) // _SHORTEST_VALUE <= most or _separators(body) < most:
        return False
    if b"\\" in body:
        # In this order: a quote after two backslashes ends its string.
        body = body.replace(b"\\\\", b"~~").replace(b'\\"', b"~~")
    return _separators(b"".join(body.split(b'"')[::2])) >= most


def _separators(body: bytes) -> int:
    return body.count(b",") + body.count(b"[") + body.count(b"{")


def _check_utf8(body: bytes) -> None:
    """Raise `UnicodeDecodeError` unless all is UTF-8; in pieces, since text can take four times its bytes.

    What ends within a character is not noticed here: it is no JSON object.
    """
    decoder = getincrementaldecoder("utf-8")()
    whole = memoryview(body)
    for begin in range(0, len(body), _CHECKED_AT_ONCE):
        decoder.decode(whole[begin : begin + _CHECKED_AT_ONCE])


def _repeated_key(body: bytes, fields: dict[str, Raw]) -> str | None:
    """Walk the top level of a body that decoded to `fields`; returns the first key that stands twice.

    Of a key that stands twice the decoder kept the last value: an earlier one differs from it, to the byte, or the key
    comes again. Most bodies need not be walked: one that is exactly as long as these fields written without a space
    has no room for another key, and one that is what Python's `json` makes of these fields, to the byte, has none.
    """
    if 4 * len(fields) + 1 + sum(map(len, fields)) + sum(map(len, fields.values())) == len(body):
        return None
    if len(body) < _SHORT:
        usual = b", ".join([b'"' + name.encode() + b'": ' + raw for name, raw in fields.items()])
        if body == b"{" + usual + b"}":
            return None
    position = body.index(b"{") + 1
    seen: set[str] = set()
    while (key := _KEY.match(body, position)) is not None:
        spelled = key[1]
        name = spelled.decode() if b"\\" not in spelled else msgspec.json.decode(b'"' + spelled + b'"', type=str)
        value = bytes(fields[name])
        position = key.end()
        following = _NEXT.match(body, position + len(value)) if body.startswith(value, position) else None
        if following is None or name in seen:
            return name
        seen.add(name)
        position = following.end()
    return None


def decoded(fields: dict[str, Raw], name: str) -> Json:
    """Decode one field whole, None if it is absent or null; raises `Refused` (400)."""
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return cast("Json", msgspec.json.decode(raw))
    except (msgspec.MsgspecError, RecursionError):
        raise wrong(name, "cannot be read") from None


def explained(problem: str) -> Refused:
    """Turn the decoder's words (`Expected `bool`, got `str` - at `$.stream``) into a refusal that names the field."""
    what, _, where = problem.partition(" - at `$.")
    if where:
        return wrong(where.rstrip("`").split(".")[0].split("[")[0], f"is wrong: {what[0].lower()}{what[1:]}")
    if (field := _MISSING.search(what)) is not None:
        return wrong(field[1], "is required")
    return Refused(Code.INVALID_REQUEST, f"The body is wrong: {what}.")


def wrong(name: str, what: str) -> Refused:
    """Refuse a body for one field of it."""
    return Refused(Code.INVALID_REQUEST, f"{name} {what}.", param=name)
