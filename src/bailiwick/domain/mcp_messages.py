"""What clients post to a tool server: one JSON-RPC message, read as far as it must be decided on.

Names that stand twice or in another case are refused, where anything is decided by them: so the bytes pass on as they
came, and nobody reads another message in them. Headers that say what the message says must say the same.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Refused
from bailiwick.domain.json_body import Raw, read_object
from bailiwick.domain.mcp import (
    COMPLETE,
    HEADER_MISMATCH,
    INITIALIZE,
    INVALID_PARAMS,
    INVALID_REQUEST,
    KIND_OF,
    LISTEN,
    METHOD_NOT_FOUND,
    METHODS,
    NAMED_IN_HEADERS,
    NAMING,
    NOTIFICATIONS,
    PARSE_ERROR,
    REMOVED,
    REVISIONS,
    STATELESS,
    TOOLS_CALL,
    UNSUPPORTED_VERSION,
    Kind,
    RefusedMessage,
)

LONGEST_NAME: Final = 255
_LONGEST_ID: Final = 1024
_MOST_SUBSCRIPTIONS: Final = 1000
_NOT_FOUND: Final = 404
_TOP: Final = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
_PARAMS: Final = frozenset(
    {"name", "uri", "arguments", "ref", "notifications", "task", "protocolVersion", "requestState", "_meta"}
)
_VERSION_KEY: Final = "io.modelcontextprotocol/protocolVersion"
_META: Final = frozenset({_VERSION_KEY})
_STATE: Final = "requestState"
# What can be listened for: the key of an extension could name what is somebody else's.
_LISTENED_FOR: Final = frozenset(
    {"toolsListChanged", "promptsListChanged", "resourcesListChanged", "resourceSubscriptions"}
)
_ENCODED: Final = re.compile(r"=\?base64\?(.*)\?=")
_ARRAY: Final = re.compile(rb"\s*\[")
_fields: Final = msgspec.json.Decoder(dict[str, Raw]).decode
_TYPES: Final = {"ref/prompt": ("name", Kind.PROMPT), "ref/resource": ("uri", Kind.RESOURCE)}


@final
class McpHead(msgspec.Struct, frozen=True, kw_only=True):
    """What the headers of a request say of its message. `more` are whole lines that pass on as they came."""

    version: str | None = None
    method: str | None = None
    name: str | None = None
    session: str | None = None
    last_event: str | None = None
    accept: str | None = None
    more: bytes = b""

    @property
    def stateless(self) -> bool:
        """Whether the request is of the revision that knows neither handshakes nor sessions."""
        return self.version == STATELESS


@final
class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One message. `method` None: it answers a server's request. `id`, as JSON, is None for a notification.

    `wanted` are the things that it asks for, by kind and name; `state` is what the client brings back of an earlier
    answer to the same request.
    """

    method: str | None
    id: bytes | None
    wanted: tuple[tuple[Kind, str], ...] = ()
    state: str | None = None

    @property
    def is_request(self) -> bool:
        """Whether it is owed an answer."""
        return self.method is not None and self.id is not None

    @property
    def label(self) -> str:
        """What the ledger calls it: the tool that it calls, else its method."""
        if self.method == TOOLS_CALL:
            return self.wanted[0][1]
        return self.method or "answer"


def check_version(head: McpHead) -> None:
    """Raise `RefusedMessage` (400) for a revision that we do not speak."""
    if head.version is not None and head.version not in REVISIONS:
        # Those with a handshake are agreed on in it.
        asked = {"supported": [STATELESS], "requested": head.version}
        data = msgspec.Raw(msgspec.json.encode(asked))
        raise RefusedMessage(UNSUPPORTED_VERSION, "Unsupported protocol version", data=data)


def read_message(body: bytes, head: McpHead) -> Message:
    """Read a posted message and hold its headers against it; raises `RefusedMessage`, `Refused` (400)."""
    if _ARRAY.match(body) is not None:
        raise RefusedMessage(INVALID_REQUEST, "Batches are not taken: post one message at a time.")
    fields = _object(body, content="params", names=_TOP, number=PARSE_ERROR)
    if _text(fields.get("jsonrpc")) != "2.0":
        raise RefusedMessage(INVALID_REQUEST, 'The message must say "jsonrpc": "2.0".')
    message_id = _id(fields)
    try:
        return _message(fields, message_id, head)
    except RefusedMessage as refused:
        refused.message_id = message_id
        raise


def _message(fields: dict[str, Raw], message_id: bytes | None, head: McpHead) -> Message:
    if "method" not in fields:
        if message_id is None or ("result" in fields) == ("error" in fields):
            raise RefusedMessage(INVALID_REQUEST, "The message is neither a request nor an answer.")
        check_version(head)
        return Message(method=None, id=message_id)
    method = _text(fields["method"])
    if method is None or "result" in fields or "error" in fields:
        raise RefusedMessage(INVALID_REQUEST, "The message is neither a request nor an answer.")
    params = _params(fields)
    if message_id is None:
        check_version(head)
        if not method.startswith(NOTIFICATIONS):
            raise RefusedMessage(INVALID_REQUEST, "A message without an id is a notification.")
        return Message(method=method, id=None)
    _check_headers(head, method, params)
    check_version(head)
    if method not in METHODS or (head.stateless and method in REMOVED):
        raise RefusedMessage(METHOD_NOT_FOUND, "Method not found", status=_NOT_FOUND)
    if method == TOOLS_CALL and "task" in params and not head.stateless:
        raise RefusedMessage(INVALID_PARAMS, "Tasks are not supported here: call the tool without one.")
    wanted = _wanted(method, params)
    if method in NAMED_IN_HEADERS and (head.stateless or head.name is not None):
        _agree("Mcp-Name", None if head.name is None else _decoded(head.name), wanted[0][1])
    return Message(method=method, id=message_id, wanted=wanted, state=_state(params))


