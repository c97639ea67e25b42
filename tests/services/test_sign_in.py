"""Signing in by password and code: who comes in, who waits, and what is told of it."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable

import pytest
from argon2 import PasswordHasher
from pyotp.totp import TOTP

from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Invalid
from bailiwick.domain.operators import Person
from bailiwick.domain.sign_in import SignInMethod
from bailiwick.identity.passwords import Passwords
from bailiwick.services.sessions import SignedIn
from bailiwick.services.sign_in import CodeNeeded
from bailiwick.services.sign_in_links import Chosen
from tests.control import Audit, Control, controlled
from tests.database import TestDatabase
from tests.people import PASSWORD, add_person, browser, signed_in

WRONG = "the wrong password"


async def refused(control: Control, email: str, password: str = WRONG, *, ip: str = "192.0.2.1") -> Refused:
    with pytest.raises(Refused) as raised:
        await control.plane.person.sign_in.with_password(email, password, browser(ip))
    return raised.value


async def with_authenticator(control: Control, person: Person) -> tuple[TOTP, list[str]]:
    """Set a second factor up; what its authenticator shows, and the recovery codes."""
    session = (await signed_in(control, person)).session
    proposal = control.plane.person.second_factor.propose(person)
    totp = TOTP(proposal.secret)
    code = totp.at(int(control.clock().timestamp()))
    codes = await control.plane.person.second_factor.confirm(session, proposal, code, PASSWORD, browser())
    control.clock.advance(seconds=60)
    return totp, codes


async def step_of(control: Control, person: Person) -> str:
    needed = await control.plane.person.sign_in.with_password(person.email, PASSWORD, browser())
    assert isinstance(needed, CodeNeeded)
    return needed.step


async def test_the_right_password_opens_a_session_and_both_are_told(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    person = add_person(database)
    opened = await signed_in(control, person)
    found = await control.plane.person.sessions.find(opened.token)
    assert found is not None
    assert found.person.operator == person.operator
    assert found.method is SignInMethod.PASSWORD
    (entry,) = audit(ids.shown(ids.SESSION, found.id))
    assert (entry.actor, entry.action) == (ids.shown(ids.OPERATOR, person.id), "session.open")
    assert opened.token not in str(database.rows("SELECT * FROM bailiwick.sessions"))
    assert opened.token not in str(database.rows("SELECT * FROM bailiwick.audit"))


@pytest.mark.parametrize("case", [str.upper, lambda email: f"  {email} "])
async def test_the_case_of_an_address_does_not_matter(
    control: Control, database: TestDatabase, case: Callable[[str], str]
) -> None:
    person = add_person(database)
    opened = await control.plane.person.sign_in.with_password(case(person.email), PASSWORD, browser())
    assert isinstance(opened, SignedIn)


@pytest.mark.parametrize("status", ["invited", "suspended"])
async def test_who_may_not_sign_in_gets_the_answer_of_a_wrong_password(
    control: Control, database: TestDatabase, status: str
) -> None:
    person = add_person(database, status=status)
    answers = [
        await refused(control, person.email, PASSWORD),
        await refused(control, "nobody@example.com"),
        await refused(control, add_person(database).email),
        await refused(control, "", ""),
        await refused(control, "x" * 100_000, "y" * 100_000),
    ]
    assert {(answer.code, answer.status, answer.message) for answer in answers} == {
        (Code.INVALID_CREDENTIALS, 401, "The e-mail address or the password is wrong.")
    }


async def test_an_unknown_address_takes_as_long_as_a_wrong_password(database: TestDatabase) -> None:
    """By the processor's time: the machine's own haste does not matter."""
    async with controlled(database, passwords=lambda: Passwords(time_cost=4, memory_kib=16_384, lanes=1)) as control:
        known = add_person(database).email
        await control.plane.person.links.use(
            (await control.plane.person.issuer.make_for(BOOTSTRAP, known, resets_codes=False)).token,
            Chosen(email="", name="", password=PASSWORD, code=""),
            browser(),
        )
        await refused(control, "first@example.com")

        async def took(email: str) -> float:
            control.clock.advance(hours=2)
            began = time.process_time()
            await refused(control, email)
            return time.process_time() - began

        times = [(await took(known), await took("nobody@example.com")) for _ in range(7)]
    wrong, unknown = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.6 < unknown / wrong < 1.6


async def test_failures_are_told_with_address_and_place_and_never_the_password(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    person = add_person(database)
    await refused(control, person.email)
    await refused(control, WRONG)
    (entry,) = audit(ids.shown(ids.OPERATOR, person.id))
    assert (entry.actor, entry.action) == ("nobody", "sign_in.fail")
    assert entry.detail == {"wrong": "password", "email": person.email}
    ((ip,),) = database.rows("SELECT ip FROM bailiwick.audit WHERE target = %s", ids.shown(ids.OPERATOR, person.id))
    assert ip == "192.0.2.1"
    assert WRONG not in str(database.rows("SELECT * FROM bailiwick.audit"))


async def test_whoever_keeps_guessing_waits_twice_as_long_each_time(control: Control, database: TestDatabase) -> None:
    email = add_person(database).email
    waits = []
    for _ in range(9):
        refusal = await refused(control, email)
        while refusal.code is Code.RATE_LIMITED:
            assert refusal.retry_after is not None
            waits.append(refusal.retry_after)
            control.clock.advance(seconds=refusal.retry_after)
            refusal = await refused(control, email)
    assert waits == [1, 2, 4, 8, 16]
    assert (await refused(control, email, PASSWORD)).retry_after == 32


async def test_who_guesses_at_an_account_keeps_its_person_from_elsewhere_not_out(
    control: Control, database: TestDatabase
) -> None:
    person = add_person(database)
    for _ in range(20):
        await refused(control, person.email, ip="198.51.100.7")
    assert (await refused(control, person.email, PASSWORD, ip="198.51.100.7")).code is Code.RATE_LIMITED
    await signed_in(control, person, ip="192.0.2.1")


async def test_one_place_that_guesses_at_many_accounts_waits(control: Control) -> None:
    answers = [await refused(control, f"{number}@example.com", ip="198.51.100.8") for number in range(62)]
    assert [answer.code for answer in answers[:60]] == [Code.INVALID_CREDENTIALS] * 60
    assert answers[61].code is Code.RATE_LIMITED


async def test_a_right_password_clears_what_was_wrong_before(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    for _ in range(3):
        await refused(control, person.email)
    await signed_in(control, person)
    for _ in range(4):
        assert (await refused(control, person.email)).code is Code.INVALID_CREDENTIALS


async def test_of_ten_thousand_at_once_a_few_are_heard(control: Control) -> None:
    answers = await asyncio.gather(
        *(control.plane.person.sign_in.with_password(f"{n % 97}@example.org", WRONG, browser()) for n in range(10_000)),
        return_exceptions=True,
    )
    codes = [answer.code for answer in answers if isinstance(answer, Refused)]
    assert len(codes) == 10_000
    assert codes.count(Code.INVALID_CREDENTIALS) <= 64


async def test_a_flood_of_failures_is_told_in_sixty_lines_a_minute(control: Control, database: TestDatabase) -> None:
    for number in range(70):
        await refused(control, f"flood-{number}@example.org", ip=f"198.51.100.{number}")
    told = "SELECT count(*), max(detail->>'untold') FROM bailiwick.audit WHERE detail->>'email' LIKE 'flood-%%'"
    assert database.rows(told) == [(60, None)]
    control.clock.advance(minutes=1)
    await refused(control, "flood-later@example.org")
    assert database.rows(told) == [(61, "10")]


async def test_a_hash_of_other_parameters_is_renewed_at_sign_in(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    query = "SELECT password_hash FROM bailiwick.operator_secrets WHERE operator_id = %s"
    database.run(
        "UPDATE bailiwick.operator_secrets SET password_hash = %s WHERE operator_id = %s",
        PasswordHasher(time_cost=2, memory_cost=16, parallelism=1).hash(PASSWORD),
        person.id,
    )
    ((before,),) = database.rows(query, person.id)
    await signed_in(control, person)
    ((after,),) = database.rows(query, person.id)
    assert "m=16,t=2,p=1" in before
    assert "m=8,t=1,p=1" in after
    await signed_in(control, person)


async def test_with_an_authenticator_a_password_alone_opens_nothing(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    totp, _ = await with_authenticator(control, person)
    step = await step_of(control, person)
    with pytest.raises(Refused, match="code is wrong"):
        await control.plane.person.sign_in.with_code(step, "000000", browser())
    opened = await control.plane.person.sign_in.with_code(step, totp.at(int(control.clock().timestamp())), browser())
    assert opened.session.method is SignInMethod.PASSWORD_AND_CODE


async def test_a_code_is_good_once(control: Control, database: TestDatabase, audit: Audit) -> None:
    person = add_person(database)
    totp, _ = await with_authenticator(control, person)
    code = totp.at(int(control.clock().timestamp()))
    steps = [await step_of(control, person) for _ in range(4)]
    answers = await asyncio.gather(
        *(control.plane.person.sign_in.with_code(step, code, browser()) for step in steps), return_exceptions=True
    )
    assert len([answer for answer in answers if isinstance(answer, SignedIn)]) == 1
    refusals = [answer for answer in answers if isinstance(answer, Refused)]
    assert {refusal.status for refusal in refusals} == {401}
    told = [entry for entry in audit(ids.shown(ids.OPERATOR, person.id)) if entry.action == "sign_in.fail"]
    assert [entry.detail["wrong"] for entry in told] == ["code"] * 3


async def test_the_code_that_set_an_authenticator_up_opens_nothing(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    session = (await signed_in(control, person)).session
    proposal = control.plane.person.second_factor.propose(person)
    code = TOTP(proposal.secret).at(int(control.clock().timestamp()))
    await control.plane.person.second_factor.confirm(session, proposal, code, PASSWORD, browser())
    with pytest.raises(Refused, match="was used already"):
        await control.plane.person.sign_in.with_code(await step_of(control, person), code, browser())


async def test_a_recovery_code_is_good_once_and_no_digest_of_it_stays(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    _, codes = await with_authenticator(control, person)
    opened = await control.plane.person.sign_in.with_code(await step_of(control, person), codes[3].upper(), browser())
    assert opened.session.method is SignInMethod.PASSWORD_AND_RECOVERY_CODE
    with pytest.raises(Refused):
        await control.plane.person.sign_in.with_code(await step_of(control, person), codes[3], browser())
    ((left,),) = database.rows(
        "SELECT cardinality(recovery_digests) FROM bailiwick.operator_secrets WHERE operator_id = %s", person.id
    )
    assert left == 9


async def test_codes_cannot_be_tried_out_from_many_places(control: Control, database: TestDatabase) -> None:
    person = add_person(database)
    await with_authenticator(control, person)
    codes = []
    for number in range(8):
        step = await step_of(control, person)
        with pytest.raises(Refused) as raised:
            await control.plane.person.sign_in.with_code(step, f"{number:06}", browser(f"198.51.100.{number}"))
        codes.append(raised.value.code)
    assert codes == [Code.INVALID_CREDENTIALS] * 5 + [Code.RATE_LIMITED] * 3


async def test_a_step_is_good_for_five_minutes_and_for_the_password_it_was_given_for(
    control: Control, database: TestDatabase
) -> None:
    person = add_person(database)
    totp, _ = await with_authenticator(control, person)
    late, forged = await step_of(control, person), "A" * 120
    bent = late[:-1] + ("A" if late[-1] != "A" else "B")
    control.clock.advance(minutes=5)
    changed = await step_of(control, person)
    code = totp.at(int(control.clock().timestamp()))

    async def told(step: str) -> str:
        with pytest.raises(Refused) as raised:
            await control.plane.person.sign_in.with_code(step, code, browser())
        assert raised.value.code is Code.EXPIRED_CREDENTIALS
        return raised.value.message

    assert [await told(step) for step in (late, forged, bent, "")] == ["That took too long. Sign in again."] * 4
    database.run("UPDATE bailiwick.operator_secrets SET password_hash = 'x' WHERE operator_id = %s", person.id)
    assert await told(changed) == "Your sign-in was changed just now. Sign in again."


async def test_a_second_factor_is_set_up_only_with_a_code_of_it_and_the_password(
    control: Control, database: TestDatabase
) -> None:
    person = add_person(database)
    session = (await signed_in(control, person)).session
    factor = control.plane.person.second_factor
    proposal = factor.propose(person)
    code = TOTP(proposal.secret).at(int(control.clock().timestamp()))
    for given, password in (("000000", PASSWORD), (code, WRONG)):
        with pytest.raises(Invalid):
            await factor.confirm(session, proposal, given, password, browser())
    assert factor.proposed(add_person(database), proposal.sealed) is None
    assert factor.proposed(person, "forged") is None
    again = factor.proposed(person, proposal.sealed)
    assert again is not None
    assert again.secret == proposal.secret
    await factor.confirm(session, again, code, PASSWORD, browser())
    assert proposal.secret not in str(database.rows("SELECT * FROM bailiwick.operator_secrets"))
    another = factor.propose(person)
    code = TOTP(another.secret).at(int(control.clock().timestamp()))
    with pytest.raises(Refused, match="already"):
        await factor.confirm(session, another, code, PASSWORD, browser())


async def test_a_second_factor_and_its_recovery_codes_go_with_the_password_alone(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    person = add_person(database)
    _, codes = await with_authenticator(control, person)
    session = (
        await control.plane.person.sign_in.with_code(await step_of(control, person), codes[0], browser())
    ).session
    factor = control.plane.person.second_factor
    with pytest.raises(Invalid):
        await factor.renew_recovery_codes(session, WRONG, browser())
    renewed = await factor.renew_recovery_codes(session, PASSWORD, browser())
    with pytest.raises(Refused):
        await control.plane.person.sign_in.with_code(await step_of(control, person), codes[1], browser())
    await control.plane.person.sign_in.with_code(await step_of(control, person), renewed[0], browser())
    with pytest.raises(Invalid):
        await factor.remove(session, WRONG, browser())
    await factor.remove(session, PASSWORD, browser())
    await signed_in(control, person)
    actions = sorted(entry.action for entry in audit(ids.shown(ids.OPERATOR, person.id)))
    assert actions == ["recovery_codes.renew", "second_factor.remove", "second_factor.set_up", "sign_in.fail"]
