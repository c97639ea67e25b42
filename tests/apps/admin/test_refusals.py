"""`/admin/v1/…/refusals`: refused calls over time, by project and code."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest

from tests.apps.admin.test_usage import identity
from tests.control import UNKNOWN, Control
from tests.database import TestDatabase


def count(database: TestDatabase, project: dict[str, Any], hour: str, code: str, refused: int) -> UUID:
    """What a process told of an hour."""
    process = uuid4()
    database.run(
        "INSERT INTO bailiwick.usage_refusals VALUES (%s, %s, %s, %s, %s, %s)",
        *identity(project), hour, code, process, refused,
    )  # fmt: skip
    return process


async def test_refusals_are_counted_by_the_hour_and_by_the_day(control: Control, database: TestDatabase) -> None:
    first, stranger = await control.project(), await control.project()
    second = await control.make(f"/tenants/{first['tenant_id']}/projects", name="Second")
    count(database, first, "2026-11-20T10:00:00Z", "rate_limited", 3)
    count(database, first, "2026-11-20T10:00:00Z", "rate_limited", 4)
    count(database, first, "2026-11-20T10:00:00Z", "forbidden", 1)
    count(database, first, "2026-11-20T12:00:00Z", "rate_limited", 5)
    count(database, second, "2026-11-20T12:00:00Z", "rate_limited", 7)
    count(database, stranger, "2026-11-20T12:00:00Z", "rate_limited", 100)

    def told(report: dict[str, Any]) -> list[tuple[Any, ...]]:
        return [(one["at"], one["project_id"], one["code"], one["requests"]) for one in report["data"]]

    day = "from=2026-11-20T09:30:00Z&to=2026-11-20T12:30:00Z"
    hourly = await control.read(f"/projects/{first['id']}/refusals?{day}")
    assert (hourly["from"], hourly["to"], hourly["step"]) == ("2026-11-20T09:00:00Z", "2026-11-20T13:00:00Z", "hour")
    assert told(hourly) == [
        ("2026-11-20T10:00:00Z", first["id"], "forbidden", 1),
        ("2026-11-20T10:00:00Z", first["id"], "rate_limited", 7),
        ("2026-11-20T12:00:00Z", first["id"], "rate_limited", 5),
    ]
    daily = await control.read(f"/tenants/{first['tenant_id']}/refusals")
    assert daily["step"] == "day"
    assert sorted(told(daily)) == sorted([
        ("2026-11-20T00:00:00Z", first["id"], "forbidden", 1),
        ("2026-11-20T00:00:00Z", first["id"], "rate_limited", 12),
        ("2026-11-20T00:00:00Z", second["id"], "rate_limited", 7),
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("query", "field"),
    [("from=x", "from"), ("to=x", "to"), ("from=2020-01-01T00:00:00Z", "from"), ("group_by=day", "group_by")],
)
async def test_questions_that_cannot_be_are_refused(control: Control, query: str, field: str) -> None:
    project = await control.project()
    assert set(await control.wrong_fields("GET", f"/projects/{project['id']}/refusals?{query}", None)) == {field}


async def test_an_unknown_project_has_no_refusals(control: Control) -> None:
    assert (await control.ask("GET", f"/projects/{UNKNOWN['prj']}/refusals")).status_code == 404