def _check_headers(head: McpHead, method: str, params: dict[str, Raw]) -> None:
    meta = params.get("_meta")
    said = None
    if meta is not None:
        said = _object(meta, content="", names=_META, number=INVALID_PARAMS).get(_VERSION_KEY)
    if head.stateless and said is None:
        raise RefusedMessage(INVALID_PARAMS, f"params._meta must name the revision as {_VERSION_KEY}.")
    if head.stateless or (said is not None and method != INITIALIZE):
        _agree("MCP-Protocol-Version", head.version, None if said is None else _text(said))
    if head.stateless or head.method is not None:
        _agree("Mcp-Method", head.method, method)


def _agree(header: str, said: str | None, meant: str | None) -> None:
    if said is None or said != meant:
        raise RefusedMessage(HEADER_MISMATCH, f"The header {header} and the message do not say the same.")


def _wanted(method: str, params: dict[str, Raw]) -> tuple[tuple[Kind, str], ...]:
    if method in NAMING:
        return ((KIND_OF[method], _name(params, NAMING[method])),)
    if method == COMPLETE:
        ref = _object(params.get("ref", Raw(b"null")), content="", names=frozenset({"type", "name", "uri"}))
        field, kind = _TYPES.get(_text(ref.get("type")) or "", (None, Kind.PROMPT))
        if field is None:
            raise RefusedMessage(INVALID_PARAMS, "ref must name a prompt or a resource.")
        return ((kind, _name(ref, field)),)
    if method == LISTEN:
        return tuple((Kind.RESOURCE, uri) for uri in _subscriptions(params))
    return ()


def _state(params: dict[str, Raw]) -> str | None:
    raw = params.get(_STATE)
    if raw is None or bytes(raw) == b"null":
        return None
    state = _text(raw)
    if state is None:
        raise RefusedMessage(INVALID_PARAMS, f"{_STATE} must be a text.")
    return state


def with_state(body: bytes, state: str) -> bytes:
    """The same message, which was read, with another state."""
    fields = _fields(body)
    fields["params"] = Raw(msgspec.json.encode({**_fields(fields["params"]), _STATE: state}))
    return msgspec.json.encode(fields)


def _subscriptions(params: dict[str, Raw]) -> list[str]:
    listened = _object(params.get("notifications", Raw(b"{}")), content="", names=_LISTENED_FOR)
    if not listened.keys() <= _LISTENED_FOR:
        raise RefusedMessage(INVALID_PARAMS, f"notifications may have {', '.join(sorted(_LISTENED_FOR))}.")
    asked = listened.get("resourceSubscriptions", Raw(b"null"))
    try:
        uris = msgspec.json.decode(asked, type=list[str] | None) or []
    except (msgspec.MsgspecError, RecursionError):
        uris = [""]
    if len(uris) > _MOST_SUBSCRIPTIONS or not all(uris):
        raise RefusedMessage(INVALID_PARAMS, f"resourceSubscriptions must be at most {_MOST_SUBSCRIPTIONS} URIs.")
    return uris


def _params(fields: dict[str, Raw]) -> dict[str, Raw]:
    raw = fields.get("params")
    return {} if raw is None else _object(raw, content="arguments", names=_PARAMS, number=INVALID_PARAMS)


def _name(params: dict[str, Raw], field: str) -> str:
    name = _text(params.get(field))
    if not name:
        raise RefusedMessage(INVALID_PARAMS, f"{field} must be a text.")
    if field == "name" and len(name.encode(errors="replace")) > LONGEST_NAME:
        raise RefusedMessage(INVALID_PARAMS, f"{field} must be at most {LONGEST_NAME} bytes.")
    return name


def _id(fields: dict[str, Raw]) -> bytes | None:
    raw = fields.get("id")
    if raw is None:
        return None
    spelled = bytes(raw)
    try:
        if len(spelled) <= _LONGEST_ID and type(msgspec.json.decode(spelled)) in {str, int}:
            return spelled
    except (msgspec.MsgspecError, RecursionError):
        pass
    raise RefusedMessage(INVALID_REQUEST, "id must be a text or a whole number.")


def _object(raw: bytes | Raw, *, content: str, names: frozenset[str], number: int = INVALID_PARAMS) -> dict[str, Raw]:
    try:
        return read_object(bytes(raw), content=content, names=names)
    except Refused as refused:
        raise RefusedMessage(number, refused.message.replace("The body", "The message, or a part of it,")) from None


def _text(raw: Raw | None) -> str | None:
    if raw is None:
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _decoded(value: str) -> str | None:
    """A header's value, which is written in base 64 where it is not plain; None if that cannot be read."""
    match = _ENCODED.fullmatch(value)
    if match is None:
        return value
    try:
        content = base64.b64decode(match[1], validate=True)
        return content.decode() if base64.b64encode(content).decode() == match[1] else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
