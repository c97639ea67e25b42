"""The members of one tenant in the database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

from psycopg.errors import ForeignKeyViolation

from bailiwick.domain.fields import invalid
from bailiwick.domain.foreign_tokens import ForeignIdentity
from bailiwick.domain.ids import MemberId, TenantId
from bailiwick.domain.members import Member, MemberSpec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.permissions import Permission
from bailiwick.domain.roles import BUILT_IN
from bailiwick.storage.conflicts import member_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("members")
OURSELVES: Final = ""
"""The issuer that this installation is to itself, so that its members stay when its address changes."""


async def is_member(scope: Scope, tenant_id: TenantId, identity: ForeignIdentity) -> bool:
    """Whether whoever a token speaks for is a member of the tenant in scope."""
    values = {"tenant": tenant_id, "issuer": identity.issuer, "subject": identity.subject}
    return await scope.fetch_one(_SQL["is_member"], values) is not None


@final
class MemberRows:
    """The members of the tenant in scope; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId, *, public_url: str) -> None:
        """`public_url` is the issuer of this installation's own tokens."""
        self._scope = scope
        self._place = {"tenant": tenant_id}
        self._public_url = public_url

    async def find(self, member_id: MemberId) -> Member | None:
        """One member; None if the tenant has none of this id."""
        return await self._one("find_member", {"member": member_id})

    async def lock(self, member_id: MemberId) -> Member | None:
        """One member as it is and stays until the end of the transaction."""
        return await self._one("lock_member", {"member": member_id})

    async def list(self, page: PageRequest, subject: str | None) -> Page[Member]:
        """A page of the tenant's members: all of them, or those of one subject."""
        values = {**self._place, "subject": subject, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_members"], values)
        return Page.of([self._member(row) for row in rows], page.limit)

    async def add(self, member_id: MemberId, spec: MemberSpec, *, created_at: datetime, created_by: str) -> Member:
        """Add a member; raises `Refused` (409) if it is one already."""
        who = {"issuer": OURSELVES if spec.issuer == self._public_url else spec.issuer, "subject": spec.subject}
        made = {"member": member_id, "created_at": created_at, "created_by": created_by}
        added = await self._changed("add_member", {**who, **_settable(spec), **made})
        if added is None:
            raise member_taken()
        return added

    async def change(self, member_id: MemberId, spec: MemberSpec) -> Member | None:
        """Make a member what `spec` says; who it is stays."""
        return await self._changed("change_member", {"member": member_id, **_settable(spec)})

    async def remove(self, member_id: MemberId) -> bool:
        """Remove a member; False if there was none."""
        return await self._scope.execute(_SQL["remove_member"], {**self._place, "member": member_id}) > 0

    async def _changed(self, query: str, values: Mapping[str, object]) -> Member | None:
        try:
            return await self._one(query, values)
        except ForeignKeyViolation:
            message = f"must be one of {', '.join(BUILT_IN)}, or a role of the tenant's own"
            raise invalid("role", message) from None

    async def _one(self, query: str, values: Mapping[str, object]) -> Member | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else self._member(row)

    def _member(self, row: Row) -> Member:
        return Member(
            id=MemberId(row["id"]),
            tenant_id=TenantId(row["tenant_id"]),
            spec=MemberSpec(
                issuer=row["issuer"] or self._public_url,
                subject=row["subject"],
                role=row["role"],
                scopes=None if row["scopes"] is None else frozenset(map(Permission, row["scopes"])),
                tier=row["tier"],
            ),
            created_at=row["created_at"],
            created_by=row["created_by"],
        )


def _settable(spec: MemberSpec) -> dict[str, object]:
    return {
        "role": spec.role,
        "own_role": None if spec.role in BUILT_IN else spec.role,
        "scopes": None if spec.scopes is None else sorted(spec.scopes),
        "tier": spec.tier,
    }
