"""Coming in and going out by the pages, as a browser does, and as somebody does who has no business here."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import urlencode

import httpx2
import pytest
from pyotp.totp import TOTP

from bailiwick.apps.admin.app import create_app
from bailiwick.apps.dashboard.app import create_dashboard
from bailiwick.apps.dashboard.sign_in.visitors import SessionVisitors
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP
from bailiwick.domain.operators import Person
from bailiwick.telemetry.logs import Log
from tests.control import PUBLIC_URL, Audit, Control
from tests.dashboard import Seen
from tests.database import TestDatabase
from tests.people import COOKIE, PASSWORD, add_person, browser, signed_in

OURS: Final = {"origin": PUBLIC_URL, "sec-fetch-site": "same-origin"}
SIGN_IN: Final = "/dashboard/sign-in"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Visiting:
    """A browser with its cookies, which follows no redirect by itself."""

    control: Control
    http: httpx2.AsyncClient

    async def post(self, path: str, fields: dict[str, str], headers: dict[str, str] | None = None) -> httpx2.Response:
        """Send a form, by default as a page of ours does."""
        told = {"content-type": "application/x-www-form-urlencoded", **(OURS if headers is None else headers)}
        return await self.http.post(path, content=urlencode(fields), headers=told)

    async def sign_in(self, person: Person, password: str = PASSWORD, **more: str) -> httpx2.Response:
        """Send the form of the first step."""
        return await self.post(SIGN_IN, {"email": person.email, "password": password, **more})

    async def is_in(self) -> bool:
        """Whether a page of the dashboard is shown."""
        return (await self.http.get("/dashboard/projects")).status_code == 200

    @property
    def token(self) -> str | None:
        """The session that the browser holds."""
        return self.http.cookies.get(COOKIE)


def application(control: Control, plane: ControlPlane) -> httpx2.ASGITransport:
    visitors = SessionVisitors(plane.person.sessions, SessionCookie(plane.public_url))
    return httpx2.ASGITransport(
        create_app(
            plane,
            new_id=plane.acts.new_id,
            monotonic=lambda: control.clock().timestamp(),
            log=Log(control.log, process="control", level="debug", now=control.clock),
            dashboard=create_dashboard(plane, visitors, public_url=plane.public_url),
        )
    )


@pytest.fixture
async def visiting(control: Control) -> AsyncIterator[Visiting]:
    async with httpx2.AsyncClient(transport=application(control, control.plane), base_url=PUBLIC_URL) as http:
        yield Visiting(control=control, http=http)


def seen(answer: httpx2.Response) -> str:
    return " ".join(Seen(answer.text).text.split())


async def test_whoever_is_not_signed_in_is_sent_to_sign_in_and_back_to_where_they_wanted(
    visiting: Visiting, database: TestDatabase
) -> None:
    sent = await visiting.http.get("/dashboard/projects")
    assert (sent.status_code, sent.headers["location"]) == (303, f"{SIGN_IN}?next=/dashboard/projects")
    form = Seen((await visiting.http.get(sent.headers["location"])).text).form(SIGN_IN)
    assert form.fields["next"] == ["/dashboard/projects"]
    answer = await visiting.sign_in(add_person(database), next=form.fields["next"][0])
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/projects")
    assert await visiting.is_in()
    again = await visiting.http.get(SIGN_IN)
    assert (again.status_code, again.headers["location"]) == (303, "/dashboard")


async def test_the_cookie_is_of_this_host_only_out_of_reach_of_scripts_and_goes_nowhere_without_tls(
    visiting: Visiting, database: TestDatabase
) -> None:
    cookie = (await visiting.sign_in(add_person(database))).headers["set-cookie"]
    name, *attributes = (part.strip() for part in cookie.split(";"))
    assert name.startswith("__Host-bailiwick=")
    assert {attribute.lower() for attribute in attributes} == {"httponly", "path=/", "samesite=lax", "secure"}


async def test_without_tls_the_cookie_says_so_by_its_name_and_the_page_warns(
    control: Control, database: TestDatabase
) -> None:
    cookie = SessionCookie("http://127.0.0.1:8080")
    assert (cookie.name, cookie.secure) == ("bailiwick", False)
    assert SessionCookie("https://x.example").secure


@pytest.mark.parametrize(
    "target",
    [
        "https://evil.example", "//evil.example", "/\\evil.example", "/dashboard//evil.example", "/dashboard/../admin",
        "javascript:alert(1)", "/dashboard?x=//evil", "/dashboard/%2e%2e", "\t//evil", "/dashboardevil", "",
        "/admin/v1", "/dashboard/x\r\nset-cookie: a=b",
    ],
)  # fmt: skip
async def test_nobody_is_sent_to_an_address_that_is_not_ours(
    visiting: Visiting, database: TestDatabase, target: str
) -> None:
    answer = await visiting.sign_in(add_person(database), next=target)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard")


async def test_no_redirect_and_no_page_repeats_the_host_of_a_request(
    visiting: Visiting, database: TestDatabase
) -> None:
    person = add_person(database)
    told = {**OURS, "host": "evil.example", "x-forwarded-host": "evil.example", "forwarded": "host=evil.example"}
    answer = await visiting.post(SIGN_IN, {"email": person.email, "password": PASSWORD}, told)
    assert answer.headers["location"] == "/dashboard"
    for path in ("/dashboard/projects", SIGN_IN):
        page = await visiting.http.get(path, headers={"host": "evil.example"})
        assert "evil.example" not in page.text + page.headers.get("location", "")


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site", "origin": PUBLIC_URL},
        {"sec-fetch-site": "same-site", "origin": PUBLIC_URL},
        {"sec-fetch-site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "https://bailiwick.example.evil.example"},
        {},
    ],
)
async def test_a_form_from_elsewhere_signs_nobody_in_and_nobody_out(
    visiting: Visiting, database: TestDatabase, headers: dict[str, str]
) -> None:
    person = add_person(database)
    fields = {"email": person.email, "password": PASSWORD}
    assert (await visiting.post(SIGN_IN, fields, headers)).status_code == 403
    link = (await visiting.control.plane.person.issuer.make_for(BOOTSTRAP, person.email, resets_codes=False)).token
    assert (await visiting.post(f"{SIGN_IN}/link/{link}", {"password": PASSWORD}, headers)).status_code == 403
    assert visiting.token is None
    assert (await visiting.sign_in(person)).status_code == 303
    csrf = visiting.control.plane.person.sessions.csrf(visiting.token or "")
    assert (await visiting.post("/dashboard/sign-out", {"csrf": csrf}, headers)).status_code == 403
    assert await visiting.is_in()


async def test_an_older_browser_that_names_its_origin_alone_is_served(
    visiting: Visiting, database: TestDatabase
) -> None:
    person = add_person(database)
    for origin in (PUBLIC_URL, PUBLIC_URL.upper()):
        answer = await visiting.post(SIGN_IN, {"email": person.email, "password": PASSWORD}, {"origin": origin})
        assert answer.status_code == 303


async def test_a_wrong_password_is_said_on_the_form_and_the_address_stays(
    visiting: Visiting, database: TestDatabase
) -> None:
    person = add_person(database)
    answer = await visiting.sign_in(person, "wrong")
    assert answer.status_code == 401
    assert "The e-mail address or the password is wrong." in seen(answer)
    assert Seen(answer.text).form(SIGN_IN).fields == {"next": ["/dashboard"], "email": [person.email], "password": [""]}
    for _ in range(4):
        answer = await visiting.sign_in(person, "wrong")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "1")
    assert "Too many attempts" in seen(answer)
    assert visiting.token is None


async def test_with_an_authenticator_a_code_is_asked_for(visiting: Visiting, database: TestDatabase) -> None:
    person, control = add_person(database), visiting.control
    session, factor = (await signed_in(control, person)).session, control.plane.person.second_factor
    proposal = factor.propose(person)
    totp = TOTP(proposal.secret)
    await factor.confirm(session, proposal, totp.at(int(control.clock().timestamp())), PASSWORD, browser())
    control.clock.advance(seconds=60)
    asked = await visiting.sign_in(person, next="/dashboard/projects")
    assert (asked.status_code, visiting.token) == (200, None)
    form = Seen(asked.text).form(f"{SIGN_IN}/code")
    fields = {name: values[0] for name, values in form.fields.items()}
    wrong = await visiting.post(form.action, {**fields, "code": "000000"})
    assert (wrong.status_code, visiting.token) == (401, None)
    assert Seen(wrong.text).form(f"{SIGN_IN}/code").fields["step"] == form.fields["step"]
    code = totp.at(int(control.clock().timestamp()))
    right = await visiting.post(form.action, {**fields, "code": code})
    assert (right.status_code, right.headers["location"]) == (303, "/dashboard/projects")
    used = await visiting.post(form.action, {**fields, "code": code})
    assert used.status_code == 401
    late = await visiting.post(form.action, {**fields, "step": "forged", "code": code})
    assert late.status_code == 401
    assert "Sign in again" in seen(late)


async def test_the_first_owner_comes_in_by_the_link(visiting: Visiting, audit: Audit) -> None:
    link = await visiting.control.plane.person.issuer.make_for_owner(BOOTSTRAP)
    path = link.address(PUBLIC_URL + "/").removeprefix(PUBLIC_URL)
    for _ in range(2):
        assert "makes you the owner" in seen(await visiting.http.get(path))
    wrong = await visiting.post(path, {"name": "Ada", "email": "first-owner@example.com", "password": "short"})
    assert wrong.status_code == 422
    assert "must be at least 12 characters long" in seen(wrong)
    fields = {"name": "Ada", "email": "first-owner@example.com", "password": PASSWORD}
    answer = await visiting.post(path, fields)
    assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/account?done=welcome")
    assert await visiting.is_in()
    assert (await visiting.post(path, fields)).status_code == 404
    assert (await visiting.http.get(path)).status_code == 404


async def test_a_session_that_somebody_planted_is_not_taken_over(visiting: Visiting, database: TestDatabase) -> None:
    """Session fixation: what the browser held before is not what it holds after, and opens nothing."""
    planted = "A" * 43
    visiting.http.cookies.set(COOKIE, planted, domain="bailiwick.example", path="/")
    answer = await visiting.sign_in(add_person(database))
    assert planted not in answer.headers["set-cookie"]
    assert await visiting.control.plane.person.sessions.find(planted) is None


async def test_signing_in_again_ends_the_session_before(visiting: Visiting, database: TestDatabase) -> None:
    person = add_person(database)
    await visiting.sign_in(person)
    first = visiting.token or ""
    await visiting.sign_in(person)
    assert visiting.token != first
    assert await visiting.control.plane.person.sessions.find(first) is None


async def test_signing_out_ends_the_session_and_clears_the_browser(
    visiting: Visiting, database: TestDatabase, audit: Audit
) -> None:
    await visiting.sign_in(add_person(database))
    token, sessions = visiting.token or "", visiting.control.plane.person.sessions
    session = await sessions.find(token)
    assert session is not None
    for csrf in ("", "forged", sessions.csrf("B" * 43)):
        assert (await visiting.post("/dashboard/sign-out", {"csrf": csrf})).status_code == 403
    assert await visiting.is_in()
    answer = await visiting.post("/dashboard/sign-out", {"csrf": sessions.csrf(token)})
    assert (answer.status_code, answer.headers["location"]) == (303, f"{SIGN_IN}?done=signed-out")
    assert visiting.token is None
    assert await sessions.find(token) is None
    assert "session.end" in [entry.action for entry in audit(ids.shown(ids.SESSION, session.id))]
    assert (await visiting.post("/dashboard/sign-out", {})).status_code == 303


async def test_of_two_cookies_of_one_name_none_counts(visiting: Visiting, database: TestDatabase) -> None:
    """One of them was planted by a neighbour, and nobody can say which."""
    await visiting.sign_in(add_person(database))
    token = visiting.token
    visiting.http.cookies.clear()
    for number in range(10):
        twice = f"{COOKIE}={token}; {COOKIE}={'A' * 42}{number}"
        assert (await visiting.http.get("/dashboard/projects", headers={"cookie": twice})).status_code == 303
    once = f"other=1; {COOKIE}={token}; bailiwick=x"
    assert (await visiting.http.get("/dashboard/projects", headers={"cookie": once})).status_code == 200


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (SIGN_IN, {"email": "a", "password": "b", "admin": "1"}),
        (f"{SIGN_IN}/code", {"step": "a", "code": "b", "x": "1"}),
    ],
)
async def test_a_field_that_no_form_has_is_refused(visiting: Visiting, path: str, fields: dict[str, str]) -> None:
    assert (await visiting.post(path, fields)).status_code == 400


async def test_no_page_of_the_door_has_a_secret_in_its_address_bar_leave_it(visiting: Visiting) -> None:
    link = await visiting.control.plane.person.issuer.make_for_owner(BOOTSTRAP)
    page = await visiting.http.get(link.address(""))
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert link.token not in page.text
