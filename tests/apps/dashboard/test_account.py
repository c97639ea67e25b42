"""A person's own account: password, second factor, sessions."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

import httpx2
import pytest
from pyotp.totp import TOTP

from bailiwick.domain import ids
from tests.apps.dashboard.test_sign_in import SIGN_IN, Visiting, application, seen
from tests.control import PUBLIC_URL, Control
from tests.dashboard import Seen
from tests.database import TestDatabase
from tests.people import PASSWORD, add_person, signed_in

ACCOUNT = "/dashboard/account"


@pytest.fixture
async def visiting(control: Control, database: TestDatabase) -> AsyncIterator[Visiting]:
    """A viewer of a tenant, who is signed in: an account takes no right beyond that."""
    tenant = (await control.tenant())["id"]
    async with httpx2.AsyncClient(transport=application(control, control.plane), base_url=PUBLIC_URL) as http:
        made = Visiting(control=control, http=http)
        await made.sign_in(add_person(database, role="viewer", tenant=tenant))
        yield made


async def send(visiting: Visiting, path: str, action: str = "", **fields: str) -> httpx2.Response:
    """Open a page, fill in its form, and send it."""
    form = Seen((await visiting.http.get(path)).text).form(action)
    return await visiting.post(
        action or path, {name: values[0] for name, values in form.fields.items() if name} | fields
    )


async def set_up(visiting: Visiting) -> tuple[TOTP, list[str]]:
    page = Seen((await visiting.http.get(f"{ACCOUNT}/authenticator")).text)
    (secret,) = re.findall(r"\b[A-Z2-7]{32}\b", page.text)
    (sealed,) = page.form("").fields["proposal"]
    totp = TOTP(secret)
    code = totp.at(int(visiting.control.clock().timestamp()))
    answer = await visiting.post(
        f"{ACCOUNT}/authenticator",
        {"csrf": page.form("").fields["csrf"][0], "proposal": sealed, "code": code, "password": PASSWORD},
    )
    assert answer.status_code == 200, answer.text
    visiting.control.clock.advance(seconds=60)
    return totp, re.findall(r"\b(?:[a-z2-7]{4}-){3}[a-z2-7]{4}\b", seen(answer))


async def test_a_password_is_changed_and_what_is_wrong_is_said_at_its_field(visiting: Visiting) -> None:
    wrong = await send(visiting, ACCOUNT, f"{ACCOUNT}/password", current="wrong", new="another walk by the sea")
    assert wrong.status_code == 422
    assert "is not your password" in seen(wrong)
    short = await send(visiting, ACCOUNT, f"{ACCOUNT}/password", current=PASSWORD, new="short")
    assert "must be at least 12 characters long" in seen(short)
    assert PASSWORD not in short.text
    done = await send(visiting, ACCOUNT, f"{ACCOUNT}/password", current=PASSWORD, new="another walk by the sea")
    assert (done.status_code, done.headers["location"]) == (303, f"{ACCOUNT}?done=password")
    assert await visiting.is_in()


async def test_a_second_factor_is_set_up_with_a_picture_a_text_and_recovery_codes(visiting: Visiting) -> None:
    page = await visiting.http.get(f"{ACCOUNT}/authenticator")
    (picture,) = [source for source in Seen(page.text).loads if source.startswith("data:image/svg+xml")]
    assert "svg" in picture
    _, codes = await set_up(visiting)
    assert len(codes) == 10
    told = seen(await visiting.http.get(ACCOUNT))
    assert "10 recovery codes left" in told


async def test_a_wrong_code_shows_the_same_secret_again(visiting: Visiting) -> None:
    page = Seen((await visiting.http.get(f"{ACCOUNT}/authenticator")).text)
    fields = {name: values[0] for name, values in page.form("").fields.items()}
    answer = await visiting.post(f"{ACCOUNT}/authenticator", {**fields, "code": "000000", "password": PASSWORD})
    assert answer.status_code == 422
    assert Seen(answer.text).form("").fields["proposal"] == [fields["proposal"]]
    forged = await visiting.post(f"{ACCOUNT}/authenticator", {**fields, "proposal": "x", "code": "0", "password": "p"})
    assert (forged.status_code, forged.headers["location"]) == (303, f"{ACCOUNT}/authenticator")


async def test_recovery_codes_and_the_factor_itself_take_the_password(visiting: Visiting) -> None:
    _, codes = await set_up(visiting)
    wrong = await send(visiting, f"{ACCOUNT}/recovery-codes", password="wrong")
    assert wrong.status_code == 422
    renewed = await send(visiting, f"{ACCOUNT}/recovery-codes", password=PASSWORD)
    assert codes[0] not in renewed.text
    assert (await send(visiting, f"{ACCOUNT}/authenticator/remove", password="wrong")).status_code == 422
    gone = await send(visiting, f"{ACCOUNT}/authenticator/remove", password=PASSWORD)
    assert gone.headers["location"] == f"{ACCOUNT}?done=authenticator-removed"


async def test_own_sessions_are_listed_and_ended_and_nobody_elses(
    visiting: Visiting, control: Control, database: TestDatabase
) -> None:
    sessions = control.plane.person.sessions
    mine = await sessions.find(visiting.token or "")
    assert mine is not None
    elsewhere = await signed_in(control, mine.person, ip="203.0.113.77")
    stranger = await signed_in(control, add_person(database), ip="198.51.100.200")
    page = seen(await visiting.http.get(ACCOUNT))
    assert "203.0.113.77" in page
    assert "198.51.100.200" not in page
    csrf = sessions.csrf(visiting.token or "")

    async def end(session_id: str) -> httpx2.Response:
        return await visiting.post(f"{ACCOUNT}/sessions", {"csrf": csrf, "session": session_id})

    assert (await end(ids.shown(ids.SESSION, stranger.session.id))).status_code == 404
    assert (await end("nonsense")).status_code == 404
    assert (await end(ids.shown(ids.SESSION, elsewhere.session.id))).headers["location"] == f"{ACCOUNT}?done=ended"
    assert await sessions.find(elsewhere.token) is None
    assert await sessions.find(stranger.token) is not None
    out = await end(ids.shown(ids.SESSION, mine.id))
    assert out.headers["location"] == f"{SIGN_IN}?done=signed-out"
    assert not await visiting.is_in()


@pytest.mark.parametrize("path", ["password", "authenticator", "recovery-codes", "authenticator/remove", "sessions"])
async def test_no_change_of_an_account_without_the_sessions_token(visiting: Visiting, path: str) -> None:
    fields = {"csrf": "forged", "password": PASSWORD, "current": PASSWORD, "new": "another walk by the sea"}
    assert (await visiting.post(f"{ACCOUNT}/{path}", fields)).status_code == 403
