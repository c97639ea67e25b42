"""Reads the headers of a data-plane request, once: who calls, for whom, and how large it is.

A credential or an identity that is sent twice, or in two contradictory ways, is refused: two readers of one request
must not come to two answers. A credential in the query string is not looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.ids import PROJECT, TENANT

Headers = Sequence[tuple[bytes, bytes]]
Value = TypeVar("Value")

_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"
_END_USER: Final = b"x-end-user-id"
_SESSION: Final = b"x-session-id"
_LENGTH: Final = b"content-length"
_HOST: Final = b"host"
_DIGITS: Final = 19
# Around a value they are no part of it (RFC 9110 §5.5); the parser takes away only those before.
_BLANKS: Final = b" \t"
_ORGANIZATIONS: Final = (b"x-org-id", b"x-tenant-id", b"openai-organization")
_PROJECTS: Final = (b"x-project-id", b"openai-project")
_READ: Final = frozenset({_AUTHORIZATION, _API_KEY, _END_USER, _SESSION, _LENGTH, _HOST, *_ORGANIZATIONS, *_PROJECTS})
# Headers of OpenAI's own; they speak to us only when they hold one of our ids.
_OURS_IF: Final = {b"openai-organization": f"{TENANT}_".encode(), b"openai-project": f"{PROJECT}_".encode()}


@final
class RequestHead(msgspec.Struct, kw_only=True, gc=False):
    """What the headers say. `length` is the announced size of the body, None if there is none."""

    credential: str | None = None
    uid: str | None = None
    sid: str | None = None
    organization: str | None = None
    project: str | None = None
    length: int | None = None
    host: bytes = b""


def bound_head(headers: Headers, most: int) -> None:
    """Raise `Refused` (431) for headers of more than `most` bytes."""
    size = 0
    for name, value in headers:
        size += len(name) + len(value)
    if size > most:
        raise Refused(Code.REQUEST_TOO_LARGE, f"The request's headers are larger than {most} bytes.", status=431)


def read_head(headers: Headers) -> RequestHead:
    """Read the headers; raises `Refused` (400) for what is repeated, contradictory or malformed."""
    head = RequestHead()
    bearer: bytes | None = None
    api_key: bytes | None = None
    host: bytes | None = None
    targets: dict[bytes, str] = {}
    for name, sent in headers:
        if name not in _READ:
            continue
        value = sent.strip(_BLANKS)
        if name == _AUTHORIZATION:
            bearer = _once(bearer, value, Code.AMBIGUOUS_CREDENTIALS, "Authorization")
        elif name == _API_KEY:
            api_key = _once(api_key, value, Code.AMBIGUOUS_CREDENTIALS, "x-api-key")
        elif name == _LENGTH:
            # Of a number with more digits these are enough to see that it is too large.
            head.length = int(value[:_DIGITS]) if value.isdigit() else None
        elif name == _HOST:
            host = _once(host, value, Code.INVALID_REQUEST, "Host")
        elif name == _END_USER:
            head.uid = _once(head.uid, read_identifier("X-End-User-Id", value), Code.INVALID_REQUEST, "X-End-User-Id")
        elif name == _SESSION:
            head.sid = _once(head.sid, read_identifier("X-Session-Id", value), Code.INVALID_REQUEST, "X-Session-Id")
        elif value.startswith(_OURS_IF.get(name, b"")):
            _read_target(head, targets, name, value)
    head.host = host or b""
    head.credential = _credential(bearer, api_key)
    return head


def _read_target(head: RequestHead, read: dict[bytes, str], name: bytes, value: bytes) -> None:
    """Read a header that names a tenant or project; several may, each once, if they agree."""
    target = _once(read.get(name), read_identifier(name.decode(), value), Code.INVALID_REQUEST, name.decode())
    read[name] = target
    if name in _ORGANIZATIONS:
        _agree(head.organization, target)
        head.organization = target
    else:
        _agree(head.project, target)
        head.project = target


def _agree(before: str | None, now: str) -> None:
    if before is not None and before != now:
        message = "The headers name two different organizations or projects."
        raise Refused(Code.INVALID_REQUEST, message)


def _once(before: Value | None, now: Value, code: Code, name: str) -> Value:
    if before is not None:
        message = f"{name} was sent more than once."
        raise Refused(code, message)
    return now


def _credential(bearer: bytes | None, api_key: bytes | None) -> str | None:
    if bearer is not None and api_key is not None:
        message = "Send either Authorization or x-api-key, not both."
        raise Refused(Code.AMBIGUOUS_CREDENTIALS, message)
    if api_key is not None:
        return api_key.decode("latin-1")
    if bearer is None:
        return None
    scheme, _, text = bearer.partition(b" ")
    # Another scheme, or none, is a credential that cannot be valid: the answer is that of a wrong one.
    return text.decode("latin-1") if scheme.lower() == b"bearer" else ""
