"""What happens to every request of the dashboard, in this order: who asks, may they, what does their form say.

Whoever is not signed in is sent to sign in and nothing else is done. A form must prove that it is the visitor's own,
by its token and by where the browser says it comes from, before it is read for what it asks.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, final
from urllib.parse import parse_qs, quote, urlencode

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from bailiwick.apps.admin.address import id_of, tenant_of_address
from bailiwick.apps.dashboard.forms import CSRF, EMPTY, Form, errors_of, read_form
from bailiwick.apps.dashboard.menu import MENU, Entry
from bailiwick.apps.dashboard.rendering import HEADERS, Renderer
from bailiwick.apps.dashboard.visitor import Visitor, Visitors
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission, authorize
from bailiwick.domain.audit import Actor
from bailiwick.domain.errors import Refused, Unavailable
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.operators import Operator
from bailiwick.domain.paging import DEFAULT_LIMIT, PageRequest
from bailiwick.services.absence import found, not_found
from bailiwick.services.recent import Recent

ROOT: Final = "/dashboard"
SIGN_IN: Final = f"{ROOT}/sign-in"
_THEMES: Final = frozenset({"light", "dark"})
_THEME_COOKIE: Final = "bailiwick-theme"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A part of a page, and how many calls it tells of."""

    calls: int
    html: Markup


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What every page is made with. `public_url` is the address that clients use, without a slash at its end.

    `pieces` are what was drawn lately of usage, the same for everybody who may see it.
    """

    plane: ControlPlane
    visitors: Visitors
    renderer: Renderer
    public_url: str
    pieces: Recent[Piece]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One request of somebody who is signed in and may make it. `tenant` is whose the address is, if it says so."""

    request: Request
    site: Site
    visitor: Visitor
    form: Form
    tenant: TenantId | None

    @property
    def plane(self) -> ControlPlane:
        """The use cases."""
        return self.site.plane

    @property
    def operator(self) -> Operator:
        """Who asks."""
        return self.visitor.operator

    @property
    def actor(self) -> Actor:
        """Who asks, as the audit log names them."""
        return actor_of(self.request, self.operator)

    @property
    def tenant_id(self) -> TenantId:
        """The tenant that the address is about; raises `Refused` (404)."""
        return found(self.tenant)

    @property
    def at(self) -> tuple[TenantId, ProjectId]:
        """The project that the address names, and whose it is; raises `Refused` (404)."""
        return self.tenant_id, ProjectId(id_of(self.request, "project_id", ids.PROJECT))

    def may(self, permission: str) -> bool:
        """Whether the visitor may exercise a permission of the control plane: what they may not is not offered."""
        return authorize(self.operator, AdminPermission(permission)).allowed

    def menu(self) -> list[Entry]:
        """Where the visitor can go."""
        return [entry for entry in MENU if self.may(entry.needs)]

    def asked(self, name: str) -> str:
        """A parameter of the address, "" if it is not there; raises `Refused` (404) for what is no text."""
        try:
            found = parse_qs(self.request.url.query, keep_blank_values=True, errors="strict").get(name, [""])
        except ValueError:
            raise not_found() from None
        return found[-1]

    def page(self, prefix: str) -> PageRequest:
        """Which page of a list is asked for, by the id of the last item that was seen; raises `Refused` (404)."""
        after = self.asked("after")
        return PageRequest(limit=DEFAULT_LIMIT, after=found(ids.parsed(prefix, after)) if after else None)

    def show(self, template: str, **values: object) -> Response:
        """Answer with a page."""
        return self._filled(template, values)

    def answer(self, template: str, status: int, **values: object) -> Response:
        """Answer with a page that has a status of its own."""
        return self._filled(template, values, status=status)

    def again(self, template: str, refused: Refused, **values: object) -> Response:
        """Answer with the form as it was sent, and what is wrong with it; raises what no field could mend."""
        errors: dict[str, str] = {}
        for error in errors_of(refused):
            errors.setdefault(error.field, error.message)
        return self._filled(template, {**values, "errors": errors}, status=refused.status)

    def _filled(self, template: str, values: Mapping[str, object], *, status: int = 200) -> Response:
        given = {"visit": self, "now": self.plane.acts.now(), "form": self.form, "errors": {}, **values}
        return self.site.renderer.page(template, {**surroundings(self.site, self.request), **given}, status=status)

    def go(self, address: str, done: str = "", **query: str) -> Response:
        """Send the browser on after something was done; `done` is one of the words that `ui.html` knows."""
        told = urlencode({**query, **({"done": done} if done else {})})
        return RedirectResponse(ROOT + address + (f"?{told}" if told else ""), 303, headers=HEADERS)


