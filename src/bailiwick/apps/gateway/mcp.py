"""`/p/{slug}/mcp/{server}`: a project's tool servers, and what they say of how to be asked (RFC 9728).

What is described is the same for every address of that form, whether or not there is such a server: who has no
credential learns nothing of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import final

import msgspec

from bailiwick.apps.gateway.call import Call, Handler
from bailiwick.apps.http.mcp_address import DESCRIPTION, DOOR, described, server_of
from bailiwick.apps.http.mcp_head import read_mcp_head
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.permissions import Permission
from bailiwick.services.tool_calls import MOST, ToolAsked, ToolCalls


@final
class ToolServerDoor:
    """The handlers."""

    def __init__(self, calls: ToolCalls, *, public_url: str) -> None:
        """`public_url` is the installation, which issues tokens and where they are good."""
        self._calls = calls
        self._public_url = public_url

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every form of address, with its methods."""
        methods = {method: partial(self.call, method) for method in ("POST", "GET", "DELETE")}
        return {DOOR: methods, DESCRIPTION: {"GET": self.describe}}

    async def call(self, method: str, call: Call) -> None:
        """A message for a tool server; or, within a session, its stream or its end."""
        server = server_of(call.below)
        if server is None or call.slug is None:
            message = "A tool server's address names its project: /p/{slug}/mcp/{server}."
            raise Refused(Code.NOT_FOUND, message)
        call.max_body = min(call.max_body, MOST)
        asked = ToolAsked(
            method=method,
            server=server,
            agent=call.head.agent,
            head=read_mcp_head(call.headers),
            seen=call.seen,
            presented=call.presented(),
            ip=call.said.ip,
            read_body=call.body,
            let_go=call.let_go,
        )
        await self._calls.call(asked, call.reply)

    async def describe(self, call: Call) -> None:
        """`GET /.well-known/oauth-protected-resource/p/{slug}/mcp/{server}` (RFC 9728 §3)."""
        await call.reply.answer(
            msgspec.json.encode(
                {
                    "resource": self._public_url.rstrip("/") + described(call.below),
                    "authorization_servers": [self._public_url],
                    "scopes_supported": [Permission.TOOLS_CALL.value],
                    "bearer_methods_supported": ["header"],
                }
            )
        )
