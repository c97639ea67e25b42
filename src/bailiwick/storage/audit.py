"""The audit log in the database: appended to, in the transaction of the act that an entry tells of."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from psycopg.types.json import Jsonb

from bailiwick.domain.audit import Entry
from bailiwick.storage.scope import Scope
from bailiwick.storage.sql import load

_SQL: Final = load("audit")


async def append(scope: Scope, entry_id: UUID, entry: Entry, at: datetime) -> None:
    """Write an entry; `scope` is the act's."""
    await scope.execute(
        _SQL["append_entry"],
        {
            "id": entry_id,
            "tenant": entry.tenant_id,
            "at": at,
            "actor": entry.actor.name,
            "actor_name": entry.actor.shown,
            "ip": entry.actor.ip,
            "action": entry.action,
            "target": entry.target,
            "detail": Jsonb(entry.detail),
            "request_id": entry.actor.request_id,
        },
    )
