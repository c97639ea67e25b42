"""What the ledger remembers of limits that a process has forgotten: it opened one row for each call it admitted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.limits import LimitLevel, RequestLimit, Stored
from bailiwick.storage.scope import Database
from bailiwick.storage.sql import load

_SQL: Final = load("limit_history")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@final
class LimitHistory:
    """Reads, as a tenant, the calls of one of its projects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def debts(
        self, tenant_id: TenantId, project_id: ProjectId, level: LimitLevel, limit: RequestLimit, now_ns: int
    ) -> list[tuple[str, Stored]]:
        """The buckets of one level that are in debt, by subject; raises `Unavailable`.

        Addresses are not in the ledger: the level `ip` has none.
        """
        if level is LimitLevel.IP:
            return []
        # A call before this has been drained, whatever came after it.
        horizon_ns = -(-limit.tolerance // limit.ticks)
        params = {
            "tenant": tenant_id,
            "project": project_id,
            "level": level.value,
            "ticks": limit.ticks,
            "interval": limit.interval,
            "now_ns": now_ns,
            "since": _EPOCH + timedelta(microseconds=(now_ns - horizon_ns) // 1000),
        }
        async with self._database.reading(tenant_id) as scope:
            rows = await scope.fetch_all(_SQL["debts"], params)
        return [(row["subject"], (int(row["drained_at"]), 0, int(row["since_ns"]), limit)) for row in rows]
