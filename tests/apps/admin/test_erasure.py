"""`DELETE …/users/{uid}`: a pseudonym in the place of a user, wherever the database has one; amounts stay."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import psycopg
import pytest

from bailiwick.domain import ids
from bailiwick.domain.budget_terms import read_subject, sessions_of, user_subject
from bailiwick.domain.budgets import BudgetScope
from bailiwick.domain.ids import ProjectId
from bailiwick.storage.roll_up import RollUp
from tests.apps.admin.test_usage import NOVEMBER, START, identity, some_calls
from tests.control import Control, controlled
from tests.database import TestDatabase
from tests.ledger import Call, settle


async def roll_up(control: Control) -> None:
    follow = RollUp(control.plane.usage._database)
    while await follow.step():
        pass


async def totals(control: Control, place: str) -> object:
    return (await control.read(f"{place}/usage?{NOVEMBER}"))["total"]


def tables_with(database: TestDatabase, text: str) -> set[str]:
    """Every table that has a text anywhere, partitions by their own names."""
    with database.connect() as superuser:
        names = superuser.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'bailiwick'").fetchall()
        return {
            str(name)
            for (name,) in names
            if superuser.execute(
                psycopg.sql.SQL("SELECT 1 FROM bailiwick.{} t WHERE t::text LIKE %s LIMIT 1").format(
                    psycopg.sql.Identifier(str(name))
                ),
                (f"%{text}%",),
            ).fetchone()
        }


@pytest.mark.parametrize("counted", ["before", "after", "half"])
async def test_nothing_names_an_erased_user_any_more_and_every_amount_stays(
    scratch: TestDatabase, counted: str
) -> None:

    async with controlled(scratch) as control:
        project = await control.project()
        own, place = identity(project), f"/projects/{project['id']}"
        theirs = [
            Call(opened_at=START + timedelta(hours=hour), uid="Zoë-canary", sid="canary-session", cost_nano=hour)
            for hour in (1, 2, 400)
        ]
        settle(scratch, *own, some_calls(30, seed=3))
        settle(scratch, *own, theirs[:2])
        if counted == "half":
            await roll_up(control)
        settle(scratch, *own, theirs[2:])
        if counted == "before":
            await roll_up(control)
        before = await totals(control, place)
        erased = (await control.ask("DELETE", f"{place}/users/Zo%C3%AB-canary")).json()
        assert erased["calls"] == 3
        assert "canary" not in erased["pseudonym"]
        await roll_up(control)
        assert await totals(control, place) == before
        assert tables_with(scratch, "canary") == set()
        group = await control.read(f"{place}/users/{erased['pseudonym']}?{NOVEMBER}")
        assert (group["requests"], group["cost_usd"]) == (3, "0.000000403")
        entry = (await control.read(f"/tenants/{project['tenant_id']}/audit"))["data"][0]
        assert (entry["action"], entry["target"], entry["detail"]) == ("user.erase", project["id"], erased)


async def test_only_the_user_of_that_project_is_erased(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant()
    projects = [await control.make(f"/tenants/{tenant['id']}/projects", name=name) for name in ("a", "b")]
    for project in projects:
        settle(database, *identity(project), [Call(opened_at=START, uid=uid) for uid in ("ann", "ANN", "ann ", "bob")])
    assert (await control.ask("DELETE", f"/projects/{projects[0]['id']}/users/ann")).json()["calls"] == 1
    for project, left in zip(projects, (["ANN", "ann ", "bob"], ["ANN", "ann", "ann ", "bob"]), strict=True):
        groups = (await control.read(f"/projects/{project['id']}/usage?{NOVEMBER}&group_by=user"))["data"]
        assert [group["key"] for group in groups if not group["key"].startswith("erased-")] == left


async def test_a_call_that_is_open_while_its_user_is_erased_settles_under_the_pseudonym(
    control: Control, database: TestDatabase
) -> None:
    project = await control.project()
    tenant_id, project_id = identity(project)
    call = ids.uuid7(1_700_000_000_000, b"erased-one")
    with database.connect() as superuser:
        superuser.execute(
            "INSERT INTO bailiwick.open_calls (id, tenant_id, project_id, process_id, opened_at, uid, sid, provider,"
            " model, streamed, input_estimate) VALUES (%s, %s, %s, %s, now(), 'ann', 's', 'p', 'm', false, 1)",
            (call, tenant_id, project_id, UUID(int=1)),
        )
        erased = (await control.ask("DELETE", f"/projects/{project['id']}/users/ann")).json()
        row = superuser.execute("SELECT uid, sid FROM bailiwick.open_calls WHERE id = %s", (call,)).fetchone()
        assert row == (erased["pseudonym"], None)


async def test_what_is_rolled_up_meanwhile_does_not_bring_the_name_back(
    control: Control, database: TestDatabase
) -> None:
    project = await control.project()
    settle(database, *identity(project), [Call(opened_at=START, uid="ann")])
    with database.connect() as superuser:
        superuser.execute("BEGIN")
        superuser.execute("SELECT pg_advisory_xact_lock(x'726f6c6c'::bigint)")
        erasing = asyncio.create_task(control.ask("DELETE", f"/projects/{project['id']}/users/ann"))
        await asyncio.wait([erasing], timeout=0.3)
        assert not erasing.done()
        superuser.execute("COMMIT")
    assert (await erasing).json()["calls"] == 1


async def test_what_was_taken_away_from_a_user_stays_taken_away(control: Control) -> None:
    project = await control.project()
    user = f"/projects/{project['id']}/users/mallory"
    await control.change(user, blocked=True)
    version = (await control.ask("GET", user)).headers["etag"]
    assert (await control.refused("DELETE", user, headers={"if-match": '"another"'}))[0] == 412
    assert (await control.ask("DELETE", user, headers={"if-match": version})).status_code == 200
    assert (await control.read(user))["blocked"] is True


async def test_what_budgets_have_counted_for_a_user_stays_under_the_pseudonym(
    control: Control, database: TestDatabase
) -> None:
    project = await control.project()
    tenant_id, project_id = identity(project)
    own = ProjectId(project_id)
    subjects = [
        user_subject(own, "ann"),
        user_subject(own, "anna"),
        sessions_of(own, "ann") + "s1",
        sessions_of(own, "bo") + "s1",
    ]
    with database.connect() as superuser:
        for number, subject in enumerate(subjects, start=1):
            superuser.execute(
                "INSERT INTO bailiwick.budget_slices (tenant_id, budget_id, counted, subject, slice, span, in_tokens,"
                " lim, settled) VALUES (%s, %s, '', %s, 0, 0, true, 9, %s)",
                (tenant_id, project_id, subject, number),
            )
        name = (await control.ask("DELETE", f"/projects/{project['id']}/users/ann")).json()["pseudonym"]
        rows = superuser.execute(
            "SELECT subject FROM bailiwick.budget_slices WHERE tenant_id = %s ORDER BY settled", (tenant_id,)
        ).fetchall()
    found = [str(subject) for (subject,) in rows]
    assert (found[0], found[1], found[3]) == (user_subject(own, name), subjects[1], subjects[3])
    session = read_subject(BudgetScope.SESSION, found[2])
    assert session.uid == name
    assert "s1" not in session.id
