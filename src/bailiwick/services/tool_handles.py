"""What a tool server gives a client to bring back later: a session's name, the state of a call, a place in a stream.

Whoever brings one gets what it stands for. A server cannot tell our users apart, since all of them come to it with one
credential; so each of these has, outside, a form that is good for that user at that server alone. What a server means
by it, nobody outside reads.
"""

from __future__ import annotations

from enum import StrEnum
from typing import final

import msgspec

from bailiwick.domain.ids import McpServerId
from bailiwick.domain.principal import Principal
from bailiwick.identity.sealed_values import SealedValues


class Handle(StrEnum):
    """What it stands for; none passes for another."""

    SESSION = "mcp-session"
    STATE = "mcp-state"
    EVENT = "mcp-event"


@final
class _Own(msgspec.Struct):
    """As the server has it."""

    id: str


@final
class Handles:
    """Those of one server (which is one project's) and one end user, or without one of one credential."""

    __slots__ = ("_owner", "_sealed")

    def __init__(self, sealed: SealedValues, server: McpServerId, principal: Principal) -> None:
        owner = f"key:{principal.grant.key_id}" if principal.uid is None else f"user:{principal.uid}"
        self._sealed = sealed
        self._owner = f"{server.hex}/{owner}"

    def outside(self, handle: Handle, own: str) -> str:
        """What the client has for it: letters, digits, `-` and `_`."""
        return self._sealed.seal(f"{handle}/{self._owner}", _Own(id=own))

    def inside(self, handle: Handle, said: str) -> str | None:
        """What the server has for it; None if this is none of theirs."""
        opened = self._sealed.open(f"{handle}/{self._owner}", said, _Own)
        return None if opened is None else opened.id
