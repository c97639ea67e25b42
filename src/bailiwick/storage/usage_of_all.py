"""Reads what all tenants used, as the operator's role: roll-ups up to their watermark, the ledger's rows after it."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from bailiwick.domain.ids import TenantId
from bailiwick.domain.usage_of_all import Amounts, InstallationUsage, TenantAmounts
from bailiwick.domain.usage_report import GroupBy
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load
from bailiwick.storage.usage import NO_XID

_SQL: Final = load("usage_of_all")
MOST_TENANTS: Final = 200


async def usage_of_all(scope: Scope, since: datetime, end: datetime, by: GroupBy) -> InstallationUsage:
    """What was used from `since` to before `end`, which are whole hours, or whole days of UTC if `by` day.

    `scope` is an operator's.
    """
    values = {"since": since, "end": end, "by": by.value, "limit": MOST_TENANTS, "no_xid": NO_XID}
    rows = await scope.fetch_all(_SQL["usage_of_all"], values)
    tenants = (
        TenantAmounts(tenant_id=TenantId(row["tenant_id"]), name=row["name"], amounts=_amounts(row))
        for row in rows
        if row["tenant_id"] is not None
    )
    over_time = {row["at"]: _amounts(row) for row in rows if row["at"] is not None}
    return InstallationUsage(over_time=over_time, tenants=tuple(tenants))


def _amounts(row: Row) -> Amounts:
    # Sums come as exact decimals.
    return Amounts(
        requests=int(row["requests"]),
        input_tokens=int(row["input_tokens"]),
        output_tokens=int(row["output_tokens"]),
        cost_nano=int(row["cost_nano"]),
        refused=int(row["refused"]),
    )
