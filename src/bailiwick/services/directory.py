"""Where everything is: the projects of everybody whom an operator reaches, and a project with its tenant's name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION, Actor
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.tenancy import Project, Tenant
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.storage.projects import ListedProject, ProjectRows, list_every_project
from bailiwick.storage.scope import Database
from bailiwick.storage.tenants import TenantRows


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedProject:
    """A project and the tenant that it is of."""

    tenant: Tenant
    project: Project


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
            tenant = found(await TenantRows(scope, tenant_id).find())
            project = found(await ProjectRows(scope, tenant_id).find(project_id))
            return PlacedProject(tenant=tenant, project=project)
