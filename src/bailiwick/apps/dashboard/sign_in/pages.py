"""Signing in, by password and code or by a link; and signing out."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from bailiwick.apps.dashboard.forms import CSRF
from bailiwick.apps.dashboard.page import ROOT, SIGN_IN
from bailiwick.apps.dashboard.rendering import HEADERS
from bailiwick.apps.dashboard.sign_in.door import Arrival, Door
from bailiwick.domain.errors import Code, Refused
from bailiwick.services.sign_in import CodeNeeded
from bailiwick.services.sign_in_links import Chosen


async def show_sign_in(at: Arrival) -> Response:
    """The form; whoever is signed in goes on."""
    token = at.cookie.read(at.request)
    if token is not None and await at.access.sessions.find(token) is not None:
        return RedirectResponse(at.next, 303, headers=HEADERS)
    return await at.ask_password()


async def sign_in(at: Arrival) -> Response:
    """Sign in by password, or ask for a code."""
    form = at.form.known("email", "password", "next")
    try:
        found = await at.access.sign_in.with_password(form.text("email"), form.text("password"), at.browser)
    except Refused as refused:
        return await at.ask_password(refused)
    if isinstance(found, CodeNeeded):
        return at.show("code", step=found.step)
    return await at.welcome(found)


async def give_code(at: Arrival) -> Response:
    """Go on with a code."""
    form = at.form.known("step", "code", "next")
    try:
        opened = await at.access.sign_in.with_code(form.text("step"), form.text("code"), at.browser)
    except Refused as refused:
        if refused.code is Code.EXPIRED_CREDENTIALS:
            return await at.ask_password(refused)
        return at.again("code", refused, step=form.text("step"))
    return await at.welcome(opened)


async def show_link(at: Arrival) -> Response:
    """What a link is good for; looking at it does not use it up."""
    use = await at.access.links.find(at.request.path_params["token"])
    return at.show("link", use=use)


async def follow_link(at: Arrival) -> Response:
    """Set the password that was chosen, and go on to the account, where a second factor can be set up."""
    form = at.form.known("email", "name", "password", "code")
    token = at.request.path_params["token"]
    use = await at.access.links.find(token)
    chosen = Chosen(
        email=form.text("email"), name=form.text("name"), password=form.text("password"), code=form.text("code")
    )
    try:
        opened = await at.access.links.use(token, chosen, at.browser)
    except Refused as refused:
        return at.again("link", refused, use=use)
    return await at.welcome(opened, to=f"{ROOT}/account?done=welcome")


async def sign_out(at: Arrival) -> Response:
    """End the session of this browser; a form of another session ends nothing."""
    token = at.cookie.read(at.request)
    response = RedirectResponse(f"{SIGN_IN}?done=signed-out", 303, headers=HEADERS)
    if token is not None:
        at.cookie.check(at.request, at.access.sessions.csrf(token), at.form.known().text(CSRF))
        await at.access.sessions.sign_out(token, at.browser)
    at.cookie.take_away(response)
    return response


DOORS: Final = (
    Door(path="/sign-in", handler=show_sign_in),
    Door(path="/sign-in", handler=sign_in, method="POST"),
    Door(path="/sign-in/code", handler=give_code, method="POST"),
    Door(path="/sign-in/link/{token}", handler=show_link),
    Door(path="/sign-in/link/{token}", handler=follow_link, method="POST"),
    Door(path="/sign-out", handler=sign_out, method="POST"),
)
