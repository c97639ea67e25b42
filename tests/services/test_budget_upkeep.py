"""Reached shares of budgets are told once, in the log of their tenant; windows that are over are forgotten."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bailiwick.domain.budget_terms import sessions_of, user_subject
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
    entry = {"unit": "usd", "limit": "10.00", "used": "8.00", "scope": "project", "target": first, "at": ""}
    assert await warnings(control, projects[0]) == [{**entry, "percent": share} for share in (80, 50)]
    assert await warnings(control, projects[1]) == [
        {
            "percent": 100, "unit": "tokens", "limit": 100, "used": 120, "scope": "user", "id": "ann: of b",
            "project": projects[1]["id"], "target": each, "at": "",
        }
    ]  # fmt: skip


async def told(database: TestDatabase, webhook: dict[str, Any]) -> list[tuple[UUID, dict[str, Any]]]:
    """The events that wait at a webhook, each with its id and data, in the order of shares and budgets."""
    found = database.rows(
        "SELECT event_id, event, body FROM bailiwick.webhook_deliveries WHERE webhook_id = %s",
        uuid_of("whk", webhook["id"]),
    )
    assert {event for _, event, _ in found} <= {"budget.warning"}
    events = [(event_id, json.loads(body)["data"]) for event_id, _, body in found]
    return sorted(events, key=lambda event: (event[1]["percent"], event[1]["budget_id"]))


async def webhook(control: Control, tenant_id: str, *events: str) -> dict[str, Any]:
    asked = {"name": "Hook", "url": "https://billing.example/hook", "events": events or ["budget.warning"]}
    return await control.make(f"/tenants/{tenant_id}/webhooks", **asked)


async def test_webhooks_of_the_tenant_that_subscribed_are_told_once_of_each_share(
    control: Control, database: TestDatabase, upkeep: Database
) -> None:
    projects = [await control.project() for _ in range(2)]
    tenants = [project["tenant_id"] for project in projects]
    hooks = [await webhook(control, tenants[0]) for _ in range(2)]
    others = [await webhook(control, tenants[1]), await webhook(control, tenants[0], "usage.hour")]
    one = await budget(control, projects[0])
    for share in (50, 80):
        reach(database, projects[0], one, share)
    for _ in range(2):
        await tell_reached(upkeep, control.plane.acts)
    first, second = [await told(database, hook) for hook in hooks]
    assert first == second
    assert [data["percent"] for _, data in first] == [50, 80]
    assert len({event_id for event_id, _ in first}) == 2
    assert first[1][1] == {
        "tenant_id": tenants[0], "budget_id": one, "percent": 80, "limit": {"usd": "10.00"}, "used": {"usd": "8.00"},
        "scope": "project", "project_id": projects[0]["id"], "user_id": None, "session_id": None, "key_id": None,
    }  # fmt: skip
    assert [await told(database, hook) for hook in others] == [[], []]


async def test_webhooks_are_told_whom_a_budget_counts(
    control: Control, database: TestDatabase, upkeep: Database
) -> None:
    project = await control.project()
    _, project_id = identity(project)
    place = ProjectId(project_id)
    hook = await webhook(control, project["tenant_id"])
    key = await control.make(f"/projects/{project['id']}/keys", name="k")
    texts = {
        "user": user_subject(place, "ann: of b"), "session": f"{sessions_of(place, 'ann')}s-1",
        "key": uuid_of("key", key["id"]).hex,
    }  # fmt: skip
    for scope, text in texts.items():
        each = await budget(control, project, scope=scope, subject="*", limit={"tokens": 100})
        reach(database, project, each, 100, subject=text, in_tokens=True, lim=100, settled=120)
    named = await budget(control, project, scope="user", subject="bob")
    reach(database, project, named, 50)
    await tell_reached(upkeep, control.plane.acts)
    names = ("scope", "project_id", "user_id", "session_id", "key_id")
    found = [tuple(data[name] for name in names) for _, data in await told(database, hook)]
    assert found == [
        ("user", project["id"], "bob", None, None),
        ("user", project["id"], "ann: of b", None, None),
        ("session", project["id"], "ann", "s-1", None),
        ("key", project["id"], None, None, key["id"]),
    ]


async def test_an_erased_user_is_in_no_warning_any_more(
    control: Control, database: TestDatabase, upkeep: Database
) -> None:
    project = await control.project()
    _, project_id = identity(project)
    place = ProjectId(project_id)
    hook = await webhook(control, project["tenant_id"])
    for scope, uid in (("user", "ann"), ("user", "bob"), ("session", "ann")):
        text = user_subject(place, uid) if scope == "user" else f"{sessions_of(place, uid)}s-1"
        reach(database, project, await budget(control, project, scope=scope, subject="*"), 50, subject=text)
    await tell_reached(upkeep, control.plane.acts)
    erased = (await control.ask("DELETE", f"/projects/{project['id']}/users/ann")).json()["pseudonym"]
    found = [(data["user_id"], data["session_id"]) for _, data in await told(database, hook)]
    assert found == [(erased, None), ("bob", None), (erased, None)]


async def test_what_cannot_be_put_into_the_outbox_is_not_told_at_all_yet(
    control: Control, database: TestDatabase, upkeep: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = await control.project()
    hook = await webhook(control, project["tenant_id"])
    one = await budget(control, project)
    reach(database, project, one, 50)

    def lost(*_: object, **_named: object) -> str:
        raise LookupError

    with monkeypatch.context() as patch:
        patch.setattr(budget_upkeep, "event_body", lost)
        with pytest.raises(LookupError):
            await tell_reached(upkeep, control.plane.acts)
    assert await warnings(control, project) == []
    await tell_reached(upkeep, control.plane.acts)
    assert len(await warnings(control, project)) == len(await told(database, hook)) == 1


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
    (entry,) = await warnings(control, project)
    assert (entry["scope"], entry["id"]) == ("user", "bob")


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
