"""What happens to a request of somebody who is not signed in yet: where their form comes from, and what it says.

There is no session, and so no token of one; what stands for it is what the browser itself says of the form's origin.
Where the browser is sent on is one of our own addresses, never one that a request names.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bailiwick.apps.dashboard.forms import EMPTY, Form, errors_of, read_form
from bailiwick.apps.dashboard.page import ROOT, Site, refusal, surroundings
from bailiwick.apps.dashboard.rendering import HEADERS
from bailiwick.apps.http.browser import browser_of
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.bootstrap.person_access import PersonAccess
from bailiwick.domain.errors import Refused
from bailiwick.domain.sign_in import Browser
from bailiwick.services.sessions import SignedIn

# An address of ours without anything that a browser could read otherwise: no `//`, no `\`, no query.
_NEXT: Final = re.compile(rf"{ROOT}(?:/[A-Za-z0-9_-]+)*")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One request of somebody who is at the door."""

    request: Request
    site: Site
    cookie: SessionCookie
    form: Form

    @property
    def access(self) -> PersonAccess:
        """The use cases."""
        return self.site.plane.person

    @property
    def browser(self) -> Browser:
        """Where it came from."""
        return browser_of(self.request)

    @property
    def next(self) -> str:
        """Where to go on to, as the form or the address has it if it is one of ours; else the start."""
        wanted = self.form.text("next") or self.request.query_params.get("next", "")
        return wanted if _NEXT.fullmatch(wanted) else ROOT

    def show(self, template: str, *, status: int = 200, **values: object) -> Response:
        """Answer with a page."""
        given = {"form": self.form, "errors": {}, "refused": "", "next": self.next, "secure": self.cookie.secure}
        answer = {**surroundings(self.site, self.request), **given, **values}
        return self.site.renderer.page(f"sign_in/{template}.html", answer, status=status)

    def again(self, template: str, refused: Refused, **values: object) -> Response:
        """Answer with the form once more: with what is wrong with its fields, or with what was refused."""
        try:
            errors = {error.field: error.message for error in errors_of(refused)}
        except Refused:
            errors = {}
        told = "" if any(errors) else refused.message
        response = self.show(template, status=refused.status, errors=errors, refused=told, **values)
        if refused.retry_after is not None:
            response.headers["retry-after"] = str(refused.retry_after)
        return response

    async def ask_password(self, refused: Refused | None = None) -> Response:
        """Show the first step, with the providers by which people can sign in as well."""
        providers = (await self.access.providers.offered()).items
        if refused is None:
            return self.show("password", providers=providers)
        return self.again("password", refused, providers=providers)

    async def welcome(self, opened: SignedIn, *, to: str = "") -> Response:
        """Have the browser keep its new session, in place of any that it had, and send it on."""
        if (before := self.cookie.read(self.request)) is not None:
            await self.access.sessions.sign_out(before, self.browser)
        response = RedirectResponse(to or self.next, 303, headers=HEADERS)
        self.cookie.give(response, opened.token)
        return response


Handler = Callable[[Arrival], Awaitable[Response]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """An address that takes no session."""

    path: str
    handler: Handler
    method: str = "GET"

    def route(self, site: Site, cookie: SessionCookie) -> Route:
        """The address with everything that comes before its handler."""

        async def answer(request: Request) -> Response:
            try:
                form = EMPTY
                if self.method == "POST":
                    cookie.check_origin(request)
                    form = await read_form(request)
                return await self.handler(Arrival(request=request, site=site, cookie=cookie, form=form))
            except Refused as refused:
                return refusal(site, request, refused)

        return Route(ROOT + self.path, answer, methods=[self.method])
