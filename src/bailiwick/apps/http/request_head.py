"""Reads the headers of a data-plane request, once: who calls, for whom, and how large it is.

A credential or an identity that is sent twice, or in two contradictory ways, is refused: two readers of one request
must not come to two answers. A credential in the query string is not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import chain
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.ids import PROJECT, TENANT

Headers = Sequence[tuple[bytes, bytes]]

_AUTHORIZATION: Final = b"authorization"
_API_KEY: Final = b"x-api-key"
_CREDENTIALS: Final = (_AUTHORIZATION, _API_KEY)
_END_USER: Final = b"x-end-user-id"
_SESSION: Final = b"x-session-id"
_LENGTH: Final = b"content-length"
_HOST: Final = b"host"
_TYPE: Final = b"content-type"
_ENCODING: Final = b"content-encoding"
_IDENTITY: Final = b"identity"
_ORIGIN: Final = b"origin"
# What Anthropic's clients say to Anthropic: passed on to it, where it is a list of plain names.
_FOR_PROVIDER: Final = (b"anthropic-version", b"anthropic-beta")
_PLAIN: Final = re.compile(rb"[A-Za-z0-9 ,._:-]{1,1000}")
_DIGITS: Final = 19
# Around a value they are no part of it (RFC 9110 §5.5); the parser takes away only those before.
_BLANKS: Final = b" \t"
_ORGANIZATIONS: Final = (b"x-org-id", b"x-tenant-id", b"openai-organization")
_AGENT: Final = b"x-agent-id"
_PROJECTS: Final = (b"x-project-id", b"openai-project")
# What they ask for does not exist yet, and a call that went on without it would be answered as if it did.
_NOT_YET: Final = {b"x-thread-id": ("X-Thread-Id", "stored conversations")}
# Few calls have any of these.
_RARE: Final = frozenset({*_FOR_PROVIDER, *_ORGANIZATIONS, *_PROJECTS, *_NOT_YET, _AGENT})
_READ: Final = _RARE | {_AUTHORIZATION, _API_KEY, _END_USER, _SESSION, _LENGTH, _HOST, _TYPE, _ENCODING, _ORIGIN}
# Headers of OpenAI's own; they speak to us only when they hold one of our ids.
_OURS_IF: Final = {b"openai-organization": f"{TENANT}_".encode(), b"openai-project": f"{PROJECT}_".encode()}


@final
class RequestHead(msgspec.Struct, kw_only=True, gc=False):
    """What the headers say.

    `credential` is empty for one of another scheme than `Bearer`; `basic` is what came with the scheme `Basic`.
    `origin` is that of the page that asks, None for what is no page. `for_provider` holds whole lines, each with its
    end, that are meant for a provider that knows them.
    """

    credential: str | None = None
    basic: str | None = None
    uid: str | None = None
    sid: str | None = None
    organization: str | None = None
    project: str | None = None
    agent: str | None = None
    host: bytes = b""
    origin: bytes | None = None
    content_type: bytes = b""
    for_provider: bytes = b""


def bound_head(headers: Headers, most: int) -> int:
    """Say how many bytes the headers have; raises `Refused` (431) if they are more than `most`."""
    size = sum(map(len, chain.from_iterable(headers)))
    if size > most:
        raise Refused(Code.REQUEST_TOO_LARGE, f"The request's headers are larger than {most} bytes.", status=431)
    return size


def read_head(headers: Headers) -> RequestHead:
    """Read the headers; raises `Refused` (400) for what is repeated, contradictory or malformed."""
    found = {name: value.strip(_BLANKS) for name, value in headers}
    rare = not _RARE.isdisjoint(found)
    if rare or len(found) != len(headers):
        found = _found(headers)
    uid, sid = found.get(_END_USER), found.get(_SESSION)
    if found.get(_ENCODING, _IDENTITY).lower() != _IDENTITY:
        raise Refused(Code.INVALID_REQUEST, "The body must be sent without a Content-Encoding.")
    head = RequestHead(
        credential=_credential(found.get(_AUTHORIZATION), found.get(_API_KEY)),
        uid=None if uid is None else read_identifier("X-End-User-Id", uid),
        sid=None if sid is None else read_identifier("X-Session-Id", sid),
        host=found.get(_HOST, b""),
        origin=found.get(_ORIGIN),
        content_type=found.get(_TYPE, b""),
    )
    if head.credential == "":
        head.basic = _basic(found.get(_AUTHORIZATION, b""))
    if rare:
        for name, (shown, what) in _NOT_YET.items():
            if name in found:
                raise Refused(Code.INVALID_REQUEST, f"{shown} is not supported yet: there are no {what}.", param=shown)
        head.organization = _target(found, _ORGANIZATIONS)
        head.project = _target(found, _PROJECTS)
        if _AGENT in found:
            head.agent = read_identifier("X-Agent-Id", found[_AGENT])
        head.for_provider = b"".join(_passed_on(name, found[name]) for name in _FOR_PROVIDER if name in found)
    return head


def announced_length(headers: Headers) -> int | None:
    """The size of the body as the head announces it, None if it does not."""
    length = next((value.strip(_BLANKS) for name, value in headers if name == _LENGTH), b"")
    # Of a number with more digits these are enough to see that it is too large.
    return int(length[:_DIGITS]) if length.isdigit() else None


def _found(headers: Headers) -> dict[bytes, bytes]:
    """The headers that we read, by name; each once, but for lists."""
    found: dict[bytes, bytes] = {}
    for name, sent in headers:
        if name not in _READ:
            continue
        value = sent.strip(_BLANKS)
        if name in _OURS_IF and not value.startswith(_OURS_IF[name]):
            continue
        if name in found:
            if name not in _FOR_PROVIDER:
                code = Code.AMBIGUOUS_CREDENTIALS if name in _CREDENTIALS else Code.INVALID_REQUEST
                raise Refused(code, f"{name.decode()} was sent more than once.")
            value = b"%b, %b" % (found[name], value)
        found[name] = value
    return found


def _target(found: dict[bytes, bytes], names: tuple[bytes, ...]) -> str | None:
    """What the headers that name a tenant, or a project, say; several may, if they agree."""
    target: str | None = None
    for name in names:
        value = found.get(name)
        if value is not None:
            named = read_identifier(name.decode(), value)
            _agree(target, named)
            target = named
    return target


def _passed_on(name: bytes, value: bytes) -> bytes:
    """A header's line for the provider."""
    if _PLAIN.fullmatch(value) is None:
        raise Refused(Code.INVALID_REQUEST, f"{name.decode()} cannot be read.")
    return b"%b: %b\r\n" % (name, value)


def _agree(before: str | None, now: str) -> None:
    if before is not None and before != now:
        message = "The headers name two different organizations or projects."
        raise Refused(Code.INVALID_REQUEST, message)


def _basic(authorization: bytes) -> str | None:
    scheme, _, text = authorization.partition(b" ")
    return text.strip(_BLANKS).decode("latin-1") if scheme.lower() == b"basic" else None


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
