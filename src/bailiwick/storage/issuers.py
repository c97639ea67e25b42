"""Trusted issuers in the database: a project's, and (by the operator's role) the platform's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from bailiwick.domain.foreign_tokens import ForeignIdentity
from bailiwick.domain.ids import IssuerId, ProjectId, TenantId
from bailiwick.domain.issuers import Issuer, IssuerSpec, issuer_spec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.providers import PLATFORM, Place
from bailiwick.storage.conflicts import issuer_taken, user_prefix_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("issuers")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TakenAway:
    """Whether a user is blocked, and what was revoked of a token: `token`, `session`, `user`, or nothing."""

    blocked: bool
    revoked: str | None


async def platform(scope: Scope) -> tuple[Issuer, ...]:
    """The platform's issuers, in an operator's scope."""
    return tuple(map(_issuer, await scope.fetch_all(_SQL["platform_issuers"])))


@final
class IssuerRows:
    """The issuers of one place; every query also says whose."""

    def __init__(self, scope: Scope, place: Place) -> None:
        """`scope` is the tenant's, or an operator's for the platform."""
        self._scope = scope
        self._place = {"tenant": place.tenant_id, "project": place.project_id}

    async def find(self, issuer_id: IssuerId) -> Issuer | None:
        """One issuer; None if there is none of this id in this place."""
        return await self._one("find_issuer", {"issuer": issuer_id})

    async def lock(self, issuer_id: IssuerId) -> Issuer | None:
        """One issuer as it is and stays until the end of the transaction."""
        return await self._one("lock_issuer", {"issuer": issuer_id})

    async def list(self, page: PageRequest) -> Page[Issuer]:
        """A page of the issuers of this place alone."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_issuers"], values)
        return Page.of([_issuer(row) for row in rows], page.limit)

    async def count(self) -> int:
        """How many issuers the place has."""
        row = await self._scope.fetch_one(_SQL["count_issuers"], self._place)
        return 0 if row is None else int(row["issuers"])

    async def add(self, issuer_id: IssuerId, spec: IssuerSpec, *, created_at: datetime, created_by: str) -> Issuer:
        """Add an issuer; raises `Refused` (409) if it is there already, or its users' prefix is."""
        values = {**_settable(issuer_id, spec), "issuer": spec.issuer, "created_at": created_at}
        added = await self._changed("add_issuer", {**values, "created_by": created_by})
        if added is None:
            raise LookupError("an insertion returns its row")
        return added

    async def change(self, issuer_id: IssuerId, spec: IssuerSpec) -> Issuer | None:
        """Make an issuer what `spec` says; raises `Refused` (409) if its users' prefix is another's."""
        return await self._changed("change_issuer", _settable(issuer_id, spec))

    async def remove(self, issuer_id: IssuerId) -> bool:
        """Remove an issuer; False if there was none."""
        return await self._scope.execute(_SQL["remove_issuer"], {**self._place, "issuer": issuer_id}) > 0

    async def taken_away(self, identity: ForeignIdentity) -> TakenAway:
        """What a project took away of whom a token speaks for."""
        values = {"uid": identity.uid, "sid": identity.sid, "jti": identity.jti, "issued_at": identity.issued_at}
        row = await self._scope.fetch_one(_SQL["taken_away"], {**self._place, **values})
        return TakenAway(blocked=bool(row and row["blocked"]), revoked=None if row is None else row["revoked"])

    async def _changed(self, query: str, values: Mapping[str, object]) -> Issuer | None:
        try:
            return await self._one(query, values)
        except UniqueViolation as violation:
            by_prefix = "user_prefix" in (violation.diag.constraint_name or "")
            raise (user_prefix_taken() if by_prefix else issuer_taken()) from None

    async def _one(self, query: str, values: Mapping[str, object]) -> Issuer | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _issuer(row)


def _settable(issuer_id: IssuerId, spec: IssuerSpec) -> dict[str, object]:
    return {"id": issuer_id, "user_prefix": spec.user_prefix, "document": Jsonb(spec.written())}


def _issuer(row: Row) -> Issuer:
    tenant, project = row["tenant_id"], row["project_id"]
    return Issuer(
        id=IssuerId(row["id"]),
        place=PLATFORM if tenant is None else Place(tenant_id=TenantId(tenant), project_id=ProjectId(project)),
        spec=issuer_spec(**row["document"]),
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
