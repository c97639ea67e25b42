"""Usage with a ledger of a million calls by a hundred thousand users: every read is the ledger's, and soon there.

At a tenth and less the numbers alone are held; with PROVE each read has 200 ms.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import pytest

from bailiwick.domain.end_users import users_query
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import OF_TENANTS, GroupBy, Usage, usage_query
from bailiwick.services.end_users import EndUsers
from bailiwick.services.usage import UsageReports
from bailiwick.storage import roles
from bailiwick.storage.roll_up import RollUp
from bailiwick.storage.scope import Database, open_pool
from tests.database import TestDatabase, TestServer
from tests.faults.trial import PROVE, times
from tests.isolation.catalogue import new_id
from tests.ledger import told_latency

CALLS: Final = times(1_000_000, 20_000)
USERS: Final = CALLS // 10
BATCH: Final = CALLS // 20
START: Final = datetime(2026, 11, 1, tzinfo=UTC)
NOW: Final = datetime(2026, 11, 30, 12, 34, 56, tzinfo=UTC)
NOVEMBER: Final = {"from": "2026-11-01T00:00:00Z"}
SPAN: Final = {"from": "2026-11-03T04:05:06Z", "to": "2026-11-24T13:14:15Z"}
MOST_SECONDS: Final = 0.2
FILL: Final = """
    INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens,
        cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms, outcome, usage_source, streamed,
        uid, sid, provider, model, tier, agent_id, price, asked)
    SELECT gen_random_uuid(), %(tenant)s, %(project)s, (ARRAY[%(key)s, %(other)s]::uuid[])[1 + g %% 2],
           %(start)s + (g / %(calls)s::float) * interval '29.5 days', (random() * 1e7)::bigint, (random() * 4000)::int,
           (random() * 900)::int, 0, 0, 0, exp(5 + random() * 4)::int, 0, 0, false,
           'user-' || floor(random() * %(users)s)::int, 's-' || g / 8,
           (ARRAY['openai', 'anthropic'])[1 + g %% 2], (ARRAY['large', 'small', 'tiny'])[1 + g %% 3],
           (ARRAY['free', 'pro', NULL])[1 + g %% 3],
           (ARRAY[%(key)s, %(other)s, NULL]::uuid[])[1 + g %% 3], 5171870911208464523 + g %% 3,
           (ARRAY['openai/large', NULL, NULL])[1 + g %% 3]
    FROM generate_series(%(first)s::int, %(last)s::int) AS g
"""
# What settles after the last roll-up, of all times.
FILL_LATER: Final = """
    INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens,
        cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms, outcome, usage_source, streamed,
        uid, sid, provider, model, tier, agent_id, price, asked)
    SELECT gen_random_uuid(), tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens, 0, 0, 0,
           latency_ms, 0, 0, false, uid, sid, provider, model, tier, agent_id, price, asked
    FROM bailiwick.ledger ORDER BY input_tokens, id LIMIT 2000
