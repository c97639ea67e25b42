"""`/admin/v1/projects/{id}/users`: who called, how much, when last; and blocking, of whoever it may be."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from bailiwick.domain.end_users import LastSeen
from bailiwick.services import end_users
from tests.apps.admin.test_usage import identity, some_calls, told, usage
from tests.control import UNKNOWN, Audit, Control
from tests.database import TestDatabase
from tests.ledger import Call, settle

NOVEMBER = "from=2026-11-01T00:00:00Z&to=2026-12-01T00:00:00Z"
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
ODD = [
    "a/b",
    "/",
    "..",
    "a b",
    "%41",
    "ä\u0308 🦊",
    "+",
    "?x=1#y",
    "'; DROP TABLE users --",
    "<b>",
    "x" * 255,
    "users/a",
]


def at(project: dict[str, Any], uid: str) -> str:
    return f"/projects/{project['id']}/users/{quote(uid, safe='').replace('.', '%2E')}"


async def pages(control: Control, project: dict[str, Any], query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    after = ""
    while True:
        page = await control.read(f"/projects/{project['id']}/users?{NOVEMBER}&{query}{after}")
        found += page["data"]
        if not page["has_more"]:
            assert page["next"] is None
            return found
        after = f"&after={page['next']}"


async def test_users_are_listed_by_when_they_were_last_seen_with_what_they_used(
    control: Control, database: TestDatabase
) -> None:
    project, other = await control.project(), await control.project()
    calls = some_calls(300, seed=5)
    settle(database, *identity(project), calls)
    settle(database, *identity(other), some_calls(30, seed=6))
    by_user: dict[str, list[Call]] = {}
    for call in calls:
        if call.uid is not None:
            by_user.setdefault(call.uid, []).append(call)
    last = {uid: max(call.opened_at for call in mine) for uid, mine in by_user.items()}
    for limit in (1, 2, 200):
        found = await pages(control, project, f"limit={limit}")
        assert [user["uid"] for user in found] == sorted(last, key=lambda uid: (last[uid], uid), reverse=True)
        for user in found:
            rest = {name: user.pop(name) for name in ("project_id", "uid", "blocked", "blocked_at", "blocked_by")}
            assert rest == {
                "project_id": project["id"], "uid": rest["uid"], "blocked": False, "blocked_at": None,
                "blocked_by": None,
            }  # fmt: skip
            assert user.pop("last_seen") == last[rest["uid"]].isoformat().replace("+00:00", "Z")
            assert told(user) == usage(by_user[rest["uid"]])


async def test_users_of_one_moment_are_each_listed_once(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    settle(database, *identity(project), [Call(opened_at=NOON, uid=f"u{number}") for number in range(7)])
    found = [user["uid"] for user in await pages(control, project, "limit=2")]
    assert found == [f"u{number}" for number in reversed(range(7))]


async def test_a_list_can_be_of_those_whose_id_begins_so(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    uids = ["ann", "anna", "Ann", "a%n", "an_", "bob", "ä"]
    settle(database, *identity(project), [Call(opened_at=NOON, uid=uid) for uid in uids])
    for prefix, expected in {
        "an": {"ann", "anna", "an_"},
        "a%": {"a%n"},
        "an_": {"an_"},
        "ä": {"ä"},
        "x": set(),
    }.items():
        assert {user["uid"] for user in await pages(control, project, f"prefix={quote(prefix)}&limit=1")} == expected


async def test_numbers_are_those_of_the_span_and_last_seen_is_not(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    opened = [NOON - timedelta(days=40), NOON]
    settle(database, *identity(project), [Call(opened_at=moment, uid="ann") for moment in opened])
    user = await control.read(f"{at(project, 'ann')}?from=2026-10-01T00:00:00Z&to=2026-10-02T00:00:00Z")
    assert (user["requests"], user["last_seen"], user["latency_p50_ms"]) == (1, "2026-11-10T12:00:00Z", 1)
    assert (await control.read(at(project, "ann")))["requests"] == 1


async def test_whoever_never_called_is_a_user_who_used_nothing(control: Control) -> None:
    project = await control.project()
    user = await control.read(at(project, "nobody"))
    assert (user["uid"], user["requests"], user["last_seen"], user["blocked"]) == ("nobody", 0, None, False)
    assert await pages(control, project, "") == []


@pytest.mark.parametrize("uid", ODD)
async def test_any_id_has_an_address(control: Control, database: TestDatabase, uid: str) -> None:
    project = await control.project()
    settle(database, *identity(project), [Call(opened_at=NOON, uid=uid)])
    changed = await control.change(at(project, uid), blocked=True)
    assert (changed["uid"], changed["blocked"], changed["requests"]) == (uid, True, 1)
    assert (await control.read(at(project, uid)))["uid"] == uid
    assert [user["uid"] for user in await pages(control, project, "")] == [uid]


@pytest.mark.parametrize("address", ["%ff", "%C3", "%00", "a%0a", "", "x" * 256])
async def test_what_can_be_nobodys_id_is_not_found(control: Control, address: str) -> None:
    project = await control.project()
    for method in ("GET", "PATCH"):
        answer = await control.ask(
            method, f"/projects/{project['id']}/users/{address}", {} if method == "PATCH" else None
        )
        assert answer.status_code == 404


async def test_somebody_who_never_called_can_be_blocked_and_is_listed(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    settle(database, *identity(project), [Call(opened_at=NOON, uid="seen")])
    user = await control.change(at(project, "unseen"), blocked=True)
    assert (user["blocked"], user["blocked_by"], user["last_seen"]) == (True, control.operator_id, None)
    assert user["blocked_at"].startswith("2026-11-21T12:")
    assert [user["uid"] for user in await pages(control, project, "limit=1")] == ["seen", "unseen"]
    assert [user["uid"] for user in await pages(control, project, "blocked=true")] == ["unseen"]
    user = await control.change(at(project, "unseen"), blocked=False)
    assert (user["blocked"], user["blocked_at"], user["blocked_by"]) == (False, None, None)
    assert await pages(control, project, "blocked=true") == []


async def test_blocking_is_audited_and_blocking_again_changes_nothing(control: Control, audit: Audit) -> None:
    project = await control.project()
    first = await control.change(at(project, "ann"), blocked=True)
    assert await control.change(at(project, "ann"), blocked=True) == first
    assert await control.change(at(project, "ann")) == first
    await control.change(at(project, "ann"), blocked=None)
    entries = [entry for entry in audit(project["id"]) if entry.action.startswith("user.")]
    assert [(entry.action, entry.detail["uid"], entry.detail["after"]) for entry in entries] == [
        ("user.block", "ann", {"blocked": True}),
        ("user.unblock", "ann", {"blocked": False}),
    ]


async def test_a_version_is_of_the_block_and_not_of_what_goes_on(control: Control, database: TestDatabase) -> None:
    project = await control.project()
    before = await control.ask("GET", at(project, "ann"))
    settle(database, *identity(project), [Call(opened_at=NOON, uid="ann")])
    after = await control.ask("GET", at(project, "ann"))
    assert (before.headers["etag"] == after.headers["etag"], before.json() == after.json()) == (True, False)
    seen = {"if-match": after.headers["etag"]}
    assert (await control.ask("PATCH", at(project, "ann"), {"blocked": True}, headers=seen)).status_code == 200
    assert (await control.ask("PATCH", at(project, "ann"), {"blocked": False}, headers=seen)).status_code == 412


async def test_no_more_can_be_blocked_than_processes_keep_in_mind(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(end_users, "MAX_BLOCKED", 2)
    project, other = await control.project(), await control.project()
    for uid in ("a", "b"):
        await control.change(at(project, uid), blocked=True)
    assert (await control.refused("PATCH", at(project, "c"), {"blocked": True}))[0] == 409
    await control.change(at(other, "c"), blocked=True)
    await control.change(at(project, "a"), blocked=False)
    await control.change(at(project, "c"), blocked=True)


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("after=x", "after"), ("after=MT0", "after"), ("blocked=false", "blocked"),
     ("blocked=1", "blocked"), ("prefix=%00", "prefix"), ("prefix=" + "x" * 256, "prefix"), ("from=x", "from"),
     ("group_by=day", "group_by"), ("uid=a", "uid"), ("after=" + "OTk5OTk5OTk5OTk5OTk5OTk5OTk5PWE", "after")],
)  # fmt: skip
async def test_questions_that_cannot_be_are_refused(control: Control, query: str, field: str) -> None:
    project = await control.project()
    assert set(await control.wrong_fields("GET", f"/projects/{project['id']}/users?{query}", None)) == {field}


@pytest.mark.parametrize("body", [{"blocked": "yes"}, {"blocked": 1}, {"uid": "x"}, {"name": "x"}, {"requests": 0}])
async def test_only_being_blocked_can_be_changed(control: Control, body: dict[str, Any]) -> None:
    project = await control.project()
    assert set(await control.wrong_fields("PATCH", at(project, "ann"), body)) == set(body)


async def test_an_unknown_project_has_no_users(control: Control) -> None:
    unknown = {"id": UNKNOWN["prj"]}
    for method, path in (
        ("GET", f"/projects/{unknown['id']}/users"),
        ("GET", at(unknown, "a")),
        ("PATCH", at(unknown, "a")),
    ):
        assert (await control.ask(method, path, {"blocked": True} if method == "PATCH" else None)).status_code == 404


def test_a_cursor_is_read_as_it_was_written() -> None:
    for uid in ODD:
        cursor = LastSeen(at=NOON + timedelta(microseconds=1), uid=uid)
        assert LastSeen.read(cursor.written()) == cursor
