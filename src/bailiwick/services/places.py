"""What has a place: the platform's own, a tenant's, or a project's. Reads of the platform's rows are on the record."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bailiwick.domain.audit import Actor
from bailiwick.domain.providers import Place
from bailiwick.services.absence import found, not_found
from bailiwick.services.acts import Acts
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import TenantRows


@asynccontextmanager
async def reading(
    database: Database, acts: Acts, actor: Actor, place: Place, action: str, target: str
) -> AsyncGenerator[Scope]:
    """Read as the place's tenant; the platform's rows are an operator's, whose looks are audited as `action`."""
    if place.tenant_id is not None:
        async with database.reading(place.tenant_id) as scope:
            yield scope
    else:
        async with database.operating() as scope:
            await acts.record(scope, actor, action, target, tenant_id=None, detail={})
            yield scope


async def check_place(scope: Scope, place: Place) -> None:
    """Raise `Refused` (404) unless the place is there."""
    if place.tenant_id is None:
        return
    if place.project_id is None:
        found(await TenantRows(scope, place.tenant_id).find())
    else:
        found(await ProjectRows(scope, place.tenant_id).find(place.project_id))


async def hold_place(scope: Scope, place: Place) -> None:
    """Keep the place until the end of the transaction; raises `Refused` (404) unless it is there."""
    if place.tenant_id is None:
        return
    held = (
        await TenantRows(scope, place.tenant_id).hold()
        if place.project_id is None
        else await ProjectRows(scope, place.tenant_id).hold(place.project_id)
    )
    if not held:
        raise not_found()
