"""`/admin/v1/sign-in/providers`: the OpenID providers by which people sign in."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtSignInProvider, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, SignInProviderShown, listed
from bailiwick.apps.admin.sign_in_bodies import (
    SignInProviderBody,
    secret_asked,
    sign_in_provider_asked,
    sign_in_provider_body,
)
from bailiwick.apps.admin.wire import PatchOf, read_body_as
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document, merged
from bailiwick.domain.sign_in_providers import SignInProvider, SignInProviderSpec
from bailiwick.services.documents import sign_in_provider_document
from bailiwick.services.provider_accounts import SecretChange

_LIST: Final = "/admin/v1/sign-in/providers"
_ITEM: Final = "/admin/v1/sign-in/providers/{sign_in_provider_id}"
_READ: Final = needs(AdminPermission.SIGN_IN_READ)
_WRITE: Final = needs(AdminPermission.SIGN_IN_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["sign-in"])

ProviderPatch = Annotated[dict[str, Any], Body(), PatchOf(SignInProviderBody)]


@router.get(_LIST, response_model=Listed[SignInProviderShown], openapi_extra=_READ)
async def list_sign_in_providers(plane: Plane, limit: Limit = None, after: After = None) -> Document:
    """List the providers by which people sign in."""
    page = await plane.person.providers.list(page_of(ids.SIGN_IN_PROVIDER, limit, after))
    return listed(page, sign_in_provider_document)


@router.post(_LIST, status_code=201, response_model=SignInProviderShown, openapi_extra=_WRITE)
async def create_sign_in_provider(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, body: SignInProviderBody
) -> Document:
    """Let people sign in by a provider."""
    provider = await plane.person.providers.create(actor, sign_in_provider_asked(body), body.client_secret)
    document = sign_in_provider_document(provider)
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=SignInProviderShown, openapi_extra=_READ)
async def read_sign_in_provider(plane: Plane, at: AtSignInProvider) -> Document:
    """Read a provider."""
    return sign_in_provider_document(await plane.person.providers.find(at))


@router.patch(_ITEM, response_model=SignInProviderShown, openapi_extra=_WRITE)
async def change_sign_in_provider(
    plane: Plane, actor: CurrentActor, at: AtSignInProvider, patch: ProviderPatch, expected: IfMatch
) -> Document:
    """Change a provider; its issuer stays."""

    def change(provider: SignInProvider) -> tuple[SignInProviderSpec, SecretChange | None]:
        body = read_body_as(SignInProviderBody, merged(sign_in_provider_body(provider), patch))
        return sign_in_provider_asked(body), secret_asked(body, patch)

    return sign_in_provider_document(await plane.person.providers.change(actor, at, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_sign_in_provider(plane: Plane, actor: CurrentActor, at: AtSignInProvider, expected: IfMatch) -> None:
    """Remove a provider; whoever came by it stays an operator, and cannot sign in by it any more."""
    await plane.person.providers.remove(actor, at, expected=expected)
