"""The control plane as an ASGI application."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from uuid import UUID

from fastapi import FastAPI
from starlette.applications import Starlette

from bailiwick.apps.admin.edge import Edge
from bailiwick.apps.admin.openapi import describe
from bailiwick.apps.admin.problems import add_handlers
from bailiwick.apps.admin.route import ControlRoute
from bailiwick.apps.admin.routes import (
    agents,
    audit,
    budgets,
    issuers,
    keys,
    mcp_servers,
    members,
    operator_keys,
    operators,
    projects,
    providers,
    requests,
    revocations,
    roles,
    sessions,
    sign_in,
    signing_keys,
    tenants,
    tiers,
    tokens,
    usage,
    users,
    webhooks,
)
from bailiwick.apps.dashboard.app import mounted
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.telemetry.logs import Log


def create_app(
    plane: ControlPlane,
    *,
    new_id: Callable[[], UUID],
    monotonic: Callable[[], float],
    log: Log,
    dashboard: Starlette | None = None,
) -> FastAPI:
    """Put the control plane behind HTTP. `new_id` names requests; `monotonic` (seconds) times them."""
    app = FastAPI(
        title="Bailiwick control plane",
        openapi_url="/admin/openapi.json",
        docs_url=None,
        redoc_url=None,
        # A redirect would be built from the request's Host, which anybody can choose.
        redirect_slashes=False,
    )
    app.state.plane = plane
    resources = (
        *(tenants, projects, keys, tiers, budgets, revocations, providers, usage, users, requests, audit),
        *(
            agents,
            issuers,
            mcp_servers,
            members,
            roles,
            operator_keys,
            operators,
            sessions,
            sign_in,
            signing_keys,
            tokens,
            webhooks,
        ),
    )
    routers = [resource.router for resource in resources]
    for router in routers:
        if strays := [route for route in router.routes if not isinstance(route, ControlRoute)]:
            msg = f"routes that ask nobody who they are: {strays}"
            raise TypeError(msg)
        # As they are, made once when their modules are read: `include_router` would make each anew, for every app.
        app.router.routes.extend(router.routes)
    if dashboard is not None:
        app.router.routes.extend(mounted(dashboard))
    add_handlers(app, [route for router in routers for route in router.routes])
    app.openapi = describe(app, version=version("bailiwick"))  # type: ignore[method-assign]
    app.add_middleware(Edge, new_id=new_id, monotonic=monotonic, log=log)
    return app
