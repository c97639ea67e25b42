"""What all tenants of the installation used, for its operators: a look across tenants, and audited as each one."""

from __future__ import annotations

from datetime import datetime
from typing import final

from bailiwick.domain.audit import INSTALLATION, Actor
from bailiwick.domain.times import written
from bailiwick.domain.usage_of_all import InstallationUsage
from bailiwick.domain.usage_report import GroupBy
from bailiwick.services.acts import Acts
from bailiwick.storage.scope import Database
from bailiwick.storage.usage_of_all import usage_of_all


@final
class UsageOfAll:
    """Counts every call settled so far, of everybody."""

    def __init__(self, database: Database, acts: Acts) -> None:
        """`database` is the control process's."""
        self._database = database
        self._acts = acts

    async def read(self, actor: Actor, since: datetime, end: datetime, by: GroupBy) -> InstallationUsage:
        """What was used from `since` to before `end`, in whole hours or whole days of UTC; raises `Unavailable`."""
        detail = {"from": written(since), "to": written(end)}
        async with self._database.operating() as scope:
            await self._acts.record(scope, actor, "usage.overview", INSTALLATION, tenant_id=None, detail=detail)
            return await usage_of_all(scope, since, end, by)
