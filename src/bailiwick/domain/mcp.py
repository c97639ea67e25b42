"""The Model Context Protocol (MCP) over streamable HTTP, as far as a gateway reads it: revisions, errors, names.

    https://modelcontextprotocol.io/specification/2026-07-28   stateless: each request says all there is to say
    https://modelcontextprotocol.io/specification/2025-11-25   and before: a handshake, and perhaps a session

What passes is a closed list: a method that we do not know could name a tool where nobody looks for it.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused

STATELESS: Final = "2026-07-28"
# Without a header a client speaks the oldest of them, as 2025-11-25 says.
WITH_HANDSHAKE: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
REVISIONS: Final = (STATELESS, *WITH_HANDSHAKE)

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
UNSUPPORTED_VERSION: Final = -32022

TOOLS_CALL: Final = "tools/call"
LISTEN: Final = "subscriptions/listen"
INITIALIZE: Final = "initialize"
# Methods that ask for one thing, with the parameter that names it.
NAMING: Final = {
    TOOLS_CALL: "name",
    "prompts/get": "name",
    "resources/read": "uri",
    "resources/subscribe": "uri",
    "resources/unsubscribe": "uri",
}
# Methods whose headers name it, too.
NAMED_IN_HEADERS: Final = frozenset({TOOLS_CALL, "prompts/get", "resources/read"})
COMPLETE: Final = "completion/complete"
METHODS: Final = frozenset(
    {
        *NAMING, COMPLETE, LISTEN, INITIALIZE, "ping", "server/discover", "logging/setLevel",
        "tools/list", "prompts/list", "resources/list", "resources/templates/list",
    }
)  # fmt: skip
# What the stateless revision has no more.
REMOVED: Final = frozenset({INITIALIZE, "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"})
NOTIFICATIONS: Final = "notifications/"


class Kind(Enum):
    """What a server has that goes by a name; the value is what comes before it in rules."""

    TOOL = ""
    PROMPT = "prompt:"
    RESOURCE = "resource:"


KIND_OF: Final = {
    TOOLS_CALL: Kind.TOOL,
    "prompts/get": Kind.PROMPT,
    "resources/read": Kind.RESOURCE,
    "resources/subscribe": Kind.RESOURCE,
    "resources/unsubscribe": Kind.RESOURCE,
}


def names_of(server: str, kind: Kind, name: str) -> tuple[str, ...]:
    """The names that rules know it by; none for what is made to look like something else.

    The tool `search` of the server `docs` is `search` and `docs/search`; its prompt `hi` is `docs/prompt:hi` and its
    resource `file:///a` is `docs/resource:file:///a`. A tool whose own name has a slash goes by the longer name alone:
    by the shorter one it could pass for another server's.
    """
    full = f"{server}/{kind.value}{name}"
    if kind is not Kind.TOOL:
        return (full,)
    if name.startswith((Kind.PROMPT.value, Kind.RESOURCE.value)):
        return ()
    return (full,) if "/" in name else (name, full)


@final
class RefusedMessage(Refused):
    """A message that goes no further, as JSON-RPC tells it: a number, and the message's own id, as JSON."""

    def __init__(
        self,
        number: int,
        message: str,
        *,
        code: Code = Code.INVALID_REQUEST,
        status: int | None = None,
        message_id: bytes | None = None,
        data: msgspec.Raw | None = None,
        retry_after: int | None = None,
    ) -> None:
        """`data` is what the tool server said beside, if it was the one that refused."""
        super().__init__(code, message, status=status, retry_after=retry_after)
        self.number = number
        self.message_id = message_id
        self.data = data
