"""Refused crossings: counted by the minute, bounded, and told in the audit log once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

import pytest
from psycopg.conninfo import make_conninfo

from bailiwick.domain import ids
from bailiwick.domain.crossings import MOST_CALLERS, Crosser, is_crossing
from bailiwick.domain.errors import Code
from bailiwick.domain.explanation import Step
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.services.crossings import Crossings, tell
from bailiwick.services.refusals import Refusals
from bailiwick.storage import roles
from bailiwick.storage.refused_calls import RefusalStore
from bailiwick.storage.scope import Database, open_pool
from bailiwick.telemetry.metrics import Metrics
from bailiwick.telemetry.observer import Observation
from tests.control import Control
from tests.database import TestDatabase
from tests.isolation.catalogue import new_id

MINUTE: Final = datetime(2026, 11, 21, 11, 58, tzinfo=UTC)
NOW_US: Final = int(MINUTE.timestamp()) * 1_000_000 + 17
OUTSIDE: Final = Code.NOT_A_MEMBER
Tell = Callable[[], Awaitable[None]]


@pytest.fixture
async def told(database: TestDatabase, control: Control) -> AsyncIterator[Tell]:
    """What the control process does each minute; its clock is that of `control`, which stands at noon."""
    async with open_pool(database.url(roles.CONTROL), name="test", size=1) as pool:
        yield lambda: tell(Database(pool), control.plane.acts)


@pytest.fixture
async def gateways(database: TestDatabase) -> AsyncIterator[list[Refusals]]:
    stores = [RefusalStore(database.url(roles.LEDGER), uuid4()) for _ in range(2)]
    yield [Refusals(store, Metrics(), now_us=lambda: NOW_US) for store in stores]
    for store in stores:
        await store.aclose()


def tried(who: Crosser, code: Code = OUTSIDE) -> Observation:
    return Observation(new_id().hex, door="/v1/chat/completions", status=403, code=code, reason="no", outsider=who)


def somebody(project: dict[str, Any], uid: str = "ann") -> Crosser:
    tenant_id, project_id = ids.parsed(ids.TENANT, project["tenant_id"]), ids.parsed(ids.PROJECT, project["id"])
    assert tenant_id is not None
    assert project_id is not None
    return Crosser(TenantId(tenant_id), ProjectId(project_id), "user", uid)


async def entries(control: Control, tenant: str | None) -> list[dict[str, Any]]:
    path = "/audit" if tenant is None else f"/tenants/{tenant}/audit"
    found: list[dict[str, Any]] = (await control.read(f"{path}?action=crossing.refused&limit=200"))["data"]
    return found


async def test_what_a_caller_tries_within_a_minute_is_one_entry_of_all_processes(
    control: Control, told: Tell, gateways: list[Refusals]
) -> None:
    project = await control.project()
    who = somebody(project)
    for gateway in gateways:
        for _ in range(300):
            gateway.note(tried(who))
            gateway.note(tried(who, Code.ACT_AS_NOT_ALLOWED))
        await gateway.flush()
        gateway.note(tried(who))
        await gateway.flush()
    await told()
    await told()
    found = await entries(control, project["tenant_id"])
    span = {"from": "2026-11-21T11:58:00Z", "to": "2026-11-21T11:59:00Z"}
    assert sorted((entry["detail"] for entry in found), key=lambda detail: str(detail["code"])) == [
        {"code": "act_as_not_allowed", "times": 600, **span}, {"code": "not_a_member", "times": 602, **span},
    ]  # fmt: skip
    assert {(entry["actor"], entry["actor_name"], entry["target"]) for entry in found} == {
        ("user", "ann", project["id"])
    }


async def test_a_minute_that_goes_on_is_not_told_yet(
    control: Control, told: Tell, gateways: list[Refusals], database: TestDatabase
) -> None:
    project = await control.project()
    gateways[0]._now_us = lambda: int(control.clock().timestamp()) * 1_000_000
    gateways[0].note(tried(somebody(project)))
    await gateways[0].flush()
    await told()
    assert await entries(control, project["tenant_id"]) == []
    control.clock.advance(seconds=150)
    await told()
    assert len(await entries(control, project["tenant_id"])) == 1
    assert database.rows("SELECT count(*) FROM bailiwick.refused_crossings") == [(0,)]


async def test_whoever_is_at_home_nowhere_is_in_the_installations_log(
    control: Control, told: Tell, gateways: list[Refusals]
) -> None:
    uid = uuid4().hex
    gateways[0].note(tried(Crosser(None, None, "user", uid)))
    await gateways[0].flush()
    await told()
    (entry,) = [entry for entry in await entries(control, None) if entry["actor_name"] == uid]
    assert (entry["target"], entry["tenant_id"], entry["detail"]["times"]) == ("installation", None, 1)


async def test_of_very_many_callers_the_rest_are_one(control: Control, told: Tell, gateways: list[Refusals]) -> None:
    project, quiet = await control.project(), await control.project()
    for number in range(10 * MOST_CALLERS):
        gateways[0].note(tried(somebody(project, f"user {number}")))
    gateways[0].note(tried(somebody(quiet)))
    await gateways[0].flush()
    await told()
    found = await entries(control, project["tenant_id"])
    assert len(found) == MOST_CALLERS + 1
    (rest,) = [entry for entry in found if entry["actor"] == "others"]
    assert (rest["actor_name"], rest["detail"]["times"]) == (None, 9 * MOST_CALLERS)
    assert len(await entries(control, quiet["tenant_id"])) == 1


async def test_what_a_database_that_is_away_did_not_take_is_told_later(
    control: Control, told: Tell, database: TestDatabase
) -> None:
    project = await control.project()
    away = RefusalStore(make_conninfo(database.url(roles.LEDGER), dbname="nowhere"), uuid4())
    there = RefusalStore(database.url(roles.LEDGER), uuid4())
    now = [NOW_US - 600_000_000]
    gateway = Refusals(away, Metrics(), now_us=lambda: now[0])
    gateway.note(tried(somebody(project)))
    await gateway.flush()
    now[0] = NOW_US
    await gateway.flush()
    gateway._store = there
    await gateway.flush()
    await told()
    (entry,) = await entries(control, project["tenant_id"])
    assert entry["detail"]["from"] == "2026-11-21T11:48:00Z"
    await there.aclose()
    await away.aclose()


def test_what_is_over_and_told_is_forgotten() -> None:
    crossings = Crossings()
    crossings.count(Crosser(None, None, "user", "ann"), OUTSIDE, NOW_US)
    assert len(crossings.take(NOW_US)) == 1
    assert crossings.take(NOW_US + 600_000_000) == []
    assert (len(crossings._counts), len(crossings._callers)) == (0, 0)


@pytest.mark.parametrize(
    ("code", "step", "expected"),
    [
        (Code.NOT_A_MEMBER, Step.ORGANIZATION, True),
        (Code.ACT_AS_NOT_ALLOWED, Step.END_USER, True),
        (Code.FORBIDDEN, Step.ORGANIZATION, True),
        (Code.FORBIDDEN, Step.PERMISSION, False),
        (Code.USER_BLOCKED, Step.END_USER, False),
        (Code.RATE_LIMITED, Step.LIMITS, False),
    ],
)
def test_a_crossing_turns_to_what_is_anothers(code: Code, step: Step, expected: bool) -> None:
    assert is_crossing(code, step) is expected
