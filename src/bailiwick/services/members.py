"""A tenant's members: added, read, changed, removed. Each change is audited in its own transaction.

The gateway knows of a change within a second (`storage/epoch.py`), for tokens that are out already and for answers that
are on their way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import MemberId, TenantId
from bailiwick.domain.members import Member, MemberSpec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found, not_found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import member_document
from bailiwick.storage.members import MemberRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import TenantRows


@final
class Members:
    """The members of tenants."""

    def __init__(self, database: Database, acts: Acts, *, public_url: str) -> None:
        """`database` is the control process's; `public_url` is the issuer of this installation's own tokens."""
        self._database = database
        self._acts = acts
        self._public_url = public_url

    async def list(
        self, tenant_id: TenantId, page: PageRequest, *, subject: str | None = None, is_there: bool = False
    ) -> Page[Member]:
        """A page of a tenant's members; raises `Refused` (404) unless whoever asks knows that the tenant is there."""
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await TenantRows(scope, tenant_id).find())
            return await self._rows(scope, tenant_id).list(page, subject)

    async def find(self, tenant_id: TenantId, member_id: MemberId) -> Member:
        """One member; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await self._rows(scope, tenant_id).find(member_id))

    async def add(self, actor: Actor, tenant_id: TenantId, spec: MemberSpec) -> Member:
        """Add a member; raises `Refused` (404; 409 if it is one already) and `Invalid` for a role that is none."""
        async with self._database.acting(tenant_id) as scope:
            if not await TenantRows(scope, tenant_id).hold():
                raise not_found()
            member_id = MemberId(self._acts.new_id())
            member = await self._rows(scope, tenant_id).add(
                member_id, spec, created_at=self._acts.now(), created_by=actor.name
            )
            await self._record(scope, actor, "add", member, {"after": member_document(member)})
            return member

    async def change(
        self,
        actor: Actor,
        tenant_id: TenantId,
        member_id: MemberId,
        change: Callable[[Member], MemberSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Member:
        """Make a member what `change` says of it; raises `Refused` (404, 412) and `Invalid`."""
        async with self._database.acting(tenant_id) as scope:
            rows = self._rows(scope, tenant_id)
            before = found(await rows.lock(member_id))
            expected.check(member_document(before))
            spec = change(before)
            for field in ("issuer", "subject"):
                if getattr(spec, field) != getattr(before.spec, field):
                    raise invalid(field, "cannot be changed: it says who it is")
            after = found(await rows.change(member_id, spec))
            await self._record(scope, actor, "change", after, changes(member_document(before), member_document(after)))
            return after

    async def remove(
        self, actor: Actor, tenant_id: TenantId, member_id: MemberId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a member; raises `Refused` (404, 412)."""
        async with self._database.acting(tenant_id) as scope:
            rows = self._rows(scope, tenant_id)
            before = found(await rows.lock(member_id))
            expected.check(member_document(before))
            await rows.remove(member_id)
            await self._record(scope, actor, "remove", before, {"before": member_document(before)})

    def _rows(self, scope: Scope, tenant_id: TenantId) -> MemberRows:
        return MemberRows(scope, tenant_id, public_url=self._public_url)

    async def _record(self, scope: Scope, actor: Actor, verb: str, member: Member, detail: dict[str, object]) -> None:
        target = ids.shown(ids.MEMBER, member.id)
        await self._acts.record(scope, actor, f"member.{verb}", target, tenant_id=member.tenant_id, detail=detail)
