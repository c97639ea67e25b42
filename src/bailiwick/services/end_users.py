"""End users of a project, for operators: listed by when they were last seen, read, blocked and let in again, erased.

A block takes effect at every door within a second (`services/taken_away.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.end_users import ERASED, MAX_BLOCKED, UNVERSIONED, Blocked, EndUser, Erased, UsersPage, UsersQuery
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import UsageQuery, UsageReport
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.services.absence import found, not_found
from bailiwick.services.acts import Acts
from bailiwick.storage.end_users import BlockedRows, EndUserRows
from bailiwick.storage.erasure import erase
from bailiwick.storage.projects import PlacedProject, ProjectRows
from bailiwick.storage.scope import Database
from bailiwick.storage.usage import UsageRows


@final
class EndUsers:
    """The end users of projects."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def list(self, tenant_id: TenantId, project_id: ProjectId, query: UsersQuery) -> UsersPage:
        """A page of a project's users; raises `Refused` (404)."""
        async with self._database.surveying(tenant_id) as scope:
            if not await UsageRows(scope, tenant_id, project_id).exist():
                raise not_found()
            return await EndUserRows(scope, tenant_id, project_id).list(query)

    async def list_placed(
        self, tenant_id: TenantId, project_id: ProjectId, query: UsersQuery
    ) -> tuple[PlacedProject, UsersPage]:
        """A page of a project's users, and the project; raises as `list` does."""
        async with self._database.surveying(tenant_id) as scope:
            placed = found(await ProjectRows(scope, tenant_id).place(project_id))
            return placed, await EndUserRows(scope, tenant_id, project_id).list(query)

    async def find(self, tenant_id: TenantId, project_id: ProjectId, uid: str, query: UsageQuery) -> EndUser:
        """One user, who need never have been seen; raises `Refused` (404) if there is no such project."""
        async with self._database.surveying(tenant_id) as scope:
            _, user = found(await EndUserRows(scope, tenant_id, project_id).find(uid))
            report = await UsageRows(scope, tenant_id, project_id).report(query, uid=uid)
            return replace(user, usage=report.total)

    async def find_placed(
        self, tenant_id: TenantId, project_id: ProjectId, uid: str, queries: Sequence[UsageQuery]
    ) -> tuple[PlacedProject, EndUser, Sequence[UsageReport]]:
        """One user with reports of one span, and the project; raises as `find` does."""
        async with self._database.surveying(tenant_id) as scope:
            placed, user = found(await EndUserRows(scope, tenant_id, project_id).find(uid))
            reports = await UsageRows(scope, tenant_id, project_id).survey(queries, uid=uid)
            return placed, replace(user, usage=reports[0].total), reports

    async def erase(
        self, actor: Actor, tenant_id: TenantId, project_id: ProjectId, user: EndUser, *, expected: Expected = WHATEVER
    ) -> Erased:
        """Put a pseudonym that leads back to nobody in the place of a user's name; amounts stay.

        The receipt in the audit log names the pseudonym only. `user` is what `find` returned. Raises as `change` does.
        """
        pseudonym = f"{ERASED}{self._acts.new_id().hex}"
        async with self._database.acting(tenant_id) as scope:
            if not await ProjectRows(scope, tenant_id).hold(project_id):
                raise not_found()
            blocked = await BlockedRows(scope, tenant_id, project_id).lock(user.uid)
            expected.check(replace(user, blocked=blocked).document(), UNVERSIONED)
            calls = await erase(scope, tenant_id, project_id, user.uid, pseudonym)
            receipt = Erased(pseudonym=pseudonym, calls=calls)
            await self._acts.record(
                scope,
                actor,
                "user.erase",
                ids.shown(ids.PROJECT, project_id),
                tenant_id=tenant_id,
                detail=receipt.document(),
            )
        return receipt

    async def change(
        self,
        actor: Actor,
        tenant_id: TenantId,
        project_id: ProjectId,
        user: EndUser,
        *,
        blocked: bool,
        expected: Expected = WHATEVER,
    ) -> EndUser:
        """Block a user or let them in again; nothing happens if that is so already.

        `user` is what `find` returned. Raises `Refused`: 404 if there is no such project any more, 409 if too many of
        its users are blocked, 412 (`Changed`) if who is there is not as `expected`.
        """
        async with self._database.acting(tenant_id) as scope:
            if not await ProjectRows(scope, tenant_id).hold(project_id):
                raise not_found()
            rows = BlockedRows(scope, tenant_id, project_id)
            before = replace(user, blocked=await rows.lock(user.uid))
            expected.check(before.document(), UNVERSIONED)
            if blocked is (before.blocked is not None):
                return before
            if blocked and await rows.count() >= MAX_BLOCKED:
                raise Refused(Code.CONFLICT, f"At most {MAX_BLOCKED} end users of a project can be blocked at once.")
            change = Blocked(at=self._acts.now(), by=actor.name)
            await rows.set(user.uid, change, is_blocked=blocked)
            await self._acts.record(
                scope,
                actor,
                "user.block" if blocked else "user.unblock",
                ids.shown(ids.PROJECT, project_id),
                tenant_id=tenant_id,
                detail={"uid": user.uid, "before": {"blocked": not blocked}, "after": {"blocked": blocked}},
            )
            return replace(user, blocked=change if blocked else None)
