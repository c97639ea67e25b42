"""Persons who are operators, in the database.

`OperatorRows` works within what an operator reaches: within its tenant under that tenant's policies, or in a scope of
`Database.operating()`.
"""

from __future__ import annotations

from typing import Final, final
from uuid import UUID

from bailiwick.domain.ids import OperatorId, TenantId
from bailiwick.domain.operators import OperatorRole, Person, PersonSpec, PersonStatus
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("operators")


@final
class OperatorRows:
    """The persons of one tenant, or all of them."""

    def __init__(self, scope: Scope, reach: TenantId | None) -> None:
        """`reach` is the tenant in scope; None in an operator's scope."""
        self._scope = scope
        self._reach = {"tenant": reach}

    async def find(self, operator_id: OperatorId) -> Person | None:
        """One person."""
        return await self._one("find_operator", {"operator": operator_id})

    async def lock(self, operator_id: OperatorId) -> Person | None:
        """One person as they are and stay until the end of the transaction."""
        return await self._one("lock_operator", {"operator": operator_id})

    async def list(self, page: PageRequest) -> Page[Person]:
        """A page of persons."""
        values = {**self._reach, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_operators"], values)
        return Page.of([person_of(row) for row in rows], page.limit)

    async def add(self, person: Person) -> Person | None:
        """Add a person who is invited; None if somebody has this address."""
        values = {
            "operator": person.id,
            "tenant": person.tenant_id,
            "email": person.email,
            "name": person.name,
            "role": person.role.value,
            "created_at": person.created_at,
            "created_by": person.created_by,
        }
        row = await self._scope.fetch_one(_SQL["add_operator"], values)
        return None if row is None else person_of(row)

    async def change(self, operator_id: OperatorId, spec: PersonSpec) -> Person | None:
        """Make a person what `spec` says; returns them as they are then."""
        values = {"operator": operator_id, "name": spec.name, "role": spec.role.value, "status": spec.status.value}
        return await self._one("change_operator", values)

    async def remove(self, operator_id: OperatorId) -> bool:
        """Remove a person; False if there was none."""
        return await self._scope.execute(_SQL["remove_operator"], {**self._reach, "operator": operator_id}) > 0

    async def _one(self, query: str, values: dict[str, object]) -> Person | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._reach, **values})
        return None if row is None else person_of(row)


async def has_other_owner(scope: Scope, operator_id: UUID) -> bool:
    """Whether the installation has an owner who stays one, beside this person or key; in an operator's scope."""
    row = await scope.fetch_one(_SQL["has_other_owner"], {"id": operator_id})
    return row is not None and bool(row["other"])


def person_of(row: Row) -> Person:
    """A person, from the columns that every query of persons has."""
    return Person(
        id=OperatorId(row["id"]),
        email=row["email"],
        name=row["name"],
        role=OperatorRole(row["role"]),
        tenant_id=None if row["tenant_id"] is None else TenantId(row["tenant_id"]),
        status=PersonStatus(row["status"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
