"""What happens to every request of `/admin/v1`, in this order: who asks, may they, with what parameters and body.

Whoever has no operator key learns nothing and costs one look-up; whoever may not do what the address does, or not
there, is told so before the body is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final, final

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.responses import Response

from bailiwick.apps.admin.address import tenant_of_address
from bailiwick.apps.admin.body import read_body
from bailiwick.apps.admin.needs import stated
from bailiwick.apps.admin.repeating import once
from bailiwick.apps.admin.shown import ItemShown
from bailiwick.apps.http.session_cookie import CSRF_HEADER, SessionCookie
from bailiwick.bootstrap.control import ControlPlane
from bailiwick.domain.administration import authorize
from bailiwick.domain.audit import Actor
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import FieldError, Invalid
from bailiwick.domain.operators import Operator
from bailiwick.domain.versions import etag

_BEARER: Final = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +([!-~]+) *")


@final
class ControlRoute(APIRoute):
    """An address of the control plane."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Put authentication and reading before the framework's own handling."""
        handle = super().get_route_handler()
        shown = _item(self.response_model)
        secrets = frozenset() if shown is None else shown.secrets
        unversioned = frozenset() if shown is None else shown.secrets | shown.unversioned
        needed = stated(self.openapi_extra, self.path)
        parameters = frozenset(field.alias for field in self.dependant.query_params).union(
            *((field.alias for field in dependency.query_params) for dependency in self.dependant.dependencies)
        )

        async def handle_versioned(request: Request) -> Response:
            response = await handle(request)
            if shown is not None and response.body:
                response.headers["ETag"] = _version(response, unversioned)
            return response

        async def handle_control(request: Request) -> Response:
            plane: ControlPlane = request.app.state.plane
            operator = await _operator(request, plane)
            # Only the gateway's relay can say this: the socket is its own.
            ip = request.headers.get("x-forwarded-for")
            request.state.actor = Actor.of(operator, request_id=request.state.request_id, ip=ip)
            authorize(operator, needed.permission).or_raise()
            request.state.tenant_id = await tenant_of_address(request, plane)
            if not (needed.confined and request.state.tenant_id is None):
                plane.confinement.keep(operator, request.state.tenant_id)
            _check_parameters(request, parameters)
            return await once(await read_body(request), handle_versioned, secrets)

        return handle_control


def _item(model: object) -> type[ItemShown] | None:
    """What a route answers with, if it is one resource."""
    return model if isinstance(model, type) and issubclass(model, ItemShown) else None


def _version(response: Response, unversioned: frozenset[str]) -> str:
    return etag(json.loads(bytes(response.body)), unversioned)


async def _operator(request: Request, plane: ControlPlane) -> Operator:
    """Say who asks, by a key or by the session of their browser; raises `Refused` (400, 401, 403)."""
    cookie = SessionCookie(plane.public_url)
    token = cookie.read(request)
    if token is None:
        return await plane.operators.authenticate(_credential(request))
    if "authorization" in request.headers:
        raise Refused(Code.AMBIGUOUS_CREDENTIALS, "Send an Authorization header or a session's cookie, not both.")
    session = await plane.person.sessions.find(token)
    if session is None:
        raise Refused(Code.INVALID_CREDENTIALS, "The session has ended. Sign in again.")
    cookie.check(request, plane.person.sessions.csrf(token), request.headers.get(CSRF_HEADER, ""))
    return session.person.operator


def _credential(request: Request) -> str | None:
    values = request.headers.getlist("authorization")
    if not values:
        return None
    if len(values) > 1:
        raise Refused(Code.AMBIGUOUS_CREDENTIALS, "Send one Authorization header.")
    match = _BEARER.fullmatch(values[0])
    # No key has this form, so it is refused as any other malformed one.
    return "" if match is None else match[1]


def _check_parameters(request: Request, known: frozenset[str]) -> None:
    """Refuse what would be ignored: parameters that nobody asks for, and all but one of the same name."""
    names = [name for name, _ in request.query_params.multi_items()]
    errors = [
        FieldError(field=name[:100], message="unknown parameter" if name not in known else "must be given once")
        for name in dict.fromkeys(names)
        if name not in known or names.count(name) > 1
    ]
    if errors:
        raise Invalid(*errors)


def _plane(request: Request) -> ControlPlane:
    plane: ControlPlane = request.app.state.plane
    return plane


def _actor(request: Request) -> Actor:
    actor: Actor = request.state.actor
    return actor


Plane = Annotated[ControlPlane, Depends(_plane)]
CurrentActor = Annotated[Actor, Depends(_actor)]
