"""Puts another name in the place of an end user's, wherever the database has it."""

from __future__ import annotations

from typing import Final

from bailiwick.domain.budget_terms import sessions_of, user_subject
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.webhooks import user_in_event
from bailiwick.storage.scope import Scope
from bailiwick.storage.sql import load

_SQL: Final = load("erasure")


async def erase(scope: Scope, tenant_id: TenantId, project_id: ProjectId, uid: str, pseudonym: str) -> int:
    """Rename a user of a project for good; returns how many settled calls were theirs.

    Calls of theirs that are open are settled under the new name. Blocks and revocations stay: whoever was let in no
    more is not let in again by this.
    """
    values = {
        "tenant": tenant_id,
        "project": project_id,
        "uid": uid,
        "pseudonym": pseudonym,
        "user": user_subject(project_id, uid),
        "user_after": user_subject(project_id, pseudonym),
        "sessions": sessions_of(project_id, uid),
        "sessions_after": sessions_of(project_id, pseudonym),
        "named": user_in_event(project_id, uid),
        "named_after": user_in_event(project_id, pseudonym),
    }
    await scope.execute(_SQL["hold_roll_up"])
    await scope.execute(_SQL["erase_open"], values)
    row = await scope.fetch_one(_SQL["erase_settled"], values)
    await scope.execute(_SQL["erase_counted"], values)
    await scope.execute(_SQL["erase_told"], values)
    await scope.execute(_SQL["erase_warned"], values)
    return 0 if row is None else int(row["calls"])
