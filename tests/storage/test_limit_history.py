"""How the ledger is asked for calls of long ago: by its index, and for no more than it is to give."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from bailiwick.domain.limits import LimitLevel, Unit
from bailiwick.storage import roles
from bailiwick.storage.sql import load
from tests.database import TestDatabase
from tests.ledger import Call, settle


def test_a_slice_is_read_by_the_index_alone_however_many_calls_follow(scratch: TestDatabase) -> None:
    tenant, project, now = uuid4(), uuid4(), datetime.now(UTC)
    settle(scratch, tenant, project, [Call(opened_at=now - timedelta(seconds=number)) for number in range(20_000)])
    scratch.run("VACUUM ANALYZE bailiwick.ledger")
    params = {
        "tenant": tenant,
        "project": project,
        "level": LimitLevel.USER.value,
        "unit": Unit.TOKENS.value,
        "ticks": 1,
        "interval": 1,
        "since": now - timedelta(days=62),
        "calls": 100,
    }
    with scratch.connect(roles.APP) as connection:
        connection.execute("SELECT set_config('bailiwick.tenant_id', %s, false)", (str(tenant),))
        plan = connection.execute(b"EXPLAIN (ANALYZE, TIMING OFF) " + load("limit_history")["arrivals"], params)
        told = "\n".join(line for (line,) in plan)
    scans = re.findall(r"-> +(.*) on ledger\w* .*actual rows=(\d+)", told)
    assert {kind.partition(" using")[0] for kind, _ in scans} == {"Index Scan"}, told
    assert 100 <= sum(int(rows) for _, rows in scans) <= 110, told
