"""A chat completion's body: what we read of it, and what goes on to the provider.

Only the top level is decoded. What we must set or check (`model`, `stream`, `stream_options`, `user`,
`safety_identifier`, `metadata`, `tools`, `tool_choice`, maximum tokens, `n`, `store`) is decoded and encoded anew, so
that nothing hides in a second spelling; everything else, `messages` above all, passes on as the bytes that came.
A key that stands twice at the top level, or in another case, is refused: two parsers would read two different requests.

What is decoded is bounded before it is, since an object costs many times the bytes that spell it: whatever a client
sends, reading it is a few passes over its bytes and takes memory of their order.
"""

from __future__ import annotations

import re
from codecs import getincrementaldecoder
from typing import Annotated, Final, cast, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.kept_state import kept_reference

Raw = msgspec.Raw
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None

# More than any client sends; looking for one that stands twice takes a step for each.
_MOST_FIELDS: Final = 1000
# Keys and strings of the whole body. A conversation of ten thousand messages has some ten of them in each.
_MOST_STRINGS: Final = 200_000
# Bytes of all that is not `messages`: ten thousand tools of 200 bytes, or the 128 that OpenAI takes with 16 KiB each.
_MOST_BESIDES: Final = 2 * 1024 * 1024
_CHECKED_AT_ONCE: Final = 64 * 1024
# Looked through for each of its keys.
_SHORT: Final = 4 * 1024
_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_top_level = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
# Possessive: a key of many megabytes is matched in one go and in no memory.
_KEY: Final = re.compile(rb'\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*:\s*', re.DOTALL)
_NEXT: Final = re.compile(rb"\s*([,}])")
_SOME: Final = re.compile(rb"\[\s*+[^\]]")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Object(msgspec.Struct, gc=False):
    """Any object: this says only that it is one."""


class _Known(msgspec.Struct):
    """The fields that we set or check, with the types they must have; `messages` is looked at as it came."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    tools: list[_Object] | None = None
    tool_choice: str | _Object | None = None
    metadata: _Object | None = None


_known = msgspec.json.Decoder(_Known).decode
_KNOWN: Final = frozenset(_Known.__struct_fields__)
_NAMES: Final = _KNOWN | {"messages"}


@final
class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A chat completion as the client asked for it. `size` is the whole body's, in bytes."""

    fields: dict[str, Raw]
    model: str
    stream: bool
    usage_wanted: bool
    size: int


def read_chat(body: bytes) -> ChatRequest:
    """Read a client's body; raises `Refused` (400) saying which field is wrong."""
    fields = _read_object(body)
    try:
        # Not the body, which may be large, a second time.
        known = _known(_encode({name: raw for name, raw in fields.items() if name in _KNOWN}))
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise _explained(str(wrong)) from None
    if not known.model.isprintable():
        raise _wrong("model", "must be printable")
    if "messages" not in fields:
        raise _wrong("messages", "is required")
    if _SOME.match(memoryview(fields["messages"])) is None:
        raise _wrong("messages", "must be an array with at least one message")
    return ChatRequest(
        fields=fields,
        model=known.model,
        stream=known.stream is True,
        usage_wanted=known.stream_options is not None and known.stream_options.include_usage is True,
        size=len(body),
    )


def write_upstream(request: ChatRequest, *, model: str, user: str | None, shared_account: bool) -> bytes:
    """Write the body for the provider.

    `user` is the pseudonym of the end user, None for none. `shared_account` says that tenants share the provider's
    account: references to anything kept there are then refused (400), and nothing is stored.
    """
    fields: dict[str, object] = dict(request.fields)
    fields["model"] = model
    fields["stream"] = request.stream
    for name in ("user", "safety_identifier"):
        if user is None:
            fields.pop(name, None)
        else:
            fields[name] = user
    if request.stream:
        options = _decoded(request.fields, "stream_options") or {}
        fields["stream_options"] = {**cast("dict[str, Json]", options), "include_usage": True}
    else:
        fields.pop("stream_options", None)
    for name in ("metadata", "tools", "tool_choice", "max_tokens", "max_completion_tokens", "n"):
        if name in fields:
            fields[name] = _decoded(request.fields, name)
    if shared_account:
        if "store" in fields:
            fields["store"] = False
        _refuse_kept_state(request)
    return _encode(fields)


def _read_object(body: bytes) -> dict[str, Raw]:
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
    if len(body) > _MOST_BESIDES and len(body) - len(fields.get("messages", b"")) > _MOST_BESIDES:
        message = f"The body must have at most {_MOST_BESIDES} bytes besides its messages."
        raise Refused(Code.INVALID_REQUEST, message)
    if (twice := _repeated_key(body, fields)) is not None:
        message = f"The body names {twice[:64]!r} more than once."
        raise Refused(Code.INVALID_REQUEST, message)
    for name in fields:
        # To a parser that does not regard case, `Model` is a second spelling of what was checked as `model`.
        if name not in _NAMES and name.casefold() in _NAMES:
            message = f"The body names {name!r}, which must be written {name.casefold()!r}."
            raise Refused(Code.INVALID_REQUEST, message)
    return fields


def _check_strings(body: bytes) -> None:
    """Refuse a body with too many keys and strings. Each has a quote, or two, that is not escaped."""
    quotes = body.count(b'"')
    if quotes > 2 * _MOST_STRINGS and quotes - body.count(b'\\"') > 2 * _MOST_STRINGS:
        message = f"The body must have at most {_MOST_STRINGS} keys and strings."
        raise Refused(Code.INVALID_REQUEST, message)


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
    has no room for another key, and one in which each key is found once, where a key has but one spelling, has none.
    """
    tightest = 4 * len(fields) + 1
    for name, raw in fields.items():
        tightest += len(name) + len(raw)
    if tightest == len(body):
        return None
    plain = len(body) < _SHORT and (b"\\" not in body or (b"\\u" not in body and b"\\/" not in body))
    if plain:
        for name in fields:
            if body.count(b'"%b"' % name.encode()) != 1:
                break
        else:
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


def _refuse_kept_state(request: ChatRequest) -> None:
    for name, raw in request.fields.items():
        found = kept_reference(name, str(raw, "latin-1"))
        if found is not None:
            message = f"{name} refers to something kept at the provider ({found}), which needs a provider of your own."
            raise Refused(Code.INVALID_REQUEST, message, param=name)


def _decoded(fields: dict[str, Raw], name: str) -> Json:
    raw = fields.get(name)
    if raw is None:
        return None
    try:
        return cast("Json", msgspec.json.decode(raw))
    except (msgspec.MsgspecError, RecursionError):
        raise _wrong(name, "cannot be read") from None


def _explained(problem: str) -> Refused:
    """Turn the decoder's words (`Expected `bool`, got `str` - at `$.stream``) into a refusal that names the field."""
    what, _, where = problem.partition(" - at `$.")
    if where:
        return _wrong(where.rstrip("`").split(".")[0].split("[")[0], f"is wrong: {what[0].lower()}{what[1:]}")
    if (field := _MISSING.search(what)) is not None:
        return _wrong(field[1], "is required")
    return Refused(Code.INVALID_REQUEST, f"The body is wrong: {what}.")


def _wrong(name: str, what: str) -> Refused:
    return Refused(Code.INVALID_REQUEST, f"{name} {what}.", param=name)
