"""Sessions in the database: found by a digest of what the browser holds, else within a tenant or the installation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.ids import OperatorId, SessionId, TenantId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.sign_in import Session, SignInMethod
from bailiwick.storage.operators import person_of
from bailiwick.storage.scope import Database, Row, Scope
from bailiwick.storage.sql import load
from bailiwick.storage.tenants import Kind

_SQL: Final = load("sessions")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Whose:
    """Which sessions: of one person or, with None, of all; of a tenant, the installation's own, or `everywhere`."""

    tenant_id: TenantId | None
    operator_id: OperatorId | None = None
    everywhere: bool = False


async def find_session(database: Database, digest: bytes) -> Session | None:
    """The session of what a browser holds, over or not. Raises `Unavailable`."""
    async with database.reading(None) as scope:
        row = await scope.fetch_one(_SQL["look_up_session"], {"digest": digest})
    return None if row is None else _session(row)


async def find_visit(database: Database, digest: bytes, project: UUID) -> tuple[Session | None, TenantId | None]:
    """The session, and whose a project is, in one look-up; None for what there is none of. Raises `Unavailable`."""
    async with database.reading(None) as scope:
        values = {"digest": digest, "kind": Kind.PROJECT.value, "about": project}
        row = await scope.fetch_one(_SQL["look_up_visit"], values)
    if row is None:
        return None, None
    return _session(row), None if row["about"] is None else TenantId(row["about"])


@final
class SessionRows:
    """Sessions in a scope that reaches them."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def add(self, session: Session, digest: bytes) -> None:
        """Open a session."""
        await self._scope.execute(
            _SQL["add_session"],
            {
                "id": session.id,
                "tenant": session.person.tenant_id,
                "operator": session.person.id,
                "digest": digest,
                "method": session.method.value,
                "ip": session.ip,
                "user_agent": session.user_agent,
                "at": session.opened_at,
                "expires_at": session.expires_at,
            },
        )

    async def touch(self, session: Session, at: datetime) -> None:
        """Note that a session is used."""
        values = {"session": session.id, "tenant": session.person.tenant_id, "at": at}
        await self._scope.execute(_SQL["touch_session"], values)

    async def list(self, whose: Whose, page: PageRequest, *, at: datetime, unused_since: datetime) -> Page[Session]:
        """A page of the open sessions, oldest first."""
        rows = await self._scope.fetch_all(
            _SQL["list_sessions"],
            {**_values(whose), "after": page.after, "at": at, "unused_since": unused_since, "limit": page.limit + 1},
        )
        return Page.of([_session(row) for row in rows], page.limit)

    async def end(self, session_id: SessionId, whose: Whose) -> tuple[TenantId | None, OperatorId] | None:
        """End a session; returns whose it was, None if there is none."""
        row = await self._scope.fetch_one(_SQL["end_session"], {**_values(whose), "session": session_id})
        if row is None:
            return None
        tenant_id: UUID | None = row["tenant_id"]
        return None if tenant_id is None else TenantId(tenant_id), OperatorId(row["operator_id"])

    async def end_all(self, tenant_id: TenantId | None, operator_id: OperatorId, *, but: SessionId | None) -> int:
        """End every session of a person, but one that may be kept; returns how many."""
        values = {"tenant": tenant_id, "operator": operator_id, "but": but}
        return await self._scope.execute(_SQL["end_sessions"], values)

    async def forget(
        self, tenant_id: TenantId | None, operator_id: OperatorId, *, at: datetime, unused_since: datetime
    ) -> None:
        """Forget the sessions of a person that are over."""
        values = {"tenant": tenant_id, "operator": operator_id, "at": at, "unused_since": unused_since}
        await self._scope.execute(_SQL["forget_sessions"], values)


def _values(whose: Whose) -> dict[str, object]:
    return {"tenant": whose.tenant_id, "operator": whose.operator_id, "everywhere": whose.everywhere}


def _session(row: Row) -> Session:
    return Session(
        id=SessionId(row["session_id"]),
        person=person_of(row),
        method=SignInMethod(row["method"]),
        ip=row["ip"],
        user_agent=row["user_agent"],
        opened_at=row["opened_at"],
        seen_at=row["seen_at"],
        expires_at=row["expires_at"],
    )
