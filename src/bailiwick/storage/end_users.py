"""End users of one project in the database: who was seen when, and who is blocked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, final

from bailiwick.domain.end_users import Blocked, EndUser, LastSeen, UsersPage, UsersQuery
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import DOUBLINGS, NO_CALLS, Usage
from bailiwick.storage.projects import PlacedProject
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load
from bailiwick.storage.usage import NO_XID, usage_of

_SQL: Final = load("end_users")
_NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BEFORE_ALL: Final = LastSeen(at=datetime(9999, 12, 31, tzinfo=UTC), uid="")


@final
class EndUserRows:
    """Reads the end users of a project."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId) -> None:
        """`scope` is a survey of that tenant."""
        self._scope = scope
        self._project_id = project_id
        self._place = {"tenant": tenant_id, "project": project_id, "no_xid": NO_XID}

    async def list(self, query: UsersQuery) -> UsersPage:
        """A page of users."""
        limit, after = query.usage.limit, query.after or _BEFORE_ALL
        values = {
            "prefix": query.prefix,
            "blocked": query.blocked,
            "after_at": after.at,
            "after_uid": after.uid,
            "limit": limit + 1,
            "since": query.usage.since,
            "until": query.usage.until,
            "first_hour": query.usage.first_hour,
            "end_hour": query.usage.end_hour,
            "doublings": DOUBLINGS,
        }
        rows = await self._scope.fetch_all(_SQL["list_users"], self._place | values)
        page = rows[:limit]
        last = page[-1] if len(rows) > limit else None
        return UsersPage(
            query=query,
            users=tuple(
                self._user(row["uid"], row, NO_CALLS if row["requests"] is None else usage_of(row)) for row in page
            ),
            following=None if last is None else LastSeen(at=last["seen_at"], uid=last["uid"]),
        )

    async def find(self, uid: str) -> tuple[PlacedProject, EndUser] | None:
        """One user, who need never have been seen, without their usage; None if there is no such project."""
        row = await self._scope.fetch_one(_SQL["find_user"], self._place | {"uid": uid})
        return None if row is None else (PlacedProject.of(row), self._user(uid, row, NO_CALLS))

    def _user(self, uid: str, row: Row, usage: Usage) -> EndUser:
        seen, at = row["seen_at"], row["blocked_at"]
        return EndUser(
            project_id=self._project_id,
            uid=uid,
            blocked=None if at is None else Blocked(at=at, by=row["blocked_by"]),
            last_seen=None if seen in {None, _NEVER} else seen,
            usage=usage,
        )


@final
class BlockedRows:
    """Who is blocked in a project of the tenant in scope."""

    def __init__(self, scope: Scope, tenant_id: TenantId, project_id: ProjectId) -> None:
        self._scope = scope
        self._place = {"tenant": tenant_id, "project": project_id}

    async def lock(self, uid: str) -> Blocked | None:
        """When and by whom a user was blocked, as it stays until the end of the transaction; None if they are not."""
        row = await self._scope.fetch_one(_SQL["lock_blocked"], self._place | {"uid": uid})
        return Blocked(at=row["changed_at"], by=row["changed_by"]) if row is not None and row["blocked"] else None

    async def count(self) -> int:
        """How many users are blocked."""
        row = await self._scope.fetch_one(_SQL["count_blocked"], self._place)
        return 0 if row is None else int(row["blocked"])

    async def set(self, uid: str, blocked: Blocked, *, is_blocked: bool) -> None:
        """Block a user, who is then in the list whether or not they called; or let them in again."""
        values = self._place | {"uid": uid}
        change = {"blocked": is_blocked, "at": blocked.at, "by": blocked.by}
        await self._scope.execute(_SQL["set_blocked"], values | change)
        await self._scope.execute(_SQL["add_user"], values)