Handler = Callable[[Visit], Awaitable[Response]]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """An address of the dashboard, and the permission that it takes.

    A page that names no tenant is the installation's, unless it is `confined`: then its service keeps to what the
    visitor reaches.
    """

    path: str
    handler: Handler
    needs: AdminPermission
    method: str = "GET"
    confined: bool = False

    def route(self, site: Site) -> Route:
        """The address with everything that comes before its handler."""

        async def answer(request: Request) -> Response:
            try:
                project = ids.parsed(ids.PROJECT, request.path_params.get("project_id", ""))
                visitor = await site.visitors.find(request, project)
                if visitor is None:
                    return _to_sign_in(request)
                request.state.actor = actor_of(request, visitor.operator)
                return await self.handler(await self._visit(site, request, visitor))
            except Refused as refused:
                return refusal(site, request, refused)

        return Route(ROOT + self.path, answer, methods=[self.method])

    async def _visit(self, site: Site, request: Request, visitor: Visitor) -> Visit:
        """The request, once it is known to be allowed; raises `Refused`."""
        authorize(visitor.operator, self.needs).or_raise()
        tenant = await _tenant(request, site.plane, visitor)
        if not (self.confined and tenant is None):
            site.plane.confinement.keep(visitor.operator, tenant)
        form = EMPTY
        if self.method == "POST":
            cookie = SessionCookie(site.plane.public_url)
            cookie.check_origin(request)
            form = await read_form(request)
            cookie.check(request, visitor.csrf, form.text(CSRF))
        return Visit(request=request, site=site, visitor=visitor, form=form, tenant=tenant)


async def _tenant(request: Request, plane: ControlPlane, visitor: Visitor) -> TenantId | None:
    """The tenant that the address is about, None if about none; raises `Refused` (404)."""
    if "project_id" in request.path_params:
        return found(visitor.project_of)
    return await tenant_of_address(request, plane)


def actor_of(request: Request, operator: Operator) -> Actor:
    """Who asks, as the audit log names them. Only the gateway's relay can say from where: the socket is its own."""
    ip = request.headers.get("x-forwarded-for")
    return Actor.of(operator, request_id=request.state.request_id, ip=ip)


def surroundings(site: Site, request: Request) -> Mapping[str, object]:
    """What every template may ask of the request."""
    theme = request.cookies.get(_THEME_COOKIE, "")
    return {
        "site": site,
        "path": request.url.path,
        "query": request.query_params,
        "theme": theme if theme in _THEMES else "",
        "done": request.query_params.get("done", ""),
    }


def refusal(site: Site, request: Request, refused: Refused) -> Response:
    """Answer with what is wrong and what to do about it."""
    if isinstance(refused, Unavailable):
        request.state.trouble = refused.cause
    response = site.renderer.page(
        "refused.html",
        {**surroundings(site, request), "refused": refused, "request_id": request.state.request_id},
        status=refused.status,
    )
    if refused.retry_after is not None:
        response.headers["retry-after"] = str(refused.retry_after)
    return response


def _to_sign_in(request: Request) -> Response:
    back = "" if request.method != "GET" else f"?next={quote(request.url.path, safe='/')}"
    return RedirectResponse(SIGN_IN + back, 303, headers=HEADERS)
