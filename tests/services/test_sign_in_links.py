"""Links that are good once: who they bring in, and what they leave as it was."""

from __future__ import annotations

import asyncio

import pytest
from pyotp.totp import TOTP

from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import Invalid
from bailiwick.domain.operators import OperatorRole, Person, PersonStatus
from bailiwick.services.sessions import SignedIn
from bailiwick.services.sign_in_links import Chosen
from tests.control import Audit, Control
from tests.database import TestDatabase
from tests.people import PASSWORD, add_person, browser, signed_in

NEW = "quite another long password"


def chosen(email: str = "", *, name: str = "Grace Hopper", password: str = NEW, code: str = "") -> Chosen:
    return Chosen(email=email, name=name, password=password, code=code)


async def link_for(control: Control, person: Person, *, resets_codes: bool = False) -> str:
    return (await control.plane.person.issuer.make_for(BOOTSTRAP, person.email, resets_codes=resets_codes)).token


async def gone(control: Control, token: str) -> None:
    with pytest.raises(Refused) as raised:
        await control.plane.person.links.find(token)
    assert raised.value.status == 404
    with pytest.raises(Refused) as raised:
        await control.plane.person.links.use(token, chosen("late@example.com"), browser())
    assert raised.value.status == 404


async def test_the_first_link_makes_an_owner_who_is_signed_in_and_has_a_password(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    token = (await control.plane.person.issuer.make_for_owner(BOOTSTRAP)).token
    assert (await control.plane.person.links.find(token)).person is None
    opened = await control.plane.person.links.use(token, chosen(" Grace@Example.com "), browser())
    person = opened.session.person
    assert (person.email, person.name) == ("grace@example.com", "Grace Hopper")
    assert (person.role, person.tenant_id, person.status) == (OperatorRole.OWNER, None, PersonStatus.ACTIVE)
    found = await control.plane.person.sessions.find(opened.token)
    assert found is not None
    again = await control.plane.person.sign_in.with_password("grace@example.com", NEW, browser())
    assert isinstance(again, SignedIn)
    await gone(control, token)
    entries = audit(ids.shown(ids.OPERATOR, person.id))
    assert {entry.action for entry in entries} == {"operator.create", "operator.activate", "password.set"}
    assert token not in str(database.rows("SELECT * FROM bailiwick.audit"))
    assert NEW not in str(database.rows("SELECT * FROM bailiwick.audit"))


async def test_of_many_who_follow_one_link_at_once_one_comes_in(control: Control, database: TestDatabase) -> None:
    token = (await control.plane.person.issuer.make_for_owner(BOOTSTRAP)).token
    answers = await asyncio.gather(
        *(control.plane.person.links.use(token, chosen(f"one-of-{n}@example.com"), browser()) for n in range(6)),
        return_exceptions=True,
    )
    assert len([answer for answer in answers if isinstance(answer, SignedIn)]) == 1
    ((made,),) = database.rows("SELECT count(*) FROM bailiwick.operators WHERE email LIKE 'one-of-%%'")
    assert made == 1


async def test_what_a_link_is_asked_is_checked_before_it_is_used_up(control: Control, database: TestDatabase) -> None:
    taken = add_person(database).email
    token = (await control.plane.person.issuer.make_for_owner(BOOTSTRAP)).token
    for wrong in (chosen("nonsense"), chosen("a@example.com", name=" "), chosen("a@example.com", password="short")):
        with pytest.raises(Invalid):
            await control.plane.person.links.use(token, wrong, browser())
    with pytest.raises(Refused, match="already"):
        await control.plane.person.links.use(token, chosen(taken), browser())
    await control.plane.person.links.use(token, chosen("finally@example.com"), browser())


async def test_an_invited_person_becomes_active_in_their_own_tenant(control: Control, database: TestDatabase) -> None:
    tenant = (await control.tenant())["id"]
    person = add_person(database, role="viewer", tenant=tenant, status="invited")
    opened = await control.plane.person.links.use(
        await link_for(control, person), chosen("other@example.com"), browser()
    )
    active = opened.session.person
    assert (active.id, active.email, active.role, active.status) == (
        person.id, person.email, OperatorRole.VIEWER, PersonStatus.ACTIVE,
    )  # fmt: skip
    assert active.tenant_id == person.tenant_id


async def test_a_link_ends_the_sessions_and_the_password_before_it(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    before = await signed_in(control, person)
    await control.plane.person.links.use(await link_for(control, person), chosen(), browser())
    assert await control.plane.person.sessions.find(before.token) is None
    with pytest.raises(Refused):
        await signed_in(control, person)


async def test_a_new_link_takes_the_place_of_the_one_before(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    first, second = await link_for(control, person), await link_for(control, person)
    await gone(control, first)
    await control.plane.person.links.use(second, chosen(), browser())


async def test_a_link_is_good_for_a_day(control: Control, database: TestDatabase) -> None:
    token = await link_for(control, add_person(database))
    control.clock.advance(hours=24)
    await gone(control, token)


@pytest.mark.parametrize("token", ["", "x", "A" * 43, "../../etc", "A" * 44])
async def test_a_link_that_nobody_made_is_gone(control: Control, token: str) -> None:
    await gone(control, token)


async def test_who_is_suspended_gets_no_link_and_follows_none(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    token = await link_for(control, person)
    database.run("UPDATE bailiwick.operators SET status = 'suspended' WHERE id = %s", person.id)
    await gone(control, token)
    with pytest.raises(Refused, match="suspended"):
        await link_for(control, person)


async def test_a_second_factor_is_asked_for_unless_the_link_takes_it_away(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    person = add_person(database)
    session, factor = (await signed_in(control, person)).session, control.plane.person.second_factor
    proposal = factor.propose(person)
    totp = TOTP(proposal.secret)
    code = totp.at(int(control.clock().timestamp()))
    await factor.confirm(session, proposal, code, PASSWORD, browser())
    token = await link_for(control, person)
    assert (await control.plane.person.links.find(token)).asks_code
    with pytest.raises(Invalid) as raised:
        await control.plane.person.links.use(token, chosen(code=code), browser())
    assert [error.field for error in raised.value.errors] == ["code"]
    assert "sign_in.fail" in [entry.action for entry in audit(ids.shown(ids.OPERATOR, person.id))]
    control.clock.advance(seconds=60)
    code = totp.at(int(control.clock().timestamp()))
    await control.plane.person.links.use(token, chosen(code=code), browser())
    token = await link_for(control, person, resets_codes=True)
    assert not (await control.plane.person.links.find(token)).asks_code
    await control.plane.person.links.use(token, chosen(), browser())
    opened = await control.plane.person.sign_in.with_password(person.email, NEW, browser())
    assert isinstance(opened, SignedIn)


async def test_codes_cannot_be_tried_out_at_a_link(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    session, factor = (await signed_in(control, person)).session, control.plane.person.second_factor
    proposal = factor.propose(person)
    code = TOTP(proposal.secret).at(int(control.clock().timestamp()))
    await factor.confirm(session, proposal, code, PASSWORD, browser())
    token = await link_for(control, person)
    for number in range(5):
        with pytest.raises(Invalid):
            await control.plane.person.links.use(token, chosen(code=f"{number:06}"), browser())
    with pytest.raises(Refused, match="Too many"):
        await control.plane.person.links.use(token, chosen(code="000009"), browser())
