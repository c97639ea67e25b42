"""Hours of usage that tenants have themselves told of: which are due, and what the ledger says of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("usage_hours")
_ROLL_UP: Final = load("roll_up")
TOKENS: Final = (
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cache_write_1h_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HourRow:
    """What a user of a project (None: nobody) used of one model, `provider/name`, in an hour; `tokens` as `TOKENS`."""

    project_id: ProjectId
    uid: str | None
    model: str
    requests: int
    tokens: tuple[int, ...]
    cost_nano: int


async def take_turn(scope: Scope) -> bool:
    """Whether this transaction may tell of hours: while it does, nobody rolls up, erases, or tells of any."""
    turn = await scope.fetch_one(_ROLL_UP["take_turn"])
    return turn is not None and bool(turn["mine"])


async def due(scope: Scope, *, ended: datetime, late: datetime, most: int) -> Sequence[tuple[TenantId, datetime]]:
    """Hours that are to be told and began by `ended`; those that began by `late` whatever of them is still open."""
    rows = await scope.fetch_all(_SQL["due_hours"], {"ended": ended, "late": late, "most": most})
    return [(TenantId(row["tenant_id"]), row["hour"]) for row in rows]


async def read(scope: Scope, tenant_id: TenantId, hour: datetime) -> list[HourRow]:
    """What the ledger says of an hour, in the order of projects, users and models."""
    rows = await scope.fetch_all(_SQL["hour_rows"], {"tenant": tenant_id, "hour": hour})
    return [_row(row) for row in rows]


async def note_told(scope: Scope, tenant_id: TenantId, hour: datetime) -> int:
    """An hour was told; returns how often it is now."""
    row = await scope.fetch_one(_SQL["note_told"], {"tenant": tenant_id, "hour": hour})
    return 0 if row is None else int(row["revision"])


def _row(row: Row) -> HourRow:
    return HourRow(
        project_id=ProjectId(row["project_id"]),
        uid=row["uid"],
        model=row["model"],
        requests=row["requests"],
        tokens=tuple(int(row[kind]) for kind in TOKENS),
        cost_nano=int(row["cost_nano"]),
    )
