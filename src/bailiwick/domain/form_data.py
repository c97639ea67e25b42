"""What clients ask of models in multipart/form-data (RFC 7578): audio to be transcribed, with fields beside it.

Parsers differ over forms: which of two names counts, whether one has an encoding, what stands behind the end. So what
we cannot read in one way only is refused, and the provider's body is written anew from what was read, in the form that
browsers write: of each part its name, its file's name and type, and its bytes as they came. Nothing else goes on.

Worked example: `Content-Disposition: form-data; name=file; filename*=utf-8''caf%C3%A9.mp3` becomes
`Content-Disposition: form-data; name="file"; filename="café.mp3"`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, final
from urllib.parse import unquote

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
_FORM: Final = b"multipart/form-data"
_FILE: Final = "file"
_READ: Final = frozenset({_FILE, "model", "stream"})
# Fields in which a client could name an end user, whom it has no place for; they do not pass.
_STRIPPED: Final = frozenset({"safety_identifier", "user"})
# RFC 2046 §5.1.1.
_BOUNDARY: Final = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
# What needs no quotes (RFC 2045 §5.1); some providers' parsers know none.
_TOKEN: Final = re.compile(rb"[0-9A-Za-z'+_.-]+")
_PARAMETER: Final = re.compile(rb';[ \t]*+([!-:<>-~]++)=("(?:[^"\\]|\\.)*+"|[^\s";]++)[ \t]*+', re.DOTALL)
# No two readers differ over these: no quotes, no escapes, nothing to be decoded.
_NAME: Final = re.compile(r"[A-Za-z][\w.\[\]-]{0,99}", re.ASCII)
_OUTERMOST: Final = re.compile(r"[^.\[]+")
_TYPE: Final = re.compile(rb"(?!multipart/)[!-~][ -~]{0,254}", re.IGNORECASE)
_AS_IT_IS: Final = frozenset({b"7bit", b"8bit", b"binary"})
_UNQUOTABLE: Final = re.compile(r'["\\\x00-\x1f\x7f]')


@final
class FormRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it was read. `size` is as if it were text; `pieces` are the provider's body, at `place` the model.

    `content_type` is for the provider.
    """

    pieces: tuple[bytes | memoryview, ...]
    place: int
    content_type: bytes
    model: str
    stream: bool
    size: int
    usage_wanted: bool = False
    others: None = None

    def tokens(self) -> int:
        """Estimate the tokens that it takes."""
        return estimated_tokens(self.size)

    def upstream(self, *, model: str, user: str | None, shared_account: bool, maximum: str | None = None) -> bytes:
        """Write the body for the provider, with its own name of the model; it has no place for anything else."""
        del user, shared_account, maximum
        return b"".join((*self.pieces[: self.place], model.encode(), *self.pieces[self.place + 1 :]))


@final
class _Part:
    """One part: `filename` None for a field that is no file, `kind` its content type, if it gives one."""

    __slots__ = ("begin", "end", "filename", "kind", "name")

    def __init__(self) -> None:
        self.name: str | None = None
        self.filename: str | None = None
        self.kind: bytes | None = None
        self.begin = self.end = 0

    def header(self, field: bytes, value: bytes) -> None:
        """Take one header; raises `Refused` (400)."""
        if field == b"content-disposition":
            options = _parameters(value, b"form-data")
            if self.name is not None or options is None or not options.keys() <= {b"name", b"filename", b"filename*"}:
                raise _unreadable()
            name = options.get(b"name", b"").decode("utf-8", "replace")
            if _NAME.fullmatch(name) is None:
                raise _unreadable()
            self.name = name
            self.filename = _filename(options)
        elif field == b"content-type":
            if self.kind is not None or _TYPE.fullmatch(value) is None:
                raise _unreadable()
            self.kind = value
        elif field == b"content-transfer-encoding" and value.lower() not in _AS_IT_IS:
            raise _unreadable()

    def head(self) -> bytes:
        """The part's headers, written anew."""
        more = "" if self.filename is None else f'; filename="{self.filename}"'
        disposition = f'Content-Disposition: form-data; name="{self.name}"{more}\r\n'.encode()
        # Of a field that we read as plain text there is nothing else to be told.
        kind = None if self.name in _READ and self.name != _FILE else self.kind
        return disposition + (b"\r\n" if kind is None else b"Content-Type: %b\r\n\r\n" % kind)


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
        self.found[-1].header(self._field.lower(), self._value.strip(b" \t"))
        self._field = self._value = b""

    def part_data(self, _data: bytes, start: int, end: int) -> None:
        part = self.found[-1]
        part.begin = part.begin or start
        part.end = end

    def end(self) -> None:
        self.complete = True


