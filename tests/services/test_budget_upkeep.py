"""Reached shares of budgets are told once, in the log of their tenant; windows that are over are forgotten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from bailiwick.domain.budget_terms import user_subject
from bailiwick.domain.ids import ProjectId
from bailiwick.services import budget_upkeep
from bailiwick.services.budget_upkeep import forget_ended, tell_reached
from bailiwick.storage import roles
from bailiwick.storage.scope import Database, open_pool
from tests.apps.admin.test_usage import identity
from tests.control import Control
from tests.database import TestDatabase
from tests.serving import uuid_of


@pytest.fixture
async def upkeep(database: TestDatabase) -> AsyncIterator[Database]:
    async with open_pool(database.url(roles.CONTROL), name="test", size=1) as pool:
        yield Database(pool)


def reach(database: TestDatabase, project: dict[str, Any], budget: str, share: int, **fields: object) -> None:
    tenant_id, _ = identity(project)
    values = {"subject": "", "in_tokens": False, "lim": 10_000_000_000, "settled": 8_000_000_000, **fields}
    with database.connect() as superuser:
        superuser.execute(
            "INSERT INTO bailiwick.budget_events (tenant_id, budget_id, subject, slice, share, in_tokens, lim, settled)"
            " VALUES (%s, %s, %s, 0, %s, %s, %s, %s)",
            (
                tenant_id,
                uuid_of("bud", budget),
                values["subject"],
                share,
                values["in_tokens"],
                values["lim"],
                values["settled"],
            ),
        )


async def warnings(control: Control, project: dict[str, Any]) -> list[dict[str, Any]]:
    entries = await control.read(f"/tenants/{project['tenant_id']}/audit?action=budget.warning")
    return [{**entry["detail"], "target": entry["target"], "at": ""} for entry in entries["data"]]


async def budget(control: Control, project: dict[str, Any], **fields: object) -> str:
    asked = {"scope": "project", "limit": {"usd": "10"}, "window": "month", **fields}
    return str((await control.make(f"/projects/{project['id']}/budgets", **asked))["id"])


async def test_each_share_is_told_once_in_the_log_of_its_tenant(
    control: Control, database: TestDatabase, upkeep: Database
) -> None:
    projects = [await control.project() for _ in range(2)]
    first = await budget(control, projects[0])
    each = await budget(control, projects[1], scope="user", subject="*", limit={"tokens": 100})
    for share in (50, 80):
        reach(database, projects[0], first, share)
    _, project_id = identity(projects[1])
    whose = user_subject(ProjectId(project_id), "ann: of b")
    reach(database, projects[1], each, 100, subject=whose, in_tokens=True, lim=100, settled=120)
    for _ in range(2):
        await tell_reached(upkeep, control.plane.acts)
    told = {"unit": "usd", "limit": "10.00", "used": "8.00", "scope": "project", "target": first, "at": ""}
    assert await warnings(control, projects[0]) == [{**told, "percent": share} for share in (80, 50)]
    assert await warnings(control, projects[1]) == [
        {
            "percent": 100, "unit": "tokens", "limit": 100, "used": 120, "scope": "user", "id": "ann: of b",
            "project": projects[1]["id"], "target": each, "at": "",
        }
    ]  # fmt: skip


async def test_however_many_there_are_all_are_told(
    control: Control, database: TestDatabase, upkeep: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await control.project()
    one = await budget(control, project)
    for _ in range(5):
        reach(database, project, one, 50)
    monkeypatch.setattr(budget_upkeep, "_AT_ONCE", 2)
    await tell_reached(upkeep, control.plane.acts)
    assert len(await warnings(control, project)) == 5


async def test_what_a_tiers_budget_or_a_removed_one_counted_is_told_too(
    control: Control, database: TestDatabase, upkeep: Database
) -> None:
    project = await control.project()
    _, project_id = identity(project)
    one = await budget(control, project, scope="user", subject="*")
    reach(database, project, one, 80, subject=user_subject(ProjectId(project_id), "bob"))
    await control.ask("DELETE", f"/projects/{project['id']}/budgets/{one}")
    await tell_reached(upkeep, control.plane.acts)
    (told,) = await warnings(control, project)
    assert (told["scope"], told["id"]) == ("user", "bob")


async def test_windows_that_are_long_over_are_forgotten_unless_a_call_still_holds_something(
    control: Control, database: TestDatabase, upkeep: Database
) -> None:
    tenant_id, project_id = identity(await control.project())
    now = control.clock()
    slices = [(now - timedelta(days=3), 0), (now - timedelta(days=3), 5), (now - timedelta(days=1), 0), (None, 0)]
    with database.connect() as superuser:
        for number, (ends_at, reserved) in enumerate(slices):
            superuser.execute(
                "INSERT INTO bailiwick.budget_slices (tenant_id, budget_id, counted, subject, slice, span, in_tokens,"
                " lim, settled, reserved, ends_at) VALUES (%s, %s, '', '', %s, 0, true, 9, 1, %s, %s)",
                (tenant_id, project_id, number, reserved, ends_at),
            )
        await forget_ended(upkeep, control.plane.acts)
        left = superuser.execute(
            "SELECT slice FROM bailiwick.budget_slices WHERE tenant_id = %s ORDER BY slice", (tenant_id,)
        ).fetchall()
    assert left == [(1,), (2,), (3,)]
