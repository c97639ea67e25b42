"""Signing in by an OpenID provider: going there, and coming back."""

from __future__ import annotations

from typing import Final

from starlette.responses import RedirectResponse, Response

from bailiwick.apps.dashboard.rendering import HEADERS
from bailiwick.apps.dashboard.sign_in.door import Arrival, Door
from bailiwick.domain import ids
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import SignInProviderId
from bailiwick.services.absence import found
from bailiwick.services.provider_sign_in import CALLBACK, Answer

_LONGEST: Final = 4096


async def leave(at: Arrival) -> Response:
    """Send the browser to the provider, with what it is to keep until it comes back."""
    try:
        departure = await at.access.provider_sign_in.begin(_provider_id(at), at.next)
    except Refused as refused:
        return await at.ask_password(refused)
    response = RedirectResponse(departure.address, 303, headers=HEADERS)
    at.cookie.keep_flow(response, departure.kept)
    return response


async def come_back(at: Arrival) -> Response:
    """Take what the provider said; whatever it was, the browser keeps nothing of it."""
    query = at.request.query_params
    answer = Answer(
        kept=at.cookie.read_flow(at.request) or "",
        state=query.get("state", "")[:_LONGEST],
        code=query.get("code", "")[:_LONGEST],
        issuer=query.get("iss"),
        error=query.get("error", ""),
    )
    try:
        opened, onward = await at.access.provider_sign_in.finish(_provider_id(at), answer, at.browser)
    except Refused as refused:
        response = await at.ask_password(refused)
    else:
        response = await at.welcome(opened, to=onward)
    at.cookie.drop_flow(response)
    return response


def _provider_id(at: Arrival) -> SignInProviderId:
    return SignInProviderId(found(ids.parsed(ids.SIGN_IN_PROVIDER, at.request.path_params["provider_id"])))


DOORS: Final = (
    Door(path="/sign-in/with/{provider_id}", handler=leave),
    Door(path=CALLBACK.removeprefix("/dashboard") + "{provider_id}", handler=come_back),
)
