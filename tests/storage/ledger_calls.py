"""Calls for tests of the ledger, and a look at what the database holds of them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import Any, final
from uuid import UUID, uuid4

from bailiwick.domain.ids import uuid7_int
from bailiwick.domain.metering import OpenCall, Settlement
from bailiwick.domain.usage import Outcome, TokenUsage, UsageSource
from tests.database import TestDatabase

USAGE = TokenUsage(input_tokens=11, output_tokens=7, cached_tokens=3, reasoning_tokens=2, input_audio_tokens=1)


def new_call(**fields: Any) -> OpenCall:
    """A call of now, of a project of its own unless `fields` say otherwise."""
    now = time.time_ns()
    given: dict[str, Any] = {
        "id": f"{uuid7_int(now // 1_000_000, os.urandom(10)):032x}",
        "tenant_id": uuid4(),
        "project_id": uuid4(),
        "key_id": uuid4(),
        "uid": "user",
        "sid": "session",
        "provider": "up",
        "model": "gpt-4o",
        "streamed": True,
        "opened_us": now // 1000,
        "input_estimate": 40,
        "cost_estimate_nano": 6000,
    }
    return OpenCall(**{**given, **fields})


def settlement(call: OpenCall, **fields: Any) -> Settlement:
    """A call that went well."""
    given: dict[str, Any] = {
        "call": call,
        "outcome": Outcome.COMPLETED,
        "usage": USAGE,
        "source": UsageSource.REPORTED,
        "cost_nano": 1234,
        "latency_ms": 56,
        "first_byte_ms": 12,
        "status": 200,
    }
    return Settlement(**{**given, **fields})


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """How a call stands: how many open rows and ledger rows it has, and what its ledger row says."""

    open_rows: int
    ledger_rows: int
    outcome: int | None = None
    source: int | None = None
    cost_nano: int | None = None


def look(database: TestDatabase, call: OpenCall) -> Seen:
    """How a call stands in the database."""
    call_id = UUID(hex=call.id)
    ((open_rows,),) = database.rows("SELECT count(*) FROM bailiwick.open_calls WHERE id = %s", call_id)
    rows = database.rows("SELECT outcome, usage_source, cost_nano FROM bailiwick.ledger WHERE id = %s", call_id)
    if not rows:
        return Seen(open_rows=open_rows, ledger_rows=0)
    outcome, source, cost = rows[0]
    return Seen(open_rows=open_rows, ledger_rows=len(rows), outcome=outcome, source=source, cost_nano=cost)


NOTHING = Seen(open_rows=0, ledger_rows=0)
OPEN = Seen(open_rows=1, ledger_rows=0)
SETTLED = Seen(open_rows=0, ledger_rows=1, outcome=0, source=0, cost_nano=1234)
LOST = Seen(open_rows=0, ledger_rows=1, outcome=5, source=3, cost_nano=6000)


async def expire(database: TestDatabase, process: UUID) -> None:
    """Let a process's lease run out, as five seconds without a beat would."""
    database.run("UPDATE bailiwick.processes SET beat_at = now() - interval '6 seconds' WHERE id = %s", process)
