"""Roll-ups and what is not in them yet are the ledger, at any moment, whatever happens in between."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, final
from uuid import UUID, uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from bailiwick.domain import ids
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.usage_report import GroupBy, UsageQuery
from bailiwick.storage import migrate, roles
from bailiwick.storage.ledger import Ledger
from bailiwick.storage.roll_up import RollUp
from bailiwick.storage.scope import Database, open_pool
from bailiwick.storage.usage import UsageRows
from tests.database import PASSWORDS, Connection, TestDatabase
from tests.faults.trial import times
from tests.isolation.catalogue import new_id
from tests.ledger import told_percentile
from tests.storage.ledger_calls import expire, new_call, settlement

START: Final = datetime(2026, 11, 1, tzinfo=UTC)
# Of the span that is asked for, the first and the last hour and day are cut through, and so are calls beside it.
SINCE, UNTIL = START + timedelta(hours=1, minutes=20), START + timedelta(days=3, hours=5, minutes=40)
KEYS: Final = [uuid4(), None]
KEY_COLUMNS: Final = {
    GroupBy.MODEL: "provider || '/' || model", GroupBy.USER: "uid", GroupBy.PROVIDER: "provider",
    GroupBy.AGENT: "agent_id", GroupBy.TIER: "tier",
    GroupBy.DAY: "to_char(opened_at AT TIME ZONE 'UTC', 'YYYY-MM-DD')",
    GroupBy.HOUR: """to_char(date_trunc('hour', opened_at, 'UTC') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')""",
}  # fmt: skip
INSERT: Final = (
    "INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens,"
    " output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms, outcome,"
    " usage_source, streamed, uid, sid, provider, model, agent_id, tier)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, 1, 0, 0, 0, %s, 0, %s, false, %s, NULL, %s, 'm', %s, %s)"
)


@final
class Place:
    """One project, whose ledger is compared with its reports."""

    def __init__(self) -> None:
        self.tenant, self.project = TenantId(new_id()), ProjectId(new_id())

    def write(self, connection: Connection, chance: random.Random, *, source: int = 0) -> tuple[UUID, datetime]:
        """A settled call, opened in the first hours of some days, within the span and around it."""
        call, opened = new_id(), START + timedelta(days=chance.randrange(4), seconds=chance.randrange(7 * 3600))
        uid = chance.choice([None, "ann", "bob", "zoë", "only"]) if opened.minute else "rare"
        cost = chance.choice([None, chance.randrange(10**9)])
        values = (
            call, self.tenant, self.project, chance.choice(KEYS), opened, cost,
            chance.randrange(1000), chance.randrange(5000), source, uid, chance.choice(["p", "q"]),
            chance.choice(KEYS), chance.choice(["free", None]),
        )  # fmt: skip
        connection.execute(INSERT.encode(), values)
        return call, opened

    def truth(self, connection: Connection, group_by: GroupBy) -> tuple[Any, dict[str | None, Any]]:
        """The total and the groups, by the ledger alone."""
        query = (
            f"SELECT {KEY_COLUMNS[group_by]}, input_tokens, output_tokens, coalesce(cost_nano, 0), latency_ms"  # noqa: S608
            " FROM bailiwick.ledger WHERE project_id = %s AND opened_at >= %s AND opened_at < %s"
        )
        rows = connection.execute(query.encode(), (self.project, SINCE, UNTIL)).fetchall()
        groups: dict[str | None, list[Sequence[Any]]] = {}
        for row in rows:
            key = ids.shown(ids.AGENT, row[0]) if isinstance(row[0], UUID) else row[0]
            groups.setdefault(key, []).append(row)
        return figures(rows), {key: figures(mine) for key, mine in groups.items()}

    async def reported(self, reading: Database, group_by: GroupBy) -> tuple[Any, dict[str | None, Any]]:
        """The same, by the report."""
        query = UsageQuery(since=SINCE, until=UNTIL, group_by=group_by, limit=100)
        async with reading.surveying(self.tenant) as scope:
            report = await UsageRows(scope, self.tenant, self.project).report(query)
        total = report.total
        return shown(total), {group.key: shown(group.usage) for group in report.groups}


