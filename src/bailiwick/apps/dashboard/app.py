"""The dashboard as an ASGI application, and its place in the control plane's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bailiwick.apps.dashboard.assets import PREFIX, own_assets
from bailiwick.apps.dashboard.page import ROOT, Page, Site, refusal
from bailiwick.apps.dashboard.pages import (
    agents,
    audit,
    budgets,
    installation,
    issuers,
    keys,
    limits,
    mcp_servers,
    members,
    models,
    operator_keys,
    operators,
    origins,
    playground,
    projects,
    providers,
    requests,
    revocations,
    roles,
    settings,
    sign_in_providers,
    tenants,
    tiers,
    tool_fields,
    usage,
    users,
    webhooks,
)
from bailiwick.apps.dashboard.rendering import Renderer
from bailiwick.apps.dashboard.sign_in import account, provider
from bailiwick.apps.dashboard.sign_in.pages import DOORS
from bailiwick.apps.dashboard.visitor import Visitors
from bailiwick.apps.http.session_cookie import SessionCookie
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain.errors import Code, Refused
from bailiwick.services.absence import not_found
from bailiwick.services.recent import Recent

PAGES: Final[Sequence[Page]] = (
    *usage.PAGES,
    *installation.PAGES,
    *projects.PAGES,
    *keys.PAGES,
    *limits.PAGES,
    *tiers.PAGES,
    *budgets.PAGES,
    *webhooks.PAGES,
    *tool_fields.PAGES,
    *models.PAGES,
    *agents.PAGES,
    *playground.PAGES,
    *mcp_servers.PAGES,
    *issuers.PAGES,
    *revocations.PAGES,
    *origins.PAGES,
    *settings.PAGES,
    *account.PAGES,
    *users.PAGES,
    *tenants.PAGES,
    *members.PAGES,
    *roles.PAGES,
    *providers.PAGES,
    *operators.PAGES,
    *operator_keys.PAGES,
    *sign_in_providers.PAGES,
    *audit.PAGES,
    *requests.PAGES,
)


def create_dashboard(plane: ControlPlane, visitors: Visitors, *, public_url: str) -> Starlette:
    """Put the control plane behind pages. `public_url` is where clients call, as it is shown to them."""
    site = Site(plane=plane, visitors=visitors, renderer=Renderer(), public_url=public_url.rstrip("/"), pieces=Recent())

    async def refused(request: Request, error: Exception) -> Response:
        if isinstance(error, Refused):
            return refusal(site, request, error)
        if isinstance(error, HTTPException) and error.status_code == 405:  # noqa: PLR2004 - the framework's own number
            message = "This address does not take this method."
            return refusal(site, request, Refused(Code.METHOD_NOT_ALLOWED, message))
        return refusal(site, request, not_found())

    async def unexpected(request: Request, _error: Exception) -> Response:
        # What it was is for the log, to which the framework passes it on.
        return refusal(
            site, request, Refused(Code.INTERNAL_ERROR, "Something went wrong here, and it is not your fault.")
        )

    cookie = SessionCookie(plane.public_url)
    routes = [page.route(site) for page in PAGES] + [door.route(site, cookie) for door in (*DOORS, *provider.DOORS)]
    static = Route(f"{PREFIX}/{{file:path}}", own_assets().serve)
    app = Starlette(
        routes=[*routes, static], exception_handlers={HTTPException: refused, Refused: refused, Exception: unexpected}
    )
    app.router.redirect_slashes = False
    return app


def mounted(dashboard: Starlette) -> list[Route]:
    """The addresses of an application around it that lead into the dashboard."""
    return [Route(ROOT, dashboard), Route(f"{ROOT}/{{rest:path}}", dashboard)]
