"""In whose name an operator's work on operators is done: its tenant's, or across tenants, which is audited.

A tenant's operator stays within its tenant's policies. So not even a mistake of ours lets it read, make or change an
operator of the installation, or of another tenant.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bailiwick.domain.audit import Actor
from bailiwick.domain.ids import TenantId
from bailiwick.services.acts import Acts
from bailiwick.storage import installation
from bailiwick.storage.scope import Database, Scope


@asynccontextmanager
async def reading_within(
    database: Database, acts: Acts, actor: Actor, *, action: str, target: str
) -> AsyncGenerator[Scope]:
    """Read what the actor reaches; a look across tenants is recorded as `action` on `target`."""
    own = actor.authority.tenant_id
    if own is not None:
        async with database.reading(own) as scope:
            yield scope
        return
    async with database.operating() as scope:
        await acts.record(scope, actor, action, target, tenant_id=None, detail={})
        yield scope


@asynccontextmanager
async def acting_within(database: Database, reach: TenantId | None) -> AsyncGenerator[Scope]:
    """Change what a tenant's operators reach, or the installation's (None).

    Across tenants, one act at a time: whether an installation keeps an owner is decided by one of them after another.
    """
    if reach is not None:
        async with database.acting(reach) as scope:
            yield scope
        return
    async with database.operating() as scope:
        await installation.lock(scope)
        yield scope