def figures(rows: Sequence[Sequence[Any]]) -> Any:
    latencies = [row[4] for row in rows]
    sums = [sum(row[place] for row in rows) for place in (1, 2, 3)]
    return (len(rows), *sums, told_percentile(latencies, 50), told_percentile(latencies, 95))


def shown(usage: Any) -> Any:
    return (
        usage.requests, usage.input_tokens, usage.output_tokens, usage.cost_nano, usage.latency_p50_ms,
        usage.latency_p95_ms,
    )  # fmt: skip


@asynccontextmanager
async def as_control(database: TestDatabase) -> AsyncIterator[Database]:
    async with open_pool(database.url(roles.CONTROL), name="test", size=3) as pool:
        yield Database(pool)


async def caught_up(rolling: RollUp) -> None:
    while await rolling.step():
        pass


async def holds(place: Place, reading: Database, superuser: Connection) -> None:
    for group_by in KEY_COLUMNS:
        assert await place.reported(reading, group_by) == place.truth(superuser, group_by), group_by


def counted(superuser: Connection, place: Place) -> int:
    """How many calls of a place are in the roll-ups, which agree with each other."""
    of_all = ("usage_hourly_of_users", "project_id = %s")
    of_each = [
        (table, f"project_id = %s AND dimension = '{dimension}'")
        for table in ("usage_hourly", "usage_daily")
        for dimension in ("all", "key", "provider", "model", "agent", "tier")
    ]
    found = {
        superuser.execute(
            f"SELECT coalesce(sum(requests), 0)::int FROM bailiwick.{table} WHERE {where}".encode(),  # noqa: S608
            (place.project,),
        ).fetchone()
        for table, where in [of_all, *of_each]
    }
    (only,) = found
    assert only is not None
    return int(only[0])


async def test_what_is_rolled_up_is_read_from_there_and_reports_stay_the_same(scratch: TestDatabase) -> None:
    place, chance = Place(), random.Random(1)
    async with as_control(scratch) as control:
        with scratch.connect() as superuser:
            for _ in range(200):
                place.write(superuser, chance)
            await holds(place, control, superuser)
            before = [await place.reported(control, group_by) for group_by in KEY_COLUMNS]
            await caught_up(RollUp(control, most_at_once=7))
            assert counted(superuser, place) == 200
            await holds(place, control, superuser)
            # Whatever lies wholly within the span comes from the roll-ups now.
            for table, group_by in (("usage_hourly", GroupBy.HOUR), ("usage_daily", GroupBy.MODEL)):
                more = f"UPDATE bailiwick.{table} SET requests = requests + 1000 WHERE project_id = %s"  # noqa: S608
                superuser.execute(more.encode(), (place.project,))
                assert (await place.reported(control, group_by))[0][0] > before[0][0][0] + 1000


async def test_a_transaction_that_stays_open_holds_back_the_watermark_and_no_number(scratch: TestDatabase) -> None:
    place, chance = Place(), random.Random(2)
    async with as_control(scratch) as control:
        rolling = RollUp(control)
        with scratch.connect() as superuser, scratch.connect() as slow:
            place.write(superuser, chance)
            with slow.transaction():
                place.write(slow, chance)
                for _ in range(20):
                    place.write(superuser, chance)
                await caught_up(rolling)
                assert counted(superuser, place) == 1
                await holds(place, control, superuser)
            await holds(place, control, superuser)
            await caught_up(rolling)
            assert counted(superuser, place) == 22
            await holds(place, control, superuser)


async def test_what_was_undone_is_never_counted(scratch: TestDatabase) -> None:
    place, chance = Place(), random.Random(3)
    async with as_control(scratch) as control:
        with scratch.connect() as superuser:
            with superuser.transaction(force_rollback=True):
                place.write(superuser, chance)
            place.write(superuser, chance)
            await caught_up(RollUp(control))
            assert counted(superuser, place) == 1
            await holds(place, control, superuser)


