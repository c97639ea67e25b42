"""Builds the way to tool servers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import final

from bailiwick.bootstrap.ambient import entropy
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.identity.keyring import GatewayKeys, mcp_session_key
from bailiwick.identity.sealed_values import SealedValues
from bailiwick.identity.sealing import mcp_server_row_identity, unseal_with_any
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.mcp import McpUpstream
from bailiwick.providers.transport import Transport
from bailiwick.services.admission import Admission
from bailiwick.services.metering import Metering
from bailiwick.services.pipeline import Pipeline
from bailiwick.services.tool_calls import MOST, ToolCalls
from bailiwick.services.tool_servers import ToolServers
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.scope import Database
from bailiwick.storage.tool_servers import McpServerLookup, StoredMcpServer


def tool_servers(
    database: Database,
    epoch: Epoch,
    transport: Transport,
    sealing: Callable[[], Sequence[bytes]],
    timeouts: Timeouts,
) -> ToolServers:
    """The tool servers of all projects; `sealing` has the keys that their credentials may be sealed with."""
    connect = ToolServerSpeakers(transport, sealing, timeouts=timeouts)
    return ToolServers(McpServerLookup(database), epoch, connect=connect)


def tool_calls(
    pipeline: Pipeline,
    servers: ToolServers,
    admission: Admission,
    metering: Metering,
    keys: GatewayKeys,
    aside: Executor,
) -> ToolCalls:
    """Calls to them, by the parts that calls to models go by."""
    sealed = SealedValues(mcp_session_key(keys.pseudonyms), entropy=entropy, longest=MOST)
    return ToolCalls(
        pipeline=pipeline, servers=servers, admission=admission, metering=metering, sealed=sealed, aside=aside
    )


@final
class ToolServerSpeakers:
    """Makes who speaks to a tool server, from what is stored of it."""

    def __init__(self, transport: Transport, sealing: Callable[[], Sequence[bytes]], *, timeouts: Timeouts) -> None:
        """`sealing` has the keys that credentials may be sealed with."""
        self._transport = transport
        self._sealing = sealing
        self._timeouts = timeouts

    def __call__(self, tenant_id: TenantId, project_id: ProjectId, stored: StoredMcpServer) -> McpUpstream:
        """Speak to `stored`; raises `CannotOpen`."""
        row = mcp_server_row_identity(tenant_id, project_id, stored.id)
        sealed = stored.credential
        return McpUpstream(
            self._transport,
            url=stored.url,
            header=stored.credential_header,
            credential=None if sealed is None else unseal_with_any(self._sealing(), row, sealed),
            timeouts=self._timeouts,
        )
