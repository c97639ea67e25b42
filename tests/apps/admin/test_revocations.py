"""`/admin/v1/projects/{id}/revocations`: what was taken away before its time."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain import ids
from tests.control import UNKNOWN, Audit, Control
from tests.database import TestDatabase


async def place(control: Control) -> str:
    """The address of a new project's revocations."""
    return f"/projects/{(await control.project())['id']}/revocations"


@pytest.mark.parametrize(("field", "kind"), [("jti", "token"), ("session_id", "session"), ("user_id", "user")])
async def test_what_is_taken_away_is_told_and_stays_so(
    control: Control, database: TestDatabase, audit: Audit, field: str, kind: str
) -> None:
    path = await place(control)
    answer = await control.ask("POST", path, {field: "größe/7"})
    revocation = answer.json()
    own = f"{path}/{revocation['id']}"
    assert (answer.status_code, answer.headers["location"]) == (201, f"/admin/v1{own}")
    assert revocation == {
        "id": revocation["id"],
        "tenant_id": revocation["tenant_id"],
        "project_id": path.split("/")[2],
        **dict.fromkeys(("jti", "session_id", "user_id")),
        field: "größe/7",
        "created_at": "2026-11-21T12:00:02Z",
        "created_by": control.operator_id,
    }
    assert await control.read(own) == revocation
    assert (await control.read(path))["data"] == [revocation]
    for method in ("PATCH", "DELETE"):
        assert (await control.ask(method, own)).status_code == 405
    stored = database.rows(
        "SELECT kind, value FROM bailiwick.revocations WHERE id = %s", ids.parsed(ids.REVOCATION, revocation["id"])
    )
    assert stored == [(kind, "größe/7")]
    (entry,) = audit(revocation["id"])
    assert (entry.action, entry.actor, entry.detail) == (
        "revocation.create", control.operator_id, {"after": revocation},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "jti"),
        ({"jti": None}, "jti"),
        ({"jti": "a", "user_id": "b"}, "jti"),
        ({"jti": "a", "session_id": "b", "user_id": "c"}, "jti"),
        ({"jti": ""}, "jti"),
        ({"session_id": "x" * 256}, "session_id"),
        ({"user_id": "a\tb"}, "user_id"),
        ({"user_id": 7}, "user_id"),
        ({"token": "a"}, "token"),
    ],
)
async def test_a_revocation_names_exactly_one_thing(control: Control, body: dict[str, Any], field: str) -> None:
    path = await place(control)
    assert list(await control.wrong_fields("POST", path, body)) == [field]
    assert (await control.read(path))["data"] == []


async def test_revocations_are_listed_in_pages(control: Control) -> None:
    path = await place(control)
    made = [await control.make(path, user_id="u") for _ in range(3)]
    page = await control.read(f"{path}?limit=2")
    assert (page["data"], page["has_more"]) == (made[:2], True)
    assert (await control.read(f"{path}?limit=2&after={page['next']}"))["data"] == made[2:]


async def test_nothing_is_taken_away_from_no_project(control: Control) -> None:
    path = f"/projects/{UNKNOWN['prj']}/revocations"
    assert (await control.refused("GET", path))[0] == 404
    assert (await control.refused("POST", path, {"jti": "a"}))[0] == 404
