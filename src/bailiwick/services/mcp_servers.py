"""A project's tool servers: registered, read, changed, removed. Each change is audited in its own transaction.

A server's credential comes in and is sealed for its row; no answer, no log and no audit entry holds it. It only ever
goes to the address and in the header that it was given for: whoever changes one of them must give it again, so that
nobody can have a stored credential sent to a server of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import McpServerId, ProjectId, TenantId
from bailiwick.domain.mcp_servers import MAX_MCP_SERVERS, McpServer, McpServerSpec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.identity.keyring import fingerprint
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.identity.sealing import CannotOpen, mcp_server_row_identity, seal, unseal
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import mcp_server_document
from bailiwick.services.provider_accounts import SecretChange
from bailiwick.storage.mcp_servers import McpServerRows
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope

_NONCE_BYTES: Final = 12


@final
class McpServers:
    """The tool servers of projects, and the sealing of their credentials."""

    def __init__(self, database: Database, acts: Acts, *, sealing: bytes, guard: OutboundGuard) -> None:
        """`sealing` is the key that the gateway opens secrets with; `guard` judges where servers are."""
        self._database = database
        self._acts = acts
        self._sealing = sealing
        self._guard = guard

    async def list(
        self, tenant_id: TenantId, project_id: ProjectId, page: PageRequest, *, is_there: bool = False
    ) -> Page[McpServer]:
        """A page of a project's servers; raises `Refused` (404) unless whoever asks knows that the project is there."""
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await ProjectRows(scope, tenant_id).find(project_id))
            return await McpServerRows(scope, tenant_id, project_id).list(page)

    async def find(self, tenant_id: TenantId, project_id: ProjectId, server_id: McpServerId) -> McpServer:
        """One server; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await McpServerRows(scope, tenant_id, project_id).find(server_id))

    async def create(
        self, actor: Actor, place: tuple[TenantId, ProjectId], spec: McpServerSpec, credential: str | None
    ) -> McpServer:
        """Register a server; raises `Refused` (404; 409 if its name is taken or there are too many) and `Invalid`."""
        self._check(spec)
        async with self._database.acting(place[0]) as scope:
            # Who counts holds the project, so that two at once count one another.
            found(await ProjectRows(scope, place[0]).lock(place[1]))
            rows = McpServerRows(scope, *place)
            if await rows.count() >= MAX_MCP_SERVERS:
                raise Refused(Code.CONFLICT, f"A project has at most {MAX_MCP_SERVERS} tool servers.")
            server_id = McpServerId(self._acts.new_id())
            sealed = self._sealed(place, server_id, credential)
            server = await rows.add(server_id, spec, sealed, created_at=self._acts.now(), created_by=actor.name)
            after = {**mcp_server_document(server), **self._fingerprint(credential)}
            await self._record(scope, actor, "create", server, {"after": after})
            return server

    async def change(
        self,
        actor: Actor,
        place: tuple[TenantId, ProjectId],
        server_id: McpServerId,
        change: Callable[[McpServer], tuple[McpServerSpec, SecretChange | None]],
        *,
        expected: Expected = WHATEVER,
    ) -> McpServer:
        """Make a server what `change` says of it; raises `Refused` (404, 409, 412) and `Invalid`."""
        async with self._database.acting(place[0]) as scope:
            rows = McpServerRows(scope, *place)
            before, sealed = found(await rows.lock(server_id))
            expected.check(mcp_server_document(before))
            spec, secret_change = change(before)
            self._check(spec)
            was, becomes = dict[str, object](), dict[str, object]()
            if secret_change is not None:
                was, becomes = self._was(before, sealed), self._fingerprint(secret_change.secret)
                sealed = self._sealed(place, server_id, secret_change.secret)
            elif before.has_credential and _goes_to(spec) != _goes_to(before.spec):
                raise invalid("credential", "must be given again when url or credential_header changes")
            after = found(await rows.change(server_id, spec, sealed))
            detail = changes({**mcp_server_document(before), **was}, {**mcp_server_document(after), **becomes})
            await self._record(scope, actor, "change", after, detail)
            return after

    async def remove(
        self,
        actor: Actor,
        place: tuple[TenantId, ProjectId],
        server_id: McpServerId,
        *,
        expected: Expected = WHATEVER,
    ) -> None:
        """Remove a server: within a second there is none of its name. Raises `Refused` (404, 412)."""
        async with self._database.acting(place[0]) as scope:
            rows = McpServerRows(scope, *place)
            before, _ = found(await rows.lock(server_id))
            expected.check(mcp_server_document(before))
            await rows.remove(server_id)
            await self._record(scope, actor, "remove", before, {"before": mcp_server_document(before)})

    def _check(self, spec: McpServerSpec) -> None:
        try:
            self._guard.check_url(spec.url)
        except OutboundRefused as refused:
            raise invalid("url", f"is refused: {refused.reason}") from None

    def _sealed(
        self, place: tuple[TenantId, ProjectId], server_id: McpServerId, credential: str | None
    ) -> bytes | None:
        if credential is None:
            return None
        row = mcp_server_row_identity(*place, server_id)
        return seal(self._sealing, row, credential, self._acts.entropy(_NONCE_BYTES))

    def _was(self, before: McpServer, sealed: bytes | None) -> dict[str, object]:
        if sealed is None:
            return self._fingerprint(None)
        row = mcp_server_row_identity(before.tenant_id, before.project_id, before.id)
        try:
            return self._fingerprint(unseal(self._sealing, row, sealed))
        except CannotOpen:  # What nobody can read any more can still be replaced.
            return {"credential": "unreadable"}

    def _fingerprint(self, credential: str | None) -> dict[str, object]:
        """What the audit log holds of a credential."""
        return {"credential": fingerprint(self._sealing, credential)}

    async def _record(
        self, scope: Scope, actor: Actor, verb: str, server: McpServer, detail: dict[str, object]
    ) -> None:
        target = ids.shown(ids.MCP_SERVER, server.id)
        await self._acts.record(scope, actor, f"mcp_server.{verb}", target, tenant_id=server.tenant_id, detail=detail)


def _goes_to(spec: McpServerSpec) -> tuple[str, str]:
    return spec.url, spec.credential_header