async def test_two_who_roll_up_at_once_count_once(scratch: TestDatabase) -> None:
    place, chance = Place(), random.Random(4)
    async with as_control(scratch) as control:
        with scratch.connect() as superuser:
            for _ in range(100):
                place.write(superuser, chance)
            await asyncio.gather(*(caught_up(RollUp(control, most_at_once=10)) for _ in range(3)))
            await caught_up(RollUp(control))
            assert counted(superuser, place) == 100
            await holds(place, control, superuser)


@pytest.mark.parametrize(
    "table", ["usage_hourly", "usage_daily", "usage_hourly_of_users", "end_users", "key_uses", "usage_watermark"]
)
async def test_a_kill_between_any_two_writings_counts_nothing_twice(scratch: TestDatabase, table: str) -> None:
    place, chance = Place(), random.Random(5)
    async with as_control(scratch) as control:
        rolling = RollUp(control)
        with scratch.connect() as superuser, scratch.connect() as other:
            for _ in range(30):
                place.write(superuser, chance)
            with other.transaction():
                other.execute(f"LOCK TABLE bailiwick.{table} IN SHARE MODE".encode())
                step = asyncio.ensure_future(rolling.step())
                waiting = b"SELECT pid FROM pg_locks WHERE NOT granted AND relation = %s::regclass"
                while (found := superuser.execute(waiting, (f"bailiwick.{table}",)).fetchone()) is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
                superuser.execute(b"SELECT pg_terminate_backend(%s)", (found[0],))
                with pytest.raises(Unavailable):
                    await step
            assert counted(superuser, place) == 0
            await holds(place, control, superuser)
            await caught_up(rolling)
            assert counted(superuser, place) == 30
            await holds(place, control, superuser)


async def test_the_truth_about_a_lost_call_replaces_what_was_counted_of_it(scratch: TestDatabase) -> None:
    """Whether it was counted before or not, and whether two processes tell it or one."""
    async with as_control(scratch) as control:
        rolling = RollUp(control)
        for rolled_up in (False, True):
            place, process = Place(), uuid4()
            ledger, second = Ledger(scratch.url(roles.LEDGER), process), Ledger(scratch.url(roles.LEDGER), uuid4())
            await ledger.beat()
            opened = int((SINCE + timedelta(hours=2)).timestamp() * 1_000_000)
            call = new_call(
                tenant_id=place.tenant, project_id=place.project, opened_us=opened, agent_id=uuid4(), tier="pro"
            )
            await ledger.open(call)
            await expire(scratch, process)
            await second.beat()
            with scratch.connect() as superuser:
                if rolled_up:
                    await caught_up(rolling)
                await holds(place, control, superuser)
                lost = place.truth(superuser, GroupBy.MODEL)
                await asyncio.gather(*(each.settle(settlement(call)) for each in (ledger, second)))
                assert place.truth(superuser, GroupBy.MODEL) != lost
                await holds(place, control, superuser)
                await caught_up(rolling)
                await holds(place, control, superuser)
                assert counted(superuser, place) == 1
                assert superuser.execute(b"SELECT count(*) FROM bailiwick.ledger_corrections").fetchone() == (0,)
            await ledger.aclose()
            await second.aclose()


async def test_a_database_that_was_loaded_on_another_server_is_counted_anew(scratch: TestDatabase) -> None:
    """There the numbers of transactions begin again: what is written now seems to be written long ago."""
    place, chance = Place(), random.Random(6)
    async with as_control(scratch) as control:
        rolling = RollUp(control)
        with scratch.connect() as superuser:
            for _ in range(40):
                place.write(superuser, chance)
            await caught_up(rolling)
            superuser.execute(b"UPDATE bailiwick.ledger SET written_xid = written_xid + 1000000000")
            superuser.execute(b"UPDATE bailiwick.usage_watermark SET xid = xid + 1000000000")
            place.write(superuser, chance)
            migrate.migrate(scratch.superuser_url, PASSWORDS, START.date())
            assert roles.violations(superuser) == []
            await holds(place, control, superuser)
            place.write(superuser, chance)
            await caught_up(rolling)
            assert counted(superuser, place) == 42
            await holds(place, control, superuser)


