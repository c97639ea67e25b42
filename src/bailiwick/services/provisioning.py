"""Tenants and projects: made, read, changed, removed. Each change is audited in its own transaction.

A change is given as a function from what is to what shall be: it runs on the row as it is locked, so that two changes
at the same time are both kept. What is absent and what belongs to another tenant are refused alike (404).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.administration import authorize_tenant_change
from bailiwick.domain.audit import INSTALLATION, TENANT_MADE, Actor, changes
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.tenancy import (
    Project,
    ProjectSpec,
    Slug,
    Tenant,
    TenantSpec,
    made_slug,
    suffixed_slug,
)
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found, not_found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import project_document, tenant_document
from bailiwick.storage.conflicts import slug_taken
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import Kind, TenantRows, Tenants, tenant_of

_NOT_ITS_OWN: Final = "must be a project of this tenant"


@final
class Provisioning:
    """The tenants of the installation and their projects."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def tenant_of_project(self, project_id: ProjectId) -> TenantId:
        """Whose project this is; raises `Refused` (404)."""
        return found(await tenant_of(self._database, Kind.PROJECT, project_id))

    async def tenant_of_key(self, key_id: KeyId) -> TenantId:
        """Whose key this is; raises `Refused` (404)."""
        return found(await tenant_of(self._database, Kind.KEY, key_id))

    async def list_tenants(self, actor: Actor, page: PageRequest) -> Page[Tenant]:
        """A page of all tenants; looking across them is audited as well. A tenant's operator sees its own alone."""
        own = actor.authority.tenant_id
        if own is not None:
            tenant = await self.find_tenant(own)
            return Page(items=(tenant,) if page.after is None or page.after < tenant.id else (), has_more=False)
        async with self._database.operating() as scope:
            detail = {"limit": page.limit, "after": None if page.after is None else ids.shown(ids.TENANT, page.after)}
            await self._acts.record(scope, actor, "tenant.list", INSTALLATION, tenant_id=None, detail=detail)
            return await Tenants(scope).list(page)

    async def find_tenant(self, tenant_id: TenantId) -> Tenant:
        """One tenant; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await TenantRows(scope, tenant_id).find())

    async def create_tenant(self, actor: Actor, spec: TenantSpec) -> Tenant:
        """Make a tenant; raises `Refused` (409) if its slug is taken, `Invalid` for a project that it cannot have."""
        if spec.default_project is not None:  # It has no project yet.
            raise invalid("default_project", _NOT_ITS_OWN)
        async with self._database.operating() as scope:
            return await add_tenant(scope, self._acts, actor, spec)

    async def change_tenant(
        self,
        actor: Actor,
        tenant_id: TenantId,
        change: Callable[[Tenant], TenantSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Tenant:
        """Make a tenant what `change` says of it; raises `Refused` (403, 404, 409, 412) and `Invalid`."""
        async with self._database.acting(tenant_id) as scope:
            rows = TenantRows(scope, tenant_id)
            before = found(await rows.lock())
            expected.check(tenant_document(before))
            spec = change(before)
            authorize_tenant_change(actor.authority, before, spec).or_raise()
            chosen = spec.default_project
            if chosen is not None and not await ProjectRows(scope, tenant_id).hold(chosen):
                raise invalid("default_project", _NOT_ITS_OWN)
            await rows.change(spec, spec.slug or suffixed_slug(spec.name, "tenant", self._acts.slug_suffix()))
            after = found(await rows.find())
            await self._record_tenant(
                scope, actor, "change", after, changes(tenant_document(before), tenant_document(after))
            )
            return after

    async def remove_tenant(self, actor: Actor, tenant_id: TenantId, *, expected: Expected = WHATEVER) -> None:
        """Remove a tenant with its projects, keys and providers; raises `Refused` (404, 412)."""
        async with self._database.acting(tenant_id) as scope:
            rows = TenantRows(scope, tenant_id)
            before = found(await rows.lock())
            expected.check(tenant_document(before))
            await rows.remove()
            await self._record_tenant(scope, actor, "remove", before, {"before": tenant_document(before)})

    async def list_projects(self, tenant_id: TenantId, page: PageRequest, *, is_there: bool = False) -> Page[Project]:
        """A page of a tenant's projects; raises `Refused` (404) unless whoever asks knows that the tenant is there."""
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await TenantRows(scope, tenant_id).find())
            return await ProjectRows(scope, tenant_id).list(page)

    async def find_project(self, tenant_id: TenantId, project_id: ProjectId) -> Project:
        """One project of a tenant; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await ProjectRows(scope, tenant_id).find(project_id))

    async def create_project(self, actor: Actor, tenant_id: TenantId, spec: ProjectSpec) -> Project:
        """Make a project; raises `Refused` (404, 409)."""
        async with self._database.acting(tenant_id) as scope:
            if not await TenantRows(scope, tenant_id).hold():
                raise not_found()
            return await add_project(scope, self._acts, actor, tenant_id, spec)

    async def change_project(
        self,
        actor: Actor,
        tenant_id: TenantId,
        project_id: ProjectId,
        change: Callable[[Project], ProjectSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Project:
        """Make a project what `change` says of it; raises `Refused` (404, 409, 412) and `Invalid`."""
        async with self._database.acting(tenant_id) as scope:
            rows = ProjectRows(scope, tenant_id)
            before = found(await rows.lock(project_id))
            expected.check(project_document(before))
            spec = change(before)
            slug = spec.slug or suffixed_slug(spec.name, "project", self._acts.slug_suffix())
            after = found(await rows.change(project_id, spec, slug))
            detail = changes(project_document(before), project_document(after))
            await _record_project(scope, self._acts, actor, "change", after, detail)
            return after

    async def remove_project(
        self, actor: Actor, tenant_id: TenantId, project_id: ProjectId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a project with its keys and providers; raises `Refused` (404, 412)."""
        async with self._database.acting(tenant_id) as scope:
            rows = ProjectRows(scope, tenant_id)
            before = found(await rows.lock(project_id))
            expected.check(project_document(before))
            await rows.remove(project_id)
            await _record_project(scope, self._acts, actor, "remove", before, {"before": project_document(before)})

    async def _record_tenant(
        self, scope: Scope, actor: Actor, verb: str, tenant: Tenant, detail: dict[str, object]
    ) -> None:
        target = ids.shown(ids.TENANT, tenant.id)
        await self._acts.record(scope, actor, f"tenant.{verb}", target, tenant_id=tenant.id, detail=detail)


