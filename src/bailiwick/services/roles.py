"""A tenant's own roles: made, read, changed, removed. Each change is audited in its own transaction.

The gateway knows of a change within a second (`storage/epoch.py`), for tokens that are out already.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import RoleId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.roles import BUILT_IN, MAX_ROLES, Role, RoleSpec
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import role_document
from bailiwick.storage.conflicts import role_name_taken
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenant_roles import RoleRows
from bailiwick.storage.tenants import TenantRows


@final
class Roles:
    """The roles of tenants' own."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def list(self, tenant_id: TenantId, page: PageRequest, *, is_there: bool = False) -> Page[Role]:
        """A page of a tenant's roles; raises `Refused` (404) unless whoever asks knows that the tenant is there."""
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await TenantRows(scope, tenant_id).find())
            return await RoleRows(scope, tenant_id).list(page)

    async def find(self, tenant_id: TenantId, role_id: RoleId) -> Role:
        """One role; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await RoleRows(scope, tenant_id).find(role_id))

    async def create(self, actor: Actor, tenant_id: TenantId, spec: RoleSpec) -> Role:
        """Make a role; raises `Refused` (404; 409 if its name is taken or there are too many)."""
        async with self._database.acting(tenant_id) as scope:
            # Who counts holds the tenant, so that two at once count one another.
            found(await TenantRows(scope, tenant_id).lock())
            if spec.name in BUILT_IN:
                raise role_name_taken()
            rows = RoleRows(scope, tenant_id)
            if await rows.count() >= MAX_ROLES:
                raise Refused(Code.CONFLICT, f"A tenant has at most {MAX_ROLES} roles of its own.")
            role_id = RoleId(self._acts.new_id())
            role = await rows.add(role_id, spec, created_at=self._acts.now(), created_by=actor.name)
            await self._record(scope, actor, "create", role, {"after": role_document(role)})
            return role

    async def change(
        self,
        actor: Actor,
        tenant_id: TenantId,
        role_id: RoleId,
        change: Callable[[Role], RoleSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Role:
        """Make a role what `change` says of it; raises `Refused` (404, 412) and `Invalid`."""
        async with self._database.acting(tenant_id) as scope:
            rows = RoleRows(scope, tenant_id)
            before = found(await rows.lock(role_id))
            expected.check(role_document(before))
            spec = change(before)
            if spec.name != before.spec.name:
                raise invalid("name", "cannot be changed: tokens and members say it")
            after = found(await rows.change(role_id, spec))
            await self._record(scope, actor, "change", after, changes(role_document(before), role_document(after)))
            return after

    async def remove(
        self, actor: Actor, tenant_id: TenantId, role_id: RoleId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a role; raises `Refused` (404, 409 while members have it, 412)."""
        async with self._database.acting(tenant_id) as scope:
            rows = RoleRows(scope, tenant_id)
            before = found(await rows.lock(role_id))
            expected.check(role_document(before))
            await rows.remove(before, self._acts.now())
            await self._record(scope, actor, "remove", before, {"before": role_document(before)})

    async def _record(self, scope: Scope, actor: Actor, verb: str, role: Role, detail: dict[str, object]) -> None:
        target = ids.shown(ids.ROLE, role.id)
        await self._acts.record(scope, actor, f"role.{verb}", target, tenant_id=role.tenant_id, detail=detail)
