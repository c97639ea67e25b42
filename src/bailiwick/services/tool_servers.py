"""A project's tool servers: which there are, who speaks to them, and what a caller may use of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.confinement import Confinement
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import McpServerId, ProjectId, TenantId
from bailiwick.domain.mcp import Kind, names_of
from bailiwick.domain.mcp_messages import LONGEST_NAME
from bailiwick.domain.models import Offer, ProviderKind, Route
from bailiwick.domain.policy import Decision, authorize_tool
from bailiwick.domain.pricing import Price, Rate
from bailiwick.domain.principal import Principal
from bailiwick.domain.tool_policy import Effort, ToolPolicy, tool_policy
from bailiwick.providers.mcp import McpUpstream
from bailiwick.services.remembered import Remembered
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.tool_servers import McpServerLookup, StoredMcpServer

_PROJECTS_KEPT: Final = 5_000
_NOTHING: Final = Rate(base=0)
FREE: Final = Price(input=_NOTHING, output=_NOTHING)

Connect = Callable[[TenantId, ProjectId, StoredMcpServer], McpUpstream]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """What the ledger has of a call to a tool server: `mcp/NAME`, and the tool. It has no tokens and costs nothing."""

    route: Route
    price: Price | None = FREE


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolServer:
    """One server. `own` is what it says of its tools itself."""

    id: McpServerId
    name: str
    own: ToolPolicy
    upstream: McpUpstream

    def decide(self, principal: Principal, kind: Kind, name: str, effort: Effort) -> Decision:
        """Say whether the caller may use a thing of this server: by its name alone, whatever the server lists.

        Raises `TooMany` at the end of the effort.
        """
        known = names_of(self.name, kind, name) if name and _is_short(kind, name) else ()
        return authorize_tool(known, principal.grant.tools, self.own, effort=effort)

    def use(self, label: str) -> ToolUse:
        """What the ledger has of a call that goes by this name."""
        offer = Offer(id=None, name=f"mcp/{self.name}", kind=ProviderKind.MCP, models=None, shared=False)
        return ToolUse(route=Route(offer=offer, model=label, names=()))


@final
class ToolServers:
    """Finds a project's servers, and keeps them while nothing changes."""

    def __init__(self, lookup: McpServerLookup, epoch: Epoch, *, connect: Connect) -> None:
        """`connect` makes who speaks to a stored server."""
        self._lookup = lookup
        self._connect = connect
        self._projects: Remembered[tuple[TenantId, ProjectId], Mapping[str, ToolServer]] = Remembered(
            self._read, epoch, capacity=_PROJECTS_KEPT
        )

    async def find(self, principal: Principal, name: str) -> ToolServer:
        """The server of this name in the caller's project; raises `Refused` (404), `Unavailable`."""
        grant = principal.grant
        server = (await self._projects.get((grant.tenant_id, grant.project_id))).get(name)
        if server is None:
            message = "There is no tool server of this name in this project."
            raise Refused(Code.NOT_FOUND, message)
        return server

    async def _read(self, key: tuple[TenantId, ProjectId]) -> Mapping[str, ToolServer]:
        return {
            stored.name: ToolServer(
                id=stored.id,
                name=stored.name,
                own=tool_policy((Confinement(source=f"the tool server {stored.name!r}", tools=stored.tools),)),
                upstream=self._connect(*key, stored),
            )
            for stored in await self._lookup.find(*key)
            if stored.enabled
        }


def _is_short(kind: Kind, name: str) -> bool:
    return kind is Kind.RESOURCE or len(name.encode(errors="replace")) <= LONGEST_NAME
