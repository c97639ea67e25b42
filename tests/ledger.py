"""Ledger rows for tests, written as the superuser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import final
from uuid import UUID

from bailiwick.domain import ids
from tests.database import TestDatabase


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A settled call, as far as reports care."""

    opened_at: datetime
    key_id: UUID | None = None
    uid: str | None = None
    sid: str | None = None
    provider: str = "openai"
    model: str = "gpt-4o"
    input_tokens: int = 1
    output_tokens: int = 1
    cost_nano: int | None = 0
    latency_ms: int = 1
    agent_id: UUID | None = None
    tier: str | None = None


def told_latency(milliseconds: int) -> int:
    """What a report says for a latency: beyond 32 ms, the middle of the sixteenth of a doubling that it lies in."""
    if milliseconds < 32:
        return milliseconds
    width = 1 << (milliseconds.bit_length() - 5)
    return milliseconds // width * width + width // 2


def told_percentile(latencies: Sequence[int], hundredths: int) -> int | None:
    """What a report says for the least latency that so many hundredths of the calls are not above."""
    if not latencies:
        return None
    return told_latency(sorted(latencies)[-(-len(latencies) * hundredths // 100) - 1])


def settle(database: TestDatabase, tenant_id: UUID, project_id: UUID, calls: list[Call]) -> None:
    """Write settled calls of a project."""
    with database.connect() as connection, connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens,"
            " output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms, outcome,"
            " usage_source, streamed, uid, sid, provider, model, agent_id, tier)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, 0, 0, %s, 0, 0, false, %s, %s, %s, %s, %s, %s)",
            [
                (
                    ids.uuid7(int(call.opened_at.timestamp() * 1000), os.urandom(10)),
                    tenant_id,
                    project_id,
                    call.key_id,
                    call.opened_at,
                    call.cost_nano,
                    call.input_tokens,
                    call.output_tokens,
                    call.latency_ms,
                    call.uid,
                    call.sid,
                    call.provider,
                    call.model,
                    call.agent_id,
                    call.tier,
                )
                for call in calls
            ],
        )
