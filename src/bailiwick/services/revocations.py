"""Taking away before its time: a token, a session with its tokens, all that a user has by now. For operators; audited.

It takes effect at every door within a second (`services/taken_away.py`).
"""

from __future__ import annotations

from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.ids import ProjectId, RevocationId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.revocations import Revocation, RevocationSpec
from bailiwick.services.absence import found, not_found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import revocation_document
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.revocations import RevocationRows
from bailiwick.storage.scope import Database


@final
class Revocations:
    """What projects took away."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def list(self, tenant_id: TenantId, project_id: ProjectId, page: PageRequest) -> Page[Revocation]:
        """A page of a project's revocations; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            found(await ProjectRows(scope, tenant_id).find(project_id))
            return await RevocationRows(scope, tenant_id, project_id).list(page)

    async def latest(self, tenant_id: TenantId, project_id: ProjectId, page: PageRequest) -> Page[Revocation]:
        """A page of the revocations of a project that is there, the newest first."""
        async with self._database.reading(tenant_id) as scope:
            return await RevocationRows(scope, tenant_id, project_id).latest(page)

    async def find(self, tenant_id: TenantId, project_id: ProjectId, revocation_id: RevocationId) -> Revocation:
        """One revocation; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await RevocationRows(scope, tenant_id, project_id).find(revocation_id))

    async def create(
        self, actor: Actor, tenant_id: TenantId, project_id: ProjectId, spec: RevocationSpec
    ) -> Revocation:
        """Take something away; raises `Refused` (404). That there is such a thing is not asked: nobody keeps a list."""
        async with self._database.acting(tenant_id) as scope:
            if not await ProjectRows(scope, tenant_id).hold(project_id):
                raise not_found()
            revocation = await RevocationRows(scope, tenant_id, project_id).add(
                RevocationId(self._acts.new_id()), spec, at=self._acts.now(), created_by=actor.name
            )
            await self._acts.record(
                scope,
                actor,
                "revocation.create",
                ids.shown(ids.REVOCATION, revocation.id),
                tenant_id=tenant_id,
                detail={"after": revocation_document(revocation)},
            )
            return revocation
