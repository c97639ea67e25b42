"""The limits of a project after a crash: rebuilt from a real ledger, in slices, however long that takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import final
from uuid import UUID, uuid4

import pytest

from bailiwick.bootstrap.ambient import SteadyClock
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.limit_settings import LevelLimits, Limits
from bailiwick.domain.limits import Rate
from bailiwick.domain.principal import Principal
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.services.admission import Admission, RateLimited
from bailiwick.storage import roles
from bailiwick.storage.limit_history import LimitHistory
from bailiwick.storage.scope import Database, Pool, open_pool
from bailiwick.storage.sql import Sql
from tests.database import TestDatabase
from tests.domain.limit_cases import held, told
from tests.domain.samples import principal
from tests.faults.trial import eventually
from tests.ledger import Call, settle
from tests.patience import loop_lag

DAY_NS = 86_400_000_000_000
LONG = 31 * DAY_NS
TRAP = """
    CREATE FUNCTION bailiwick.trap(opened_at timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
    BEGIN
        IF opened_at {compared} '{moment}' THEN RAISE 'not to be read' USING ERRCODE = 'query_canceled'; END IF;
        RETURN true;
    END $$;
    CREATE POLICY trap ON bailiwick.ledger AS RESTRICTIVE FOR SELECT TO bailiwick_app
        USING (bailiwick.trap(opened_at))
"""


def limit(requests: int, per_ns: int = LONG, burst: int | None = None) -> LevelLimits:
    return LevelLimits(requests=Rate(amount=requests, per_ns=per_ns, burst=requests if burst is None else burst))


def token_limit(tokens: int) -> LevelLimits:
    return LevelLimits(tokens=Rate(amount=tokens, per_ns=LONG, burst=tokens))


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project of a tenant of its own, and its calls before the crash."""

    database: TestDatabase
    tenant_id: UUID = field(default_factory=uuid4)
    id: UUID = field(default_factory=uuid4)
    key_id: UUID = field(default_factory=uuid4)

    def caller(self, uid: str | None = "alice", **limits: LevelLimits) -> Principal:
        """Who calls, under these limits."""
        return principal(
            uid=uid,
            tenant_id=self.tenant_id,
            project_id=self.id,
            key_id=self.key_id,
            limits=Limits(**limits),
            bucket=self.id.hex,
            key_bucket=self.key_id.hex,
        )

    def called(
        self,
        ages: Sequence[float],
        uid: str | None = "alice",
        key_id: UUID | None = None,
        tokens: tuple[int, int] = (1, 1),
    ) -> None:
        """Calls that were made and settled so many seconds ago, with the tokens that each read and wrote."""
        now, (read, wrote) = datetime.now(UTC), tokens
        calls = [
            Call(
                opened_at=now - timedelta(seconds=age),
                uid=uid,
                key_id=key_id or self.key_id,
                input_tokens=read,
                output_tokens=wrote,
            )
            for age in ages
        ]
        settle(self.database, self.tenant_id, self.id, calls)

    @contextmanager
    def trap(self, compared: str, moment: datetime) -> Iterator[None]:
        """Have the database fail whoever reads calls before or after a moment."""
        self.database.run(TRAP.format(compared=compared, moment=moment.isoformat()))
        try:
            yield
        finally:
            self.database.run("DROP POLICY trap ON bailiwick.ledger; DROP FUNCTION bailiwick.trap")


@pytest.fixture
def project(database: TestDatabase) -> Project:
    return Project(database=database)


@pytest.fixture
async def pool(database: TestDatabase) -> AsyncIterator[Pool]:
    async with open_pool(database.url(roles.APP), name="test", size=2) as opened:
        yield opened


@pytest.fixture
def store() -> InProcessLimitStore:
    """What a process remembers whose predecessor was killed: nothing."""
    return InProcessLimitStore()


@pytest.fixture
async def restarted(pool: Pool, store: InProcessLimitStore) -> AsyncIterator[Admission]:
    """The admission of that process; it reads three calls at a time."""
    admission = Admission(store, LimitHistory(Database(pool), calls=3), now_ns=SteadyClock())
    yield admission
    await admission.aclose()


async def left(admission: Admission, caller: Principal) -> int:
    """How many more calls are admitted after this one; -1 if this one is not."""
    try:
        return told((await admission.admit(caller, "127.0.0.1", 0, 0)).decision).remaining
    except RateLimited:
        return -1


@pytest.mark.parametrize("calls", [0, 1, 2, 3, 4, 9, 10])
@pytest.mark.parametrize("level", ["project", "key", "user"])
async def test_what_was_taken_before_the_crash_is_still_taken(
    project: Project, restarted: Admission, level: str, calls: int
) -> None:
    project.called([place * 0.001 for place in range(calls)])

    assert await left(restarted, project.caller("alice", **{level: limit(10)})) == 10 - calls - 1


async def test_each_level_counts_what_is_its_own(project: Project, restarted: Admission) -> None:
    project.called([1, 2, 3, 4], "alice")
    project.called([1, 2], None)
    project.called([1, 2, 3], "bob", key_id=uuid4())
    Project(database=project.database, id=project.id).called([1] * 5, "alice")
    Project(database=project.database, tenant_id=project.tenant_id).called([1] * 5, "alice")
    limits = {"project": limit(100), "key": limit(80), "user": limit(50)}

    decision = (await restarted.admit(project.caller("alice", **limits), "127.0.0.1", 0, 0)).decision
    assert [ceil(held(stored, decision.at_ns)) for stored in decision.taken] == [10, 7, 5]


async def test_calls_that_are_still_open_count_once_with_those_that_are_settled(
    project: Project, restarted: Admission
) -> None:
    project.called([3, 1, 1, 1, 1])
    project.database.run(
        "INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, key_id, process_id, opened_at, uid, provider,"
        " model, streamed, input_estimate) SELECT gen_random_uuid(), %s, %s, %s, gen_random_uuid(),"
        " now() - place * interval '500 ms', 'alice', 'openai', 'gpt-4o', false, 1 FROM generate_series(0, 9) AS place",
        project.tenant_id, project.id, project.key_id,
    )  # fmt: skip

    assert await left(restarted, project.caller(user=limit(20))) == 20 - 15 - 1


async def test_whoever_used_the_whole_rate_gets_no_second_burst(project: Project, restarted: Admission) -> None:
    """The bucket has been full for three windows; one window's calls alone would leave it all but empty."""
    project.called([30.0] * 10 + [30.0 - number for number in range(1, 31)])

    assert await left(restarted, project.caller(user=limit(10, 10_000_000_000))) <= 0


async def test_a_window_longer_than_time_itself_is_no_error(project: Project, restarted: Admission) -> None:
    project.called([1, 2])

    assert await left(restarted, project.caller(user=limit(1, burst=1_000_000_000))) == 1_000_000_000 - 3


async def test_what_was_read_is_not_read_again(project: Project, restarted: Admission) -> None:
    project.called([40 - number for number in range(20)])
    middle = datetime.now(UTC) - timedelta(seconds=30)
    caller = project.caller(key=limit(100))
    with project.trap(">", middle), pytest.raises(Unavailable):
        await restarted.admit(caller, "127.0.0.1", 0, 0)
    with project.trap("<", middle - timedelta(seconds=4)):
        assert await left(restarted, caller) == 100 - 20 - 1


async def test_callers_are_told_to_come_back_while_it_is_rebuilt_and_it_goes_on_without_them(
    project: Project, restarted: Admission, store: InProcessLimitStore
) -> None:
    project.called([1, 2, 3, 4])
    caller = project.caller(user=limit(10))
    with project.database.connect() as other, other.transaction():
        other.execute("LOCK bailiwick.ledger")
        for _ in range(2):
            async with loop_lag() as lag:
                began = time.monotonic()
                with pytest.raises(Unavailable) as refusal:
                    await restarted.admit(caller, "127.0.0.1", 0, 0)
                assert 1.5 < time.monotonic() - began < 3.5 + lag.seconds
            assert refusal.value.retry_after is not None
            assert refusal.value.retry_after >= 1
    await eventually(lambda: store.remembers(project.id.hex), 2.0, "it is rebuilt")

    assert await left(restarted, caller) == 10 - 4 - 1


async def test_a_project_is_rebuilt_once(project: Project, restarted: Admission) -> None:
    caller = project.caller(user=limit(10))
    assert await left(restarted, caller) == 9
    project.called([0] * 5)

    assert await left(restarted, caller) == 8


async def test_of_many_projects_at_once_some_connections_are_left(database: TestDatabase) -> None:
    async with open_pool(database.url(roles.APP), name="test", size=3) as pool:
        reads = Database(pool)
        admission = Admission(InProcessLimitStore(), LimitHistory(reads), now_ns=SteadyClock())
        callers = [Project(database=database).caller(user=limit(10)) for _ in range(6)]
        with database.connect() as other, other.transaction():
            other.execute("LOCK bailiwick.ledger")
            waiting = [asyncio.create_task(admission.admit(caller, "127.0.0.1", 0, 0)) for caller in callers]
            await asyncio.sleep(0.2)
            async with asyncio.timeout(1), reads.reading(None) as scope:
                assert await scope.fetch_all(Sql(b"SELECT 1 AS one")) == [{"one": 1}]
        assert [told(place.decision).remaining for place in await asyncio.gather(*waiting)] == [9] * 6
        await admission.aclose()


async def test_what_is_given_back_can_be_taken_again(project: Project, restarted: Admission) -> None:
    caller = project.caller(user=limit(2), key=limit(5))
    place = await restarted.admit(caller, "127.0.0.1", 0, 0)
    await restarted.give_back(place)

    assert [await left(restarted, caller) for _ in range(3)] == [1, 0, -1]


async def tokens_left(admission: Admission, caller: Principal) -> int:
    """How many tokens are left after a call of one; -1 if it is not admitted."""
    try:
        place = await admission.admit(caller, "127.0.0.1", 1, 0)
    except RateLimited:
        return -1
    assert place.decision.tokens is not None
    return place.decision.tokens.remaining


@pytest.mark.parametrize("level", ["project", "key", "user"])
async def test_the_tokens_that_were_used_before_the_crash_are_still_taken(
    project: Project, restarted: Admission, level: str
) -> None:
    project.called([place * 0.001 for place in range(7)], tokens=(30, 12))

    assert await tokens_left(restarted, project.caller("alice", **{level: token_limit(1000)})) == 1000 - 7 * 42 - 1


async def test_tokens_beyond_the_limit_are_still_owed_after_a_crash(project: Project, restarted: Admission) -> None:
    project.called([1.0], tokens=(10, 5000))

    caller = project.caller(user=token_limit(1000))
    with pytest.raises(RateLimited) as refusal:
        await restarted.admit(caller, "127.0.0.1", 1, 0)
    assert refusal.value.decision.retry_after_ns is not None
    # 4,011 tokens, at a thousand in 31 days.
    assert 4010 < refusal.value.decision.retry_after_ns * 1000 / LONG < 4011


async def test_calls_that_are_open_or_lost_count_with_the_tokens_they_were_admitted_for(
    project: Project, restarted: Admission
) -> None:
    project.called([1.0], tokens=(10, 0))
    project.database.run(
        "UPDATE bailiwick.ledger SET usage_source = 3, held_tokens = 300 WHERE project_id = %s", project.id
    )
    project.database.run(
        "INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, key_id, process_id, opened_at, uid, provider,"
        " model, streamed, input_estimate, held_tokens) SELECT gen_random_uuid(), %s, %s, %s, gen_random_uuid(), now(),"
        " 'alice', 'openai', 'gpt-4o', false, 5, held FROM (VALUES (200), (NULL)) AS calls (held)",
        project.tenant_id, project.id, project.key_id,
    )  # fmt: skip

    assert await tokens_left(restarted, project.caller(user=token_limit(1000))) == 1000 - 300 - 200 - 5 - 1
