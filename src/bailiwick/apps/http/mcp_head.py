"""The headers in which a client of the Model Context Protocol says what its message says, read once.

None may come twice: two readers of one request must not come to two answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from bailiwick.domain.mcp import HEADER_MISMATCH, RefusedMessage
from bailiwick.domain.mcp_messages import McpHead

Headers = Sequence[tuple[bytes, bytes]]

_ACCEPT: Final = b"accept"
_READ: Final = {
    b"mcp-protocol-version": "version",
    b"mcp-method": "method",
    b"mcp-name": "name",
    b"mcp-session-id": "session",
    b"last-event-id": "last_event",
    _ACCEPT: "accept",
}
_PARAMETER: Final = b"mcp-param-"
_MOST_PARAMETERS: Final = 100
# What can stand in a line of ours.
_PLAIN: Final = re.compile(r"[ -~\t]{0,8192}")
_BLANKS: Final = " \t"


def read_mcp_head(headers: Headers) -> McpHead:
    """Read them; raises `RefusedMessage` (400) for what is repeated or malformed."""
    found: dict[str, str] = {}
    more: dict[bytes, bytes] = {}
    for name, sent in headers:
        field = _READ.get(name)
        if field is None and not name.startswith(_PARAMETER):
            continue
        value = sent.decode("latin-1").strip(_BLANKS)
        if _PLAIN.fullmatch(value) is None:
            raise _wrong(name, "cannot be read")
        if field is None:
            if name in more:
                raise _wrong(name, "was sent more than once")
            more[name] = b"%b: %b\r\n" % (name, value.encode())
        elif field not in found:
            found[field] = value
        elif name == _ACCEPT:
            found[field] += f", {value}"
        else:
            raise _wrong(name, "was sent more than once")
    if len(more) > _MOST_PARAMETERS:
        raise RefusedMessage(HEADER_MISMATCH, f"There must be at most {_MOST_PARAMETERS} headers Mcp-Param-….")
    return McpHead(**found, more=b"".join(more.values()))


def _wrong(name: bytes, what: str) -> RefusedMessage:
    return RefusedMessage(HEADER_MISMATCH, f"The header {name.decode('latin-1')[:64]!r} {what}.")
