"""A session as the credential of `/admin/v1`: the person's own pages may, nobody else's."""

from __future__ import annotations

import pytest

from tests.control import Audit, Control
from tests.database import TestDatabase
from tests.people import Tab, add_person, signed_in


async def tab(control: Control, database: TestDatabase, **who: str) -> Tab:
    return Tab(control=control, token=(await signed_in(control, add_person(database, **who))).token)  # type: ignore[arg-type]


async def test_a_person_does_by_a_session_what_their_role_may_and_is_named(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    page = await tab(control, database)
    made = await page.ask("POST", "/tenants", {"name": "By hand"}, x_forwarded_for="2001:db8::7")
    assert made.status_code == 201
    (entry,) = audit(made.json()["id"])
    assert entry.actor.startswith("opr_")
    # In the tenant's chain, and in the installation's.
    told = database.rows("SELECT ip, actor_name FROM bailiwick.audit WHERE target = %s", made.json()["id"])
    assert told == [("2001:db8::7", "Ada Lovelace")] * 2
    viewer = await tab(control, database, role="viewer")
    assert (await viewer.ask("GET", "/tenants")).status_code == 200
    assert (await viewer.ask("POST", "/tenants", {"name": "No"})).status_code == 403


@pytest.mark.parametrize(
    "told",
    [
        {"csrf": ""},
        {"csrf": "forged"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "", "origin": "https://evil.example"},
        {"sec_fetch_site": "", "origin": ""},
    ],
)
@pytest.mark.parametrize(("method", "path"), [("POST", "/tenants"), ("DELETE", "/tenants/x"), ("PATCH", "/tenants/x")])
async def test_what_another_site_makes_a_browser_send_is_refused(
    control: Control, database: TestDatabase, told: dict[str, str], method: str, path: str
) -> None:
    page = await tab(control, database)
    answer = await page.ask(method, path, {"name": "Forged"}, **told)  # type: ignore[arg-type]
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    assert "access-control-allow-origin" not in answer.headers


async def test_the_token_of_a_session_that_is_over_or_somebody_elses_is_refused(
    control: Control, database: TestDatabase
) -> None:
    mine, other = await tab(control, database), await tab(control, database)
    sessions = control.plane.person.sessions
    answer = await mine.ask("POST", "/tenants", {"name": "Replayed"}, csrf=sessions.csrf(other.token))
    assert answer.status_code == 403
    answer = await mine.ask("POST", "/tenants", {"name": "Mine"}, csrf=sessions.csrf(mine.token))
    assert answer.status_code == 201


async def test_reading_needs_no_token(control: Control, database: TestDatabase) -> None:
    page = await tab(control, database)
    assert (await page.ask("GET", "/tenants", csrf="", sec_fetch_site="", origin="")).status_code == 200


@pytest.mark.parametrize("token", ["A" * 43, "", "'; DROP TABLE sessions; --", "x" * 5000])
async def test_a_forged_cookie_is_401(control: Control, token: str) -> None:
    answer = await Tab(control=control, token=token).ask("GET", "/tenants")
    assert answer.status_code == 401


async def test_a_session_that_was_ended_is_401_whoever_replays_its_cookie(
    control: Control, database: TestDatabase
) -> None:
    page = await tab(control, database)
    database.run("DELETE FROM bailiwick.sessions")
    answer = await page.ask("GET", "/tenants")
    assert (answer.status_code, answer.json()["code"]) == (401, "invalid_credentials")


async def test_a_cookie_and_a_key_at_once_are_ambiguous(control: Control, database: TestDatabase) -> None:
    page = await tab(control, database)
    answer = await page.ask("GET", "/tenants", authorization="Bearer x")
    assert (answer.status_code, answer.json()["code"]) == (400, "ambiguous_credentials")


async def test_a_cookie_of_the_plain_name_counts_for_nothing_where_there_is_tls(
    control: Control, database: TestDatabase
) -> None:
    page = await tab(control, database)
    answer = await page.ask("GET", "/tenants", cookie=f"bailiwick={page.token}")
    assert answer.status_code == 401