def read_form(body: bytes, content_type: bytes) -> FormRequest:
    """Read a client's body; raises `Refused` (400)."""
    boundary = _boundary(content_type)
    parts = _parsed(body, boundary)
    values: dict[str, _Part] = {}
    files = 0
    for part in parts:
        if part.name is None:
            raise _unreadable()
        # Some make a list of `model[]`, and some take any case.
        if _OUTERMOST.match(part.name.casefold())[0] in _READ and (  # type: ignore[index]  # a name begins with a letter
            part.name not in _READ or part.name in values or (part.filename is not None) is not (part.name == _FILE)
        ):
            raise wrong(part.name, f"must be sent once, as a {'file' if part.name == _FILE else 'plain field'}")
        values[part.name] = part
        files += part.end - part.begin if part.filename is not None else 0
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
    passing = [part for part in parts if part.name not in _STRIPPED]
    return FormRequest(
        pieces=_pieces(body, boundary, passing),
        place=3 * passing.index(values["model"]) + 1,
        content_type=_FORM + b"; boundary=" + (boundary if _TOKEN.fullmatch(boundary) else b'"%b"' % boundary),
        model=model,
        stream=stream in {"true", "True", "1"},
        size=len(body) - files + files // AUDIO_AS_TEXT,
    )


def _pieces(body: bytes, boundary: bytes, parts: list[_Part]) -> tuple[bytes | memoryview, ...]:
    """The body anew; of each part three pieces, of which the second is its value."""
    whole = memoryview(body)
    pieces: list[bytes | memoryview] = []
    for part in parts:
        pieces += (b"--%b\r\n%b" % (boundary, part.head()), whole[part.begin : part.end], b"\r\n")
    return (*pieces, b"--%b--\r\n" % boundary)


def _boundary(content_type: bytes) -> bytes:
    options = _parameters(content_type, _FORM)
    boundary = b"" if options is None or b"boundary*" in options else options.get(b"boundary", b"")
    if _BOUNDARY.fullmatch(boundary) is None:
        message = "The body must be multipart/form-data, with a boundary as RFC 2046 has it."
        raise Refused(Code.INVALID_REQUEST, message)
    return boundary


def _parsed(body: bytes, boundary: bytes) -> list[_Part]:
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
    # A boundary anywhere else is none to us, and may be one to a reader that takes any end of a line; and RFC 2046 has
    # readers ignore what follows the last one, which not all do.
    delimiter = b"--" + boundary
    if (
        not parts.complete
        or body.count(delimiter) != len(parts.found) + 1
        or body.rpartition(delimiter)[2].strip() != b"--"
    ):
        raise _unreadable()
    return parts.found


def _parameters(header: bytes, kind: bytes) -> dict[bytes, bytes] | None:
    """The parameters of a header of this `kind`, by name in lower case; None for another, or for what is ambiguous."""
    found, semicolon, rest = header.partition(b";")
    if found.strip(b" \t").lower() != kind:
        return None
    options: dict[bytes, bytes] = {}
    position, rest = 0, semicolon + rest
    while position < len(rest):
        parameter = _PARAMETER.match(rest, position)
        if parameter is None or parameter[1].lower() in options:
            return None
        value = parameter[2]
        options[parameter[1].lower()] = value[1:-1] if value.startswith(b'"') else value
        position = parameter.end()
    return options


def _filename(options: dict[bytes, bytes]) -> str | None:
    """A file's name as it can be written between quotes, None for none. Providers look at how it ends."""
    if (plain := options.get(b"filename")) is not None:
        name = plain.decode("utf-8", "replace")
    elif (encoded := options.get(b"filename*")) is not None:
        name = unquote(encoded.decode("utf-8", "replace").rpartition("'")[2])
    else:
        return None
    return _UNQUOTABLE.sub("_", name)[-_LONGEST_VALUE:]


def _text(body: bytes, part: _Part, name: str) -> str:
    if part.end - part.begin > _LONGEST_VALUE:
        raise wrong(name, f"must be at most {_LONGEST_VALUE} bytes")
    try:
        return body[part.begin : part.end].decode()
    except UnicodeDecodeError:
        raise wrong(name, "must be UTF-8") from None


def _unreadable() -> Refused:
    return Refused(Code.INVALID_REQUEST, "The body is not well-formed multipart/form-data.")
