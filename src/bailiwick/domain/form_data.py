"""What clients ask of models in multipart/form-data (RFC 7578): audio to be transcribed, with fields beside it.

The body passes on as it came but for the model's name, which is cut out and put in. A field that stands twice and that
we read, a part without a name, more parts than anybody needs, anything behind the last one: refused, since two parsers
would read two requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, final

import msgspec
from python_multipart import multipart
from python_multipart.exceptions import FormParserError, MultipartParseError

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.json_body import wrong
from bailiwick.domain.usage import AUDIO_AS_TEXT, estimated_tokens

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

_MOST_PARTS: Final = 100
_MOST_HEADER_BYTES: Final = 16 * 1024
_LONGEST_VALUE: Final = 255
_FILE: Final = "file"
_READ: Final = frozenset({_FILE, "model", "stream"})


@final
class FormRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the client made it. `size` is as if it were text; the model's name is at `begin` to `end`."""

    body: bytes
    content_type: bytes
    model: str
    begin: int
    end: int
    stream: bool
    size: int
    usage_wanted: bool = False

    def tokens(self) -> int:
        """Estimate the tokens that it takes."""
        return estimated_tokens(self.size)

    def upstream(self, *, model: str, user: str | None, shared_account: bool) -> bytes:
        """Write the body for the provider, with its own name of the model; it has no place for a user."""
        del user, shared_account
        if model == self.model:
            return self.body
        return self.body[: self.begin] + model.encode() + self.body[self.end :]


@final
class _Part:
    __slots__ = ("begin", "end", "filename", "name")

    def __init__(self) -> None:
        self.name: str | None = None
        self.filename = False
        self.begin = self.end = -1


@final
class _Parts:
    """Collects where the parts are; the parser's callbacks."""

    def __init__(self) -> None:
        self.found: list[_Part] = []
        self.complete = False
        self._field = b""
        self._value = b""

    def part_begin(self) -> None:
        if len(self.found) >= _MOST_PARTS:
            message = f"The body must have at most {_MOST_PARTS} parts."
            raise Refused(Code.INVALID_REQUEST, message)
        self.found.append(_Part())

    def header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            kind, options = multipart.parse_options_header(self._value)
            part = self.found[-1]
            if kind != b"form-data" or part.name is not None or b"name" not in options:
                raise _unreadable()
            part.name = options[b"name"].decode("utf-8", "replace")
            part.filename = b"filename" in options
        self._field = self._value = b""

    def part_data(self, _data: bytes, start: int, end: int) -> None:
        part = self.found[-1]
        if part.begin < 0:
            part.begin = start
        part.end = end

    def end(self) -> None:
        self.complete = True


def read_form(body: bytes, content_type: bytes) -> FormRequest:
    """Read a client's body; raises `Refused` (400)."""
    parts = _parsed(body, content_type)
    values: dict[str, _Part] = {}
    files = 0
    for part in parts:
        if part.name is None:
            raise _unreadable()
        if part.name.casefold() in _READ and (
            part.name not in _READ or part.name in values or part.filename is not (part.name == _FILE)
        ):
            raise wrong(part.name, f"must be sent once, as a {'file' if part.name == _FILE else 'plain field'}")
        values[part.name] = part
        files += part.end - part.begin if part.filename else 0
    if "model" not in values:
        raise wrong("model", "is required")
    if _FILE not in values:
        raise wrong(_FILE, "is required")
    model = _text(body, values["model"], "model")
    if not model or not model.isprintable():
        raise wrong("model", "must be printable text")
    stream = _text(body, values["stream"], "stream") if "stream" in values else "false"
    if stream not in {"true", "false", "True", "False", "1", "0"}:
        raise wrong("stream", "must be true or false")
    return FormRequest(
        body=body,
        content_type=content_type,
        model=model,
        begin=values["model"].begin,
        end=values["model"].end,
        stream=stream in {"true", "True", "1"},
        size=len(body) - files + files // AUDIO_AS_TEXT,
    )


def _parsed(body: bytes, content_type: bytes) -> list[_Part]:
    kind, options = multipart.parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not boundary:
        message = "The body must be multipart/form-data, with a boundary."
        raise Refused(Code.INVALID_REQUEST, message)
    parts = _Parts()
    callbacks: MultipartCallbacks = {
        "on_part_begin": parts.part_begin,
        "on_part_data": parts.part_data,
        "on_header_field": parts.header_field,
        "on_header_value": parts.header_value,
        "on_header_end": parts.header_end,
        "on_end": parts.end,
    }
    try:
        parser = multipart.MultipartParser(boundary, callbacks, max_header_size=_MOST_HEADER_BYTES)
        parser.write(body)
        parser.finalize()
    except (FormParserError, MultipartParseError):
        raise _unreadable() from None
    # RFC 2046 has readers ignore what follows the end. Not all do, and one that reads on may find another model.
    if not parts.complete or body.partition(b"\r\n--%b--" % boundary)[2].strip():
        raise _unreadable()
    return parts.found


def _text(body: bytes, part: _Part, name: str) -> str:
    if part.end - part.begin > _LONGEST_VALUE:
        raise wrong(name, f"must be at most {_LONGEST_VALUE} bytes")
    try:
        return body[max(part.begin, 0) : max(part.end, 0)].decode()
    except UnicodeDecodeError:
        raise wrong(name, "must be UTF-8") from None


def _unreadable() -> Refused:
    return Refused(Code.INVALID_REQUEST, "The body is not well-formed multipart/form-data.")