CORRECT: Final = """
    WITH old AS MATERIALIZED (
        SELECT id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens, output_tokens, latency_ms, uid,
               provider, model, written_xid, agent_id, tier
        FROM bailiwick.ledger WHERE id = %s AND usage_source = 3 FOR UPDATE
    ), new AS (
        UPDATE bailiwick.ledger l SET usage_source = 0, cost_nano = 7, input_tokens = 70, latency_ms = 700,
               provider = 'r', written_xid = DEFAULT FROM old WHERE l.id = old.id AND l.opened_at = old.opened_at
    )
    INSERT INTO bailiwick.ledger_corrections (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens,
                                              output_tokens, latency_ms, uid, provider, model, replaced_xid,
                                              agent_id, tier)
    SELECT * FROM old
"""


class RollUpMachine(RuleBasedStateMachine):
    """Settlements and corrections, in transactions that end in any order, while steps of any size are rolled up."""

    def __init__(self, database: TestDatabase) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.place = Place()
        self.superuser = database.connect()
        self.writers = [database.connect() for _ in range(3)]
        self.unknown: list[UUID] = []
        self.pool = open_pool(database.url(roles.CONTROL), name="test", size=2)
        self.loop.run_until_complete(self.pool.open())
        self.control = Database(self.pool)

    @rule(writer=st.integers(0, 2), seed=st.integers(0, 10**6), source=st.sampled_from([0, 0, 3]))
    def settle(self, writer: int, seed: int, source: int) -> None:
        """Perhaps within a transaction that goes on."""
        call, _ = self.place.write(self.writers[writer], random.Random(seed), source=source)
        if source and not self.in_transaction(writer):
            self.unknown.append(call)

    @rule(writer=st.integers(0, 2))
    def begin(self, writer: int) -> None:
        if not self.in_transaction(writer):
            self.writers[writer].execute(b"BEGIN")

    @rule(writer=st.integers(0, 2), how=st.sampled_from([b"COMMIT", b"COMMIT", b"ROLLBACK"]))
    def end(self, writer: int, how: bytes) -> None:
        if self.in_transaction(writer):
            self.writers[writer].execute(how)

    @precondition(lambda self: self.unknown)
    @rule(writer=st.integers(0, 2), number=st.integers(0, 9))
    def correct(self, writer: int, number: int) -> None:
        call = self.unknown.pop(number % len(self.unknown))
        self.writers[writer].execute(CORRECT.encode(), (call,))

    @rule(size=st.sampled_from([1, 2, 5, 1000]))
    def roll_up(self, size: int) -> None:
        self.loop.run_until_complete(RollUp(self.control, most_at_once=size).step())

    @invariant()
    def reports_are_the_ledger(self) -> None:
        """To the nano-dollar, at any moment."""
        self.loop.run_until_complete(holds(self.place, self.control, self.superuser))

    def in_transaction(self, writer: int) -> bool:
        return self.writers[writer].info.transaction_status is not psycopg.pq.TransactionStatus.IDLE

    def teardown(self) -> None:
        for writer in self.writers:
            writer.rollback()  # The server ends what is merely left behind only in a while.
            writer.close()
        self.loop.run_until_complete(caught_up(RollUp(self.control)))
        self.reports_are_the_ledger()
        rows = self.superuser.execute(b"SELECT count(*) FROM bailiwick.ledger WHERE project_id = %s",
                                      (self.place.project,)).fetchone()  # fmt: skip
        assert rows == (counted(self.superuser, self.place),)
        self.loop.run_until_complete(self.pool.close())
        self.loop.close()
        self.superuser.close()


@pytest.mark.proof
@pytest.mark.timeout(1800)
def test_no_order_of_events_makes_a_report_differ_from_the_ledger(database: TestDatabase) -> None:
    run_state_machine_as_test(
        lambda: RollUpMachine(database),
        settings=settings(
            max_examples=times(150, 8), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
