"""Errors at a tool server's address, as clients of the Model Context Protocol read them.

JSON-RPC's, under the status that the same refusal has everywhere: `{"jsonrpc": "2.0", "id", "error": {"code",
"message", "data": {"type", "param", "code"}}}`. 401, and 403 for want of a scope, say where to learn how to get a token
(RFC 9728 §5.1, RFC 6750 §3.1).
"""

from __future__ import annotations

from typing import Final

import msgspec

from bailiwick.apps.http.openai_errors import write_error
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.mcp import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, RefusedMessage
from bailiwick.domain.permissions import Permission

Header = tuple[bytes, bytes]

_CHALLENGE: Final = b"www-authenticate"
_UNAUTHORIZED: Final = 401
_NOT_FOUND: Final = 404
_SERVER_ERRORS: Final = 500
_NULL: Final = msgspec.Raw(b"null")
_ALLOW: Final = (b"allow", b"POST")


def write_mcp_error(refused: Refused, metadata: str | None) -> tuple[int, list[Header], bytes]:
    """Write a refusal as status, headers and body; `metadata` is where the address is described, if it is one."""
    status, headers, body = write_error(refused)
    headers = [header for header in headers if header[0] != _CHALLENGE]
    if (challenge := _challenge(refused, metadata)) is not None:
        headers.append((_CHALLENGE, challenge.encode()))
    if refused.code is Code.METHOD_NOT_ALLOWED and isinstance(refused, RefusedMessage):
        headers.append(_ALLOW)
    data: object = _said(body)
    message_id = _NULL
    number = INVALID_REQUEST if status < _SERVER_ERRORS else INTERNAL_ERROR
    if isinstance(refused, RefusedMessage):
        number = refused.number
        data = data if refused.data is None else refused.data
        message_id = _NULL if refused.message_id is None else msgspec.Raw(refused.message_id)
    elif status == _NOT_FOUND:
        number = METHOD_NOT_FOUND
    error = {"code": number, "message": refused.message, "data": data}
    return status, headers, msgspec.json.encode({"jsonrpc": "2.0", "id": message_id, "error": error})


def _said(body: bytes) -> dict[str, object]:
    """What our other clients are told beside the message."""
    said = msgspec.json.decode(body, type=dict[str, dict[str, object]])["error"]
    return {name: said.get(name) for name in ("type", "param", "code")}


def _challenge(refused: Refused, metadata: str | None) -> str | None:
    where = "" if metadata is None else f'resource_metadata="{metadata}"'
    if refused.status == _UNAUTHORIZED:
        error = "" if refused.code is Code.MISSING_CREDENTIALS else 'error="invalid_token"'
        return "Bearer " + ", ".join(part for part in (error, where) if part) if error or where else "Bearer"
    if refused.code is Code.FORBIDDEN and where:
        return f'Bearer error="insufficient_scope", scope="{Permission.TOOLS_CALL.value}", {where}'
    return None
