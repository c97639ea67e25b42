"""Where everything is: the projects of everybody whom an operator reaches, and a project with its tenant's name."""

from __future__ import annotations

from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION, Actor
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.storage.projects import ListedProject, PlacedProject, ProjectRows, list_every_project
from bailiwick.storage.scope import Database


@final
class Directory:
    """Finds things for people, who know them by name."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def projects(self, actor: Actor, page: PageRequest) -> Page[ListedProject]:
        """A page of all projects that the operator reaches; looking across tenants is audited."""
        own = actor.authority.tenant_id
        if own is not None:
            async with self._database.reading(own) as scope:
                return await list_every_project(scope, own, page)
        async with self._database.operating() as scope:
            after = None if page.after is None else ids.shown(ids.PROJECT, page.after)
            detail = {"limit": page.limit, "after": after}
            await self._acts.record(scope, actor, "project.list", INSTALLATION, tenant_id=None, detail=detail)
            return await list_every_project(scope, None, page)

    async def project(self, tenant_id: TenantId, project_id: ProjectId) -> PlacedProject:
        """One project of a tenant; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await ProjectRows(scope, tenant_id).place(project_id))