"""
KEYS: Final = {
    GroupBy.TIER: "tier",
    GroupBy.DAY: "to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')", GroupBy.MODEL: "provider || '/' || model",
    GroupBy.PROVIDER: "provider", GroupBy.USER: 'uid COLLATE "C"', GroupBy.SESSION: 'sid COLLATE "C"',
    GroupBy.HOUR: """to_char(date_trunc('hour', opened_at, 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')""",
}  # fmt: skip
SUMS: Final = (
    "count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(cost_nano), 0),"
    " percentile_disc(ARRAY[0.5, 0.95]) WITHIN GROUP (ORDER BY latency_ms)"
)
TOOK: Final[dict[str, float]] = {}


class World(NamedTuple):
    """A project with all those calls, and what reads it."""

    database: TestDatabase
    usage: UsageReports
    users: EndUsers
    tenant: TenantId
    project: ProjectId

    def truth(self, where: str, *params: object, group_by: str | None = None) -> dict[Any, Any]:
        """What the ledger comes to, by group if there is one."""
        key, tail = ("NULL", "") if group_by is None else (group_by, f" GROUP BY 1 ORDER BY {group_by} LIMIT 50")
        query = f"SELECT {key}, {SUMS} FROM bailiwick.ledger WHERE project_id = %s AND {where}{tail}"  # noqa: S608
        rows = self.database.rows(query, self.project, *params)
        return {row[0]: (*(int(value) for value in row[1:5]), *map(told_latency, row[5] or ())) for row in rows}


@pytest.fixture(scope="module")
def filled(server: TestServer) -> tuple[TestDatabase, TenantId, ProjectId]:
    """All but the last calls are rolled up by `world`."""
    database = server.create()
    tenant, project = TenantId(new_id()), ProjectId(new_id())
    values = {"tenant": tenant, "project": project, "key": new_id(), "other": new_id(), "start": START, "calls": CALLS}
    with database.connect() as connection:
        connection.execute(
            b"INSERT INTO bailiwick.tenants (id, slug, name, created_by) VALUES (%s, 't', 'T', 'test')", (tenant,)
        )
        connection.execute(
            b"INSERT INTO bailiwick.projects (id, tenant_id, slug, name, created_by) VALUES (%s, %s, 'p', 'P', 'test')",
            (project, tenant),
        )
        for first in range(0, CALLS, BATCH):
            span = {"first": first, "last": first + BATCH - 1, "users": USERS}
            connection.execute(FILL.encode(), values | span)
    return database, tenant, project


@pytest.fixture
async def world(filled: tuple[TestDatabase, TenantId, ProjectId]) -> AsyncIterator[World]:
    database, tenant, project = filled
    async with open_pool(database.url(roles.CONTROL), name="test", size=2) as pool:
        control = Database(pool)
        rolling = RollUp(control)
        if database.rows("SELECT xid FROM bailiwick.usage_watermark") == [(0,)]:
            while await rolling.step():
                pass
            database.run("VACUUM ANALYZE")
            database.run(FILL_LATER)
        nothing_is_done: Any = None
        yield World(database, UsageReports(control), EndUsers(control, nothing_is_done), tenant, project)


async def timed(name: str, read: Callable[[], Awaitable[Any]]) -> Any:
    """Read, and hold how long it took: the middle of five readings, after one."""
    found = await read()
    if PROVE:
        took = []
        for _ in range(5):
            began = time.perf_counter()
            await read()
            took.append(time.perf_counter() - began)
        TOOK[name] = statistics.median(took)
        print(f"{name}: {TOOK[name] * 1000:.0f} ms")
        assert TOOK[name] < MOST_SECONDS, name
    return found


def shown(usage: Usage) -> tuple[Any, ...]:
    return (
        usage.requests, usage.input_tokens, usage.output_tokens, usage.cost_nano, usage.latency_p50_ms,
        usage.latency_p95_ms,
    )  # fmt: skip


@pytest.mark.proof
@pytest.mark.parametrize("asked", [NOVEMBER, SPAN], ids=["whole hours", "cut hours"])
@pytest.mark.parametrize("group_by", KEYS)
async def test_a_projects_report(world: World, group_by: GroupBy, asked: dict[str, str]) -> None:
    query = usage_query({**asked, "group_by": group_by.value}, NOW)
    # Sessions are read from the ledger itself: the bar is not theirs.
    read = lambda: world.usage.report(world.tenant, world.project, query)  # noqa: E731
    report = await (read() if group_by is GroupBy.SESSION else timed(f"project by {group_by}, {asked}", read))
    span = ("opened_at >= %s AND opened_at < %s", query.since, query.until)
    assert {group.key: shown(group.usage) for group in report.groups} == world.truth(*span, group_by=KEYS[group_by])
    assert shown(report.total) == world.truth(*span)[None]


@pytest.mark.proof
@pytest.mark.parametrize("group_by", OF_TENANTS)
async def test_a_tenants_report(world: World, group_by: GroupBy) -> None:
    query = usage_query({**SPAN, "group_by": group_by.value}, NOW, OF_TENANTS)
    report = await timed(f"tenant by {group_by}", lambda: world.usage.report(world.tenant, None, query))
    assert shown(report.total) == world.truth("opened_at >= %s AND opened_at < %s", query.since, query.until)[None]


@pytest.mark.proof
@pytest.mark.parametrize("group_by", [GroupBy.DAY, GroupBy.MODEL, GroupBy.USER, GroupBy.TIER])
async def test_one_users_report(world: World, group_by: GroupBy) -> None:
    query = usage_query({**SPAN, "group_by": group_by.value}, NOW)
    read = lambda: world.usage.report(world.tenant, world.project, query, uid="user-7")  # noqa: E731
    report = await timed(f"one user by {group_by}", read)
    span = ("uid = 'user-7' AND opened_at >= %s AND opened_at < %s", query.since, query.until)
    assert {group.key: shown(group.usage) for group in report.groups} == world.truth(*span, group_by=KEYS[group_by])


@pytest.mark.proof
@pytest.mark.parametrize("asked", [{}, {"prefix": "user-1"}, {"prefix": "user-77"}, {"blocked": "true"}], ids=str)
async def test_the_list_of_users(world: World, asked: dict[str, str]) -> None:
    blocked = [f"user-{number * 3}" for number in range(200)]
    world.database.run(
        "INSERT INTO bailiwick.blocked_users (tenant_id, project_id, uid, blocked, changed_at, changed_by)"
        " SELECT %s, %s, uid, true, now(), 'test' FROM unnest(%s::text[]) AS uid ON CONFLICT DO NOTHING",
        world.tenant, world.project, blocked,
    )  # fmt: skip
    query = users_query({**SPAN, **asked}, NOW)
    page = await timed(f"users {asked}", lambda: world.users.list(world.tenant, world.project, query))
    where = "uid ^@ %s AND (%s OR uid = ANY (%s))"
    seen = world.database.rows(
        f"SELECT uid, max(opened_at) FROM bailiwick.ledger WHERE project_id = %s AND {where} GROUP BY uid"  # noqa: S608
        ' ORDER BY 2 DESC, uid COLLATE "C" DESC LIMIT 50',
        world.project, query.prefix, not query.blocked, blocked,
    )  # fmt: skip
    assert [(user.uid, user.last_seen) for user in page.users][: len(seen)] == seen
    uids = [uid for uid, _ in seen]
    span = ("uid = ANY (%s) AND opened_at >= %s AND opened_at < %s", uids, query.usage.since, query.usage.until)
    used = world.truth(*span, group_by='uid COLLATE "C"')
    assert {user.uid: shown(user.usage) for user in page.users if user.usage.requests} == used


@pytest.mark.proof
async def test_a_ledger_row_with_its_index_entries_takes_at_most_300_bytes(world: World) -> None:
    ((size,),) = world.database.rows(
        "SELECT sum(pg_table_size(inhrelid) + pg_indexes_size(inhrelid))::float FROM pg_inherits"
        " WHERE inhparent = 'bailiwick.ledger'::regclass"
    )
    ((rows,),) = world.database.rows("SELECT count(*) FROM bailiwick.ledger")
    print(f"a row: {size / rows:.1f} bytes")
    assert size / rows <= 300
