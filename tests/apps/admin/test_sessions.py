"""`/admin/v1/sessions`, and the links by which people come in."""

from __future__ import annotations

from bailiwick.domain import ids
from bailiwick.domain.operators import Person
from tests.control import PUBLIC_URL, UNKNOWN, Control, add_operator
from tests.database import TestDatabase
from tests.people import Tab, add_person, signed_in


def shown(person: Person) -> str:
    return ids.shown(ids.OPERATOR, person.id)


async def test_a_person_lists_and_ends_their_own_sessions(control: Control, database: TestDatabase) -> None:
    person = add_person(database, role="viewer")
    first = await signed_in(control, person, ip="192.0.2.1")
    control.clock.advance(seconds=1)
    second = await signed_in(control, person, ip="192.0.2.2")
    await signed_in(control, add_person(database))
    tab = Tab(control=control, token=first.token)
    (one, two) = (await tab.ask("GET", "/sessions")).json()["data"]
    assert one == {
        "id": ids.shown(ids.SESSION, first.session.id),
        "operator_id": shown(person),
        "operator_name": "Ada Lovelace",
        "tenant_id": None,
        "method": "password",
        "ip": "192.0.2.1",
        "user_agent": "Test/1.0",
        "opened_at": "2026-11-21T12:00:00Z",
        "seen_at": "2026-11-21T12:00:00Z",
        "expires_at": "2026-11-22T00:00:00Z",
    }
    assert (await tab.ask("DELETE", f"/sessions/{two['id']}")).status_code == 204
    assert await control.plane.person.sessions.find(second.token) is None
    assert (await tab.ask("DELETE", f"/sessions/{two['id']}")).status_code == 404
    assert (await tab.ask("DELETE", f"/sessions/{UNKNOWN[ids.SESSION]}")).status_code == 404


async def test_the_list_is_paged(control: Control, database: TestDatabase) -> None:
    person = add_person(database, role="viewer")
    opened = []
    for _ in range(3):
        opened.append(await signed_in(control, person))
        control.clock.advance(seconds=1)
    tab = Tab(control=control, token=opened[0].token)
    page = (await tab.ask("GET", "/sessions?limit=2")).json()
    assert (len(page["data"]), page["has_more"]) == (2, True)
    rest = (await tab.ask("GET", f"/sessions?limit=2&after={page['next']}")).json()
    assert [session["id"] for session in page["data"] + rest["data"]] == [
        ids.shown(ids.SESSION, one.session.id) for one in opened
    ]


async def test_an_owner_makes_a_link_for_whom_they_reach_and_no_one_else_does(
    control: Control, database: TestDatabase
) -> None:
    tenant, other = (await control.tenant())["id"], (await control.tenant())["id"]
    person = add_person(database, tenant=tenant, role="admin", status="invited")
    path = f"/operators/{shown(person)}/sign-in-link"
    for role, whose, status in (
        ("admin", tenant, 403),
        ("owner", other, 404),
        ("owner", tenant, 201),
        ("owner", None, 201),
    ):
        asking = control.asked_by(add_operator(database, role=role, tenant=whose))
        answer = await asking.ask("POST", path, {})
        assert answer.status_code == status, answer.text
    made = answer.json()
    assert made["link"].startswith(f"{PUBLIC_URL}/dashboard/sign-in/link/")
    assert made["expires_at"].endswith("Z")
    use = await control.plane.person.links.find(made["link"].rpartition("/")[2])
    assert use.person is not None
    assert use.person.id == person.id


async def test_a_tenants_owner_makes_no_link_for_an_owner_of_the_installation(
    control: Control, database: TestDatabase
) -> None:
    tenant = (await control.tenant())["id"]
    asking = control.asked_by(add_operator(database, role="owner", tenant=tenant))
    status, _ = await asking.refused("POST", f"/operators/{shown(add_person(database))}/sign-in-link", {})
    assert status == 404


async def test_a_link_is_not_shown_a_second_time(control: Control, database: TestDatabase) -> None:
    path = f"/operators/{shown(add_person(database))}/sign-in-link"
    again = {"headers": {"idempotency-key": "once"}}
    first = await control.ask("POST", path, {}, **again)
    second = await control.ask("POST", path, {}, **again)
    assert (first.status_code, second.status_code, second.json()["link"]) == (201, 201, None)
    await control.plane.person.links.find(first.json()["link"].rpartition("/")[2])
