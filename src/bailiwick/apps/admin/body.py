"""Reads a request's body: bounded, JSON by the letter (RFC 8259), and nothing that the database could not hold.

Refused: more than 1 MiB (413), another media type (415), what is no JSON, holds a name twice, is nested beyond 32
levels or says NaN (400), NUL and halves of surrogate pairs, which PostgreSQL's text cannot hold (422). Numbers with a
fraction are exact decimals.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NoReturn, final

from starlette.requests import ClientDisconnect, Request

from bailiwick.apps.admin.problems import UnsupportedMediaType
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import FieldError, Invalid

MAX_BODY: Final = 1024 * 1024
_DEEPEST: Final = 32
_JSON: Final = "application/json"
_MERGE_PATCH: Final = "application/merge-patch+json"


@final
class ReadRequest(Request):
    """A request whose body was read and understood; the framework finds it here."""

    def __init__(self, request: Request, raw: bytes, document: object) -> None:
        """Take the place of `request`."""
        super().__init__(request.scope, request.receive)
        self._raw = raw
        self._document = document

    async def body(self) -> bytes:
        """The bytes that came."""
        return self._raw

    async def json(self) -> Any:
        """What they say."""
        return self._document


async def read_body(request: Request) -> ReadRequest:
    """Read the body of `request`, if it has one; raises `Refused`."""
    raw = await _read(request)
    if not raw:
        return ReadRequest(request, raw, None)
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != _JSON and not (request.method == "PATCH" and media_type == _MERGE_PATCH):
        raise UnsupportedMediaType
    return ReadRequest(request, raw, read_json(raw))


def read_json(raw: bytes) -> object:
    """Read JSON; raises `Refused` (400) for anything else, and (422) for what cannot be stored."""
    try:
        document = json.loads(
            raw.decode(), parse_float=Decimal, parse_constant=_no_number, object_pairs_hook=_names_once
        )
    except (ValueError, RecursionError):
        raise _malformed("The body is not valid JSON.") from None
    _check(document)
    return document


async def _read(request: Request) -> bytes:
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY:
                message = f"The body must be at most {MAX_BODY} bytes."
                raise Refused(Code.REQUEST_TOO_LARGE, message)
            chunks.append(chunk)
    except ClientDisconnect:
        raise _malformed("The body is not complete.") from None
    return b"".join(chunks)


def _check(document: object) -> None:
    """Walk the document without recursion: how deep it is, is the sender's choice."""
    waiting: list[tuple[tuple[str, ...], object]] = [((), document)]
    while waiting:
        path, value = waiting.pop()
        if len(path) > _DEEPEST:
            raise _malformed(f"The body is nested beyond {_DEEPEST} levels.")
        if isinstance(value, str) and not _storable(value):
            raise _unstorable(path)
        for name, inner in _children(value):
            if not _storable(name):
                raise _unstorable(path)
            waiting.append(((*path, name), inner))


def _children(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        yield from value.items()
    elif isinstance(value, list):
        yield from ((str(place), item) for place, item in enumerate(value))


def _storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _unstorable(path: tuple[str, ...]) -> Invalid:
    message = "must not contain NUL or half of a surrogate pair"
    return Invalid(FieldError(field=".".join(path), message=message))


def _names_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise _malformed("The body holds a name twice.")
    return document


def _no_number(_text: str) -> NoReturn:
    raise _malformed("The body is not valid JSON.")


def _malformed(message: str) -> Refused:
    return Refused(Code.INVALID_REQUEST, message)