async def add_tenant(scope: Scope, acts: Acts, actor: Actor, spec: TenantSpec) -> Tenant:
    """Make a tenant in an operator's scope, audited; raises `Refused` (409) if its slug is taken."""
    rows = Tenants(scope)
    tenant_id = TenantId(acts.new_id())
    for slug in _slugs(spec.slug, spec.name, "tenant", acts):
        tenant = await rows.add(tenant_id, spec, slug, created_at=acts.now(), created_by=actor.name)
        if tenant is not None:
            detail = {"after": tenant_document(tenant)}
            target = ids.shown(ids.TENANT, tenant_id)
            # In both chains: that a tenant's is there at all can be told from the installation's.
            for chain in (None, tenant_id):
                await acts.record(scope, actor, TENANT_MADE, target, tenant_id=chain, detail=detail)
            return tenant
    raise slug_taken()


async def add_project(scope: Scope, acts: Acts, actor: Actor, tenant_id: TenantId, spec: ProjectSpec) -> Project:
    """Make a project in a tenant's or an operator's scope, audited; raises `Refused` (409) if its slug is taken."""
    rows = ProjectRows(scope, tenant_id)
    project_id = ProjectId(acts.new_id())
    for slug in _slugs(spec.slug, spec.name, "project", acts):
        project = await rows.add(project_id, spec, slug, created_at=acts.now(), created_by=actor.name)
        if project is not None:
            await _record_project(scope, acts, actor, "create", project, {"after": project_document(project)})
            return project
    raise slug_taken()


def _slugs(asked: Slug | None, name: str, otherwise: str, acts: Acts) -> Iterator[Slug]:
    """The slug that was asked for; or what the name makes and, if that is taken, the same with a random suffix."""
    if asked is not None:
        yield asked
        return
    plain = made_slug(name, otherwise)
    if plain is not None:
        yield plain
    yield suffixed_slug(name, otherwise, acts.slug_suffix())


async def _record_project(
    scope: Scope, acts: Acts, actor: Actor, verb: str, project: Project, detail: dict[str, object]
) -> None:
    target = ids.shown(ids.PROJECT, project.id)
    await acts.record(scope, actor, f"project.{verb}", target, tenant_id=project.tenant_id, detail=detail)
