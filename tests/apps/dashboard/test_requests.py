"""Why a call went as it went, on a page: the decisions in plain words, and what to do; nothing of another tenant."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from bailiwick.domain import ids
from tests.apps.dashboard.test_usage import parsed
from tests.dashboard import Answered, Browser
from tests.database import TestDatabase
from tests.ledger import Call, settle

NOW: Final = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
REASON: Final = "The user's rate limit is reached. See Retry-After."
PAGE: Final = "/dashboard/requests"


def refuse(database: TestDatabase, project: dict[str, Any], number: int = 0, uid: str | None = "ada") -> str:
    """A call that met its user's limit `number` minutes ago; the id of its request."""
    at = NOW - timedelta(minutes=number)
    call = ids.uuid7(int(at.timestamp() * 1000), uuid4().bytes[:10])
    database.run(
        "INSERT INTO bailiwick.refused_calls"
        " VALUES (%s, %s, %s, %s, %s, %s, NULL, %s, 429, 'rate_limited', 'limits', %s)",
        call, parsed("ten", project["tenant_id"]), parsed("prj", project["id"]), uuid4(), at, uid,
        "/v1/chat/completions", REASON,
    )  # fmt: skip
    return f"req_{call.hex}"


async def test_a_refused_call_is_explained_with_what_to_do(browser: Browser, database: TestDatabase) -> None:
    project = await browser.control.project()
    answer = await browser.get(f"{PAGE}?id={refuse(database, project)}")
    assert answer.status == 200
    assert "This call was refused 429 rate_limited" in answer.text
    said = answer.text.index
    assert said("Model : passed") < said(f"Limits : refused {REASON}") < said("Provider : not reached")
    assert "raise the limit" in answer.text
    own = f"/dashboard/projects/{project['id']}"
    assert {f"{own}/limits", f"{own}/users/one?uid=ada", own} <= set(answer.page.links)


async def test_an_answered_call_is_explained_with_what_it_took(browser: Browser, database: TestDatabase) -> None:
    project = await browser.control.project()
    call = Call(opened_at=NOW, input_tokens=1_234, output_tokens=56, cost_nano=2_500_000, latency_ms=1_200)
    settle(database, parsed("ten", project["tenant_id"]), parsed("prj", project["id"]), [call])
    with database.connect() as connection:
        query = b"SELECT id FROM bailiwick.ledger WHERE project_id = %s"
        ((found,),) = connection.execute(query, (parsed("prj", project["id"]),)).fetchall()
    answer = await browser.get(f"{PAGE}?id=req_{found.hex}")
    assert "This call was answered" in answer.text
    assert "Provider : passed openai/gpt-4o was asked. The answer came to its end." in answer.text
    assert "Tokens 1,234 read, 56 written Cost $0.0025 Took 1.2 s" in answer.text
    assert "User Nobody named" in answer.text


def shown(answer: Answered) -> str:
    """All of a page but what is the visitor's own."""
    return answer.page.html.partition("<main")[2].partition("</main>")[0]


async def test_an_id_of_another_tenant_is_answered_as_an_unknown_one(browser: Browser, database: TestDatabase) -> None:
    project, other = await browser.control.project(), await browser.control.tenant("Other")
    stranger, asked = browser.as_("owner", other["id"]), refuse(database, project)
    foreign, unknown = await stranger.get(f"{PAGE}?id={asked}"), await stranger.get(f"{PAGE}?id=req_{uuid4().hex}")
    assert foreign.status == unknown.status == 404
    nobody = "req_" + "0" * 32
    assert shown(foreign).replace(asked, nobody) == shown(await stranger.get(f"{PAGE}?id={nobody}"))
    assert (await browser.as_("viewer", project["tenant_id"]).get(f"{PAGE}?id={asked}")).status == 200


@pytest.mark.parametrize("asked", ["x", "req_", "req_" + "g" * 32, "%3Cb%3E", "req_" + "0" * 33])
async def test_an_id_that_nobody_knows_is_met_with_reasons(browser: Browser, asked: str) -> None:
    answer = await browser.get(f"{PAGE}?id={asked}")
    assert answer.status == 404
    assert "No call with this id" in answer.text
    assert "try again" in answer.text


async def test_the_newest_refusals_are_listed_each_with_its_explanation(
    browser: Browser, database: TestDatabase
) -> None:
    project, other = await browser.control.project(), await browser.control.project()
    first, second = refuse(database, project, 2), refuse(database, project, 1, uid="grace")
    foreign = refuse(database, other)
    own = browser.as_("viewer", project["tenant_id"])
    listed = await own.get(PAGE)
    assert [link.partition("?id=")[2] for link in listed.page.links if "?id=" in link] == [second, first]
    assert "1 minute ago : explain this call rate_limited" in listed.text
    assert foreign not in (await browser.get(f"{PAGE}?tenant={project['tenant_id']}")).page.html
    narrowed = await own.get(f"{PAGE}?project={project['id']}&user=grace")
    assert first not in narrowed.page.html
    assert second in narrowed.page.html
    later = await own.get(f"{PAGE}?after={second}")
    assert (second in shown(later), first in shown(later)) == (False, True)
    assert (await own.get(f"{PAGE}?tenant={other['tenant_id']}")).status == 404
    assert (await own.get(f"{PAGE}?user=%00")).status == 404


async def test_without_a_refusal_the_page_says_what_would_show(browser: Browser) -> None:
    project = await browser.control.project()
    assert "No call was refused" in (await browser.as_("viewer", project["tenant_id"]).get(PAGE)).text
