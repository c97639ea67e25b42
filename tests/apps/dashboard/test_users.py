"""End users in the dashboard: who called lately, one of them, blocked and let in again; ids of all alphabets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from urllib.parse import quote

import pytest

from tests.apps.dashboard.test_usage import charts, parsed
from tests.control import Audit
from tests.dashboard import Browser, done
from tests.database import TestDatabase
from tests.ledger import Call, settle

NOW: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


async def called(browser: Browser, database: TestDatabase, *uids: str) -> tuple[dict[str, Any], str]:
    """A project whose users called, one after the other, an hour apart; and the address of its users."""
    project = await browser.control.project()
    calls = [
        Call(opened_at=NOW - timedelta(hours=1 + number), uid=uid, input_tokens=1_000, latency_ms=7)
        for number, uid in enumerate(uids)
    ]
    settle(database, parsed("ten", project["tenant_id"]), parsed("prj", project["id"]), calls)
    return project, f"/dashboard/projects/{project['id']}/users"


async def test_users_are_listed_the_last_seen_first(browser: Browser, database: TestDatabase) -> None:
    _, address = await called(browser, database, "ada", "grace", "grace")
    answer = await browser.get(address)
    assert answer.text.index("ada 1 1,001 $0.00 7 ms 7 ms 1 hour ago") < answer.text.index("grace 2 2,002")
    assert f"{address}/one?uid=ada" in answer.page.links
    assert "ada" not in (await browser.get(f"{address}?prefix=gr")).text
    assert "Nobody here" in (await browser.get(f"{address}?blocked=true")).text


async def test_nobody_yet_is_told_how_to_name_users(browser: Browser) -> None:
    project = await browser.control.project()
    assert "Send X-End-User-Id with each call" in (await browser.get(f"/dashboard/projects/{project['id']}/users")).text


@pytest.mark.parametrize(
    "uid", ["auth0|abc", "<b>&amp;\"'", "漢字 Ж", "a/b?c#d%20", "é", "e\u0301", " ", "../../admin", "x" * 255]
)
async def test_a_user_is_shown_blocked_and_let_in_again(
    browser: Browser, database: TestDatabase, audit: Audit, uid: str
) -> None:
    project, address = await called(browser, database, uid)
    one = f"{address}/one?uid={quote(uid, safe='')}"
    page = await browser.get(one)
    assert uid in page.page.text or uid.strip() in page.text
    assert sum(charts(page)["Requests"]["series"][0]["values"]) == 1
    form = page.page.form(f"{address}/one")
    assert form.fields["uid"] == [uid]
    answer = await browser.post(form.action, form.fields)
    assert done(answer) == "blocked"
    page = await browser.get(answer.location)
    assert "The user is blocked." in page.text
    assert f"blocked just now by {browser.visitor.operator.shown_id}" in page.text
    listed = await browser.control.read(f"/projects/{project['id']}/users?blocked=true")
    assert [user["uid"] for user in listed["data"]] == [uid]
    form = page.page.form(f"{address}/one")
    assert done(await browser.post(form.action, form.fields)) == "unblocked"
    entries = [entry for entry in audit(project["id"]) if entry.action.startswith("user.")]
    assert [(entry.action, entry.detail["uid"]) for entry in entries] == [("user.block", uid), ("user.unblock", uid)]


async def test_somebody_who_never_called_can_be_blocked(browser: Browser, database: TestDatabase) -> None:
    _, address = await called(browser, database)
    page = await browser.get(f"{address}/one?uid=stranger")
    assert "Never seen" in page.text
    form = page.page.form(f"{address}/one")
    assert done(await browser.post(form.action, form.fields)) == "blocked"


@pytest.mark.parametrize("uid", ["", "%00", "%0a", "%ff", "x" * 256])
async def test_what_can_be_nobodys_id_is_not_found(browser: Browser, database: TestDatabase, uid: str) -> None:
    _, address = await called(browser, database)
    assert (await browser.get(f"{address}/one?uid={uid}")).status == 404
