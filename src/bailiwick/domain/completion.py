"""A chat completion's body: what we read of it, and what goes on to the provider.

Only the top level is decoded. What we must set or check (`model`, `stream`, `stream_options`, `user`,
`safety_identifier`, `metadata`, `tools`, `tool_choice`, maximum tokens, `n`, `store`) is decoded and encoded anew, so
that nothing hides in a second spelling; everything else, `messages` above all, passes on as the bytes that came.
A key that stands twice at the top level, or in another case, is refused: two parsers would read two different requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Annotated, Final, cast, final

import msgspec

from bailiwick.domain.errors import Code, Refused

Raw = msgspec.Raw
Json = dict[str, "Json"] | list["Json"] | str | int | float | bool | None
# JSON that is only looked through: an object is the tuple of its pairs, so that none hides behind a later one.
Pairs = tuple[tuple[str, "Pairs"], ...] | list["Pairs"] | str | bool | None

# More than any client sends; looking for one that stands twice takes a step for each.
_MOST_FIELDS: Final = 1000
_MISSING: Final = re.compile(r"missing required field `(\w+)`")
_top_level = msgspec.json.Decoder(dict[str, Raw]).decode
_encode = msgspec.json.encode
# Possessive: a key of many megabytes is matched in one go and in no memory.
_KEY: Final = re.compile(rb'\s*"([^"\\]*+(?:\\.[^"\\]*+)*+)"\s*:\s*', re.DOTALL)
_NEXT: Final = re.compile(rb"\s*([,}])")
_SOME: Final = re.compile(rb"\[\s*[^\]\s]")

# References to what a provider keeps for an account. On a platform's provider tenants share that account.
_KEPT_AT_PROVIDER: Final = frozenset(
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
# Most bodies hold none of these keys, in no spelling; only those that do are decoded and looked through.
_HINT: Final = re.compile(f'"(?:{"|".join(sorted(_KEPT_AT_PROVIDER | _KEPT_BY_ID))})"'.encode())
_ESCAPED_LETTER: Final = re.compile(rb"\\u00[4-7]")
# JSON schemas have properties of any name, and metadata keys of any name; neither is a reference.
_FREE_NAMES: Final = frozenset({"metadata", "parameters", "schema"})


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Known(msgspec.Struct):
    """The fields that we set or check, with the types they must have."""

    model: Annotated[str, msgspec.Meta(min_length=1, max_length=255)]
    messages: Raw
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)] | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=128)] | None = None
    tools: list[dict[str, Raw]] | None = None
    tool_choice: str | dict[str, Raw] | None = None
    metadata: dict[str, Raw] | None = None


_known = msgspec.json.Decoder(_Known).decode
_NAMES: Final = frozenset(_Known.__struct_fields__)


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
        known = _known(body)
    except (msgspec.MsgspecError, RecursionError) as wrong:
        raise _explained(str(wrong)) from None
    if not known.model.isprintable():
        raise _wrong("model", "must be printable")
    if _SOME.match(memoryview(known.messages)) is None:
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
    try:
        body.decode()
        fields = _top_level(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        message = "The body must be a JSON object."
        raise Refused(Code.INVALID_REQUEST, message) from None
    if len(fields) > _MOST_FIELDS:
        message = f"The body must have at most {_MOST_FIELDS} fields."
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


def _repeated_key(body: bytes, fields: dict[str, Raw]) -> str | None:
    """Walk the top level of a body that decoded to `fields`; returns the first key that stands twice.

    Of a key that stands twice the decoder kept the last value: an earlier one differs from it, to the byte, or the key
    comes again. A body that is exactly as long as these fields written without a space has no room for another key,
    and need not be walked.
    """
    tightest = 4 * len(fields) + 1
    for name, raw in fields.items():
        tightest += len(name) + len(raw)
    if tightest == len(body):
        return None
    position = body.index(b"{") + 1
    seen: set[str] = set()
    while (key := _KEY.match(body, position)) is not None:
        name = key[1].decode() if b"\\" not in key[1] else msgspec.json.decode(b'"' + key[1] + b'"', type=str)
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
        found = name if name in _KEPT_AT_PROVIDER else _kept_reference(name, bytes(raw))
        if found is not None:
            message = f"{name} refers to something kept at the provider ({found}), which needs a provider of your own."
            raise Refused(Code.INVALID_REQUEST, message, param=name)


def _kept_reference(name: str, text: bytes) -> str | None:
    """The first key within a field's value that is a reference, None for none."""
    if text[0] not in b"{[":
        return None
    if name not in _KEPT_BY_ID and _HINT.search(text) is None and _ESCAPED_LETTER.search(text) is None:
        return None
    try:
        value = json.loads(text.decode(), object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        raise _wrong(name, "cannot be read") from None
    return next(_kept_references(((name, value),)), None)


def _kept_references(value: Pairs) -> Iterator[str]:
    pending: list[Pairs] = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, list):
            pending.extend(part)
        elif isinstance(part, tuple):
            for key, inner in part:
                if key in _KEPT_AT_PROVIDER or (key in _KEPT_BY_ID and _has_id(inner)):
                    yield key
                elif key not in _FREE_NAMES:
                    pending.append(inner)


def _has_id(value: Pairs) -> bool:
    return isinstance(value, tuple) and any(key == "id" for key, _ in value)


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
