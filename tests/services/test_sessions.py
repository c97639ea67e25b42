"""Sessions: how long they last, who sees and ends them, and what ends them by itself."""

from __future__ import annotations

import base64
import hashlib
import os

import pytest

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import Invalid
from bailiwick.domain.operators import Person
from bailiwick.domain.paging import PageRequest
from bailiwick.services.sessions import SignedIn
from tests.control import Audit, Control
from tests.database import TestDatabase
from tests.people import PASSWORD, add_person, browser, signed_in


async def is_open(control: Control, opened: SignedIn) -> bool:
    return await control.plane.person.sessions.find(opened.token) is not None


async def seen_by(control: Control, person: Person) -> set[str]:
    page = await control.plane.person.sessions.list(Actor.of(person.operator), PageRequest(limit=200))
    return {ids.shown(ids.SESSION, session.id) for session in page.items}


def shown(opened: SignedIn) -> str:
    return ids.shown(ids.SESSION, opened.session.id)


async def test_a_session_ends_when_it_is_not_used_for_half_an_hour(control: Control, database: TestDatabase) -> None:
    opened = await signed_in(control, add_person(database))
    for _ in range(3):
        control.clock.advance(minutes=29)
        assert await is_open(control, opened)
    control.clock.advance(minutes=30)
    assert not await is_open(control, opened)


async def test_a_session_ends_after_twelve_hours_however_busy_it_is(control: Control, database: TestDatabase) -> None:
    opened = await signed_in(control, add_person(database))
    for _ in range(12 * 3 - 1):
        control.clock.advance(minutes=20)
        assert await is_open(control, opened)
    control.clock.advance(minutes=20)
    assert not await is_open(control, opened)


async def test_pages_in_one_minute_write_nothing(control: Control, database: TestDatabase) -> None:
    opened = await signed_in(control, add_person(database))
    query = "SELECT xmin::text FROM bailiwick.sessions WHERE id = %s"
    before = database.rows(query, opened.session.id)
    control.clock.advance(seconds=59)
    await is_open(control, opened)
    assert database.rows(query, opened.session.id) == before
    control.clock.advance(seconds=1)
    await is_open(control, opened)
    assert database.rows(query, opened.session.id) != before


async def test_what_is_no_token_of_ours_opens_nothing(control: Control, database: TestDatabase) -> None:
    opened = await signed_in(control, add_person(database))
    guesses = [
        "",
        "x",
        opened.token[:-1],
        opened.token + "A",
        opened.token.lower(),
        "A" * 43,
        "'; --" + "a" * 38,
        "é" * 43,
    ]
    for token in guesses:
        assert await control.plane.person.sessions.find(token) is None


async def test_a_row_that_somebody_wrote_into_the_database_opens_nothing(
    control: Control, database: TestDatabase
) -> None:
    """Who can write rows knows neither the key nor the form of what is hashed."""
    person, token = add_person(database), base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()
    now = control.clock()
    for digest in (hashlib.sha256(token.encode()).digest(), token.encode()):
        database.run(
            "INSERT INTO bailiwick.sessions (id, operator_id, digest, method, opened_at, seen_at, expires_at)"
            " VALUES (%s, %s, %s, 'link', %s, %s, %s + interval '1 hour')",
            ids.uuid7(1, os.urandom(10)), person.id, digest, now, now, now,
        )  # fmt: skip
    assert await control.plane.person.sessions.find(token) is None


@pytest.mark.parametrize("statement", ["UPDATE bailiwick.operators SET status = 'suspended' WHERE id = %s",
                                       "DELETE FROM bailiwick.operators WHERE id = %s"])  # fmt: skip
async def test_a_session_ends_with_its_person(control: Control, database: TestDatabase, statement: str) -> None:
    person = add_person(database)
    opened = await signed_in(control, person)
    database.run(statement, person.id)
    assert not await is_open(control, opened)


async def test_a_new_password_ends_every_other_session(control: Control, database: TestDatabase, audit: Audit) -> None:
    person = add_person(database)
    mine, others = await signed_in(control, person), [await signed_in(control, person) for _ in range(2)]
    somebody_elses = await signed_in(control, add_person(database))
    await control.plane.person.password.change(mine.session, PASSWORD, "another walk by the sea", browser())
    assert [await is_open(control, opened) for opened in (mine, *others, somebody_elses)] == [True, False, False, True]
    entries = audit(ids.shown(ids.OPERATOR, person.id))
    assert [entry.action for entry in entries] == ["password.change", "session.end_all"]
    assert entries[1].detail == {"before": {"sessions": 2}}
    with pytest.raises(Refused):
        await signed_in(control, person)


async def test_a_password_is_changed_only_by_who_knows_it_and_to_one_that_may_be_taken(
    control: Control, database: TestDatabase
) -> None:
    person = add_person(database)
    session = (await signed_in(control, person)).session
    change = control.plane.person.password.change
    for current, new, field in (
        (PASSWORD, "short", "new"),
        (PASSWORD, person.email, "new"),
        ("wrong", "a" + PASSWORD, "current"),
    ):
        with pytest.raises(Invalid) as raised:
            await change(session, current, new, browser())
        assert [error.field for error in raised.value.errors] == [field]
    for _ in range(4):
        with pytest.raises(Invalid):
            await change(session, "wrong", "a" + PASSWORD, browser())
    with pytest.raises(Refused, match="Too many attempts"):
        await change(session, PASSWORD, "a" + PASSWORD, browser())


async def test_who_is_no_owner_sees_and_ends_their_own_sessions_alone(control: Control, database: TestDatabase) -> None:
    tenant = (await control.tenant())["id"]
    admin, other = add_person(database, role="admin", tenant=tenant), add_person(database, role="viewer", tenant=tenant)
    mine, foreign = await signed_in(control, admin), await signed_in(control, other)
    assert await seen_by(control, admin) == {shown(mine)}
    with pytest.raises(Refused) as raised:
        await control.plane.person.sessions.end(Actor.of(admin.operator), foreign.session.id)
    assert raised.value.status == 404
    assert await is_open(control, foreign)
    await control.plane.person.sessions.end(Actor.of(admin.operator), mine.session.id)
    assert not await is_open(control, mine)


async def test_an_owner_sees_and_ends_those_within_reach(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    ours, theirs = (await control.tenant())["id"], (await control.tenant())["id"]
    owner = add_person(database, tenant=ours)
    mine, viewer = (
        await signed_in(control, owner),
        await signed_in(control, add_person(database, role="viewer", tenant=ours)),
    )
    foreign, installations = await signed_in(control, add_person(database, tenant=theirs)), add_person(database)
    above = await signed_in(control, installations)
    assert await seen_by(control, owner) == {shown(mine), shown(viewer)}
    for out_of_reach in (foreign, above):
        with pytest.raises(Refused) as raised:
            await control.plane.person.sessions.end(Actor.of(owner.operator), out_of_reach.session.id)
        assert raised.value.status == 404
    await control.plane.person.sessions.end(Actor.of(owner.operator), viewer.session.id)
    assert [await is_open(control, opened) for opened in (mine, viewer, foreign, above)] == [True, False, True, True]
    assert await seen_by(control, installations) >= {shown(mine), shown(foreign), shown(above)}
    await control.plane.person.sessions.end(Actor.of(installations.operator), foreign.session.id)
    assert not await is_open(control, foreign)
    told = {(entry.action, entry.actor) for entry in audit(shown(foreign))}
    assert ("session.end", ids.shown(ids.OPERATOR, installations.id)) in told
