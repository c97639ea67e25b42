"""What can be chosen from when a project is tried out, in one query."""

from __future__ import annotations

from datetime import datetime
from typing import Final, NamedTuple, final

from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.storage.scope import Scope
from bailiwick.storage.sql import load

_SQL: Final = load("playground")


@final
class Choices(NamedTuple):
    """The keys that mint for end users, and the names of agents, tiers and the tenant's own roles."""

    keys: tuple[tuple[KeyId, str], ...]
    agents: tuple[str, ...]
    tiers: tuple[str, ...]
    roles: tuple[str, ...]


async def choices(scope: Scope, tenant_id: TenantId, project_id: ProjectId, now: datetime) -> Choices:
    """What there is in a project; of a project that is not there, the roles alone."""
    rows = await scope.fetch_all(_SQL["choices"], {"tenant": tenant_id, "project": project_id, "now": now})

    def named(kind: str) -> tuple[str, ...]:
        return tuple(row["name"] for row in rows if row["kind"] == kind)

    keys = tuple((KeyId(row["id"]), row["name"]) for row in rows if row["kind"] == "key")
    return Choices(keys=keys, agents=named("agent"), tiers=named("tier"), roles=named("role"))
