"""Providers: of a project, of a tenant, and of the platform (`/admin/v1/providers`)."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProvider, AtProviders, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, ProviderShown, ProviderTestShown, listed
from bailiwick.apps.admin.wire import EmptyBody, PatchOf, ProviderBody, provider_asked, provider_body, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.providers import Provider, ProviderSpec
from bailiwick.services.documents import provider_document
from bailiwick.services.provider_accounts import SecretChange

_PLATFORM: Final = "/admin/v1/providers"
_TENANT: Final = "/admin/v1/tenants/{tenant_id}/providers"
_PROJECT: Final = "/admin/v1/projects/{project_id}/providers"
_ID: Final = "/{provider_id}"
_WRITE: Final = AdminPermission.PROVIDERS_WRITE
_WRITE_PLATFORM: Final = AdminPermission.PLATFORM_PROVIDERS_WRITE

router = APIRouter(route_class=ControlRoute, tags=["providers"])

ProviderPatch = Annotated[dict[str, Any], Body(), PatchOf(ProviderBody)]


@router.get(_PROJECT, response_model=Listed[ProviderShown], openapi_extra=needs(AdminPermission.PROVIDERS_READ))
@router.get(_TENANT, response_model=Listed[ProviderShown], openapi_extra=needs(AdminPermission.PROVIDERS_READ))
@router.get(
    _PLATFORM, response_model=Listed[ProviderShown], openapi_extra=needs(AdminPermission.PLATFORM_PROVIDERS_READ)
)
async def list_providers(
    plane: Plane, actor: CurrentActor, at: AtProviders, limit: Limit = None, after: After = None
) -> Document:
    """List the providers of this place alone."""
    page = await plane.providers.list(actor, at, page_of(ids.PROVIDER, limit, after))
    return listed(page, provider_document)


@router.post(_PROJECT, status_code=201, response_model=ProviderShown, openapi_extra=needs(_WRITE))
@router.post(_TENANT, status_code=201, response_model=ProviderShown, openapi_extra=needs(_WRITE))
@router.post(
    _PLATFORM,
    status_code=201,
    response_model=ProviderShown,
    openapi_extra=needs(_WRITE_PLATFORM),
)
async def create_provider(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtProviders, body: ProviderBody
) -> Document:
    """Set up a provider. Its API key is sealed, and never shown again."""
    provider = await plane.providers.create(actor, at, provider_asked(body), body.api_key)
    document = provider_document(provider)
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_PROJECT + _ID, response_model=ProviderShown, openapi_extra=needs(AdminPermission.PROVIDERS_READ))
@router.get(_TENANT + _ID, response_model=ProviderShown, openapi_extra=needs(AdminPermission.PROVIDERS_READ))
@router.get(_PLATFORM + _ID, response_model=ProviderShown, openapi_extra=needs(AdminPermission.PLATFORM_PROVIDERS_READ))
async def read_provider(plane: Plane, actor: CurrentActor, at: AtProviders, provider_id: AtProvider) -> Document:
    """Read a provider; of its API key only whether there is one."""
    return provider_document(await plane.providers.find(actor, at, provider_id))


@router.patch(_PROJECT + _ID, response_model=ProviderShown, openapi_extra=needs(_WRITE))
@router.patch(_TENANT + _ID, response_model=ProviderShown, openapi_extra=needs(_WRITE))
@router.patch(_PLATFORM + _ID, response_model=ProviderShown, openapi_extra=needs(_WRITE_PLATFORM))
async def change_provider(
    plane: Plane, actor: CurrentActor, at: AtProviders, provider_id: AtProvider, patch: ProviderPatch, expected: IfMatch
) -> Document:
    """Change a provider. Another `base_url` needs the API key again: a key only goes where it was given for."""

    def change(provider: Provider) -> tuple[ProviderSpec, SecretChange | None]:
        body = read_patched(ProviderBody, provider_body(provider), patch)
        return provider_asked(body), SecretChange(secret=body.api_key) if "api_key" in patch else None

    return provider_document(await plane.providers.change(actor, at, provider_id, change, expected=expected))


@router.post(f"{_PROJECT}{_ID}/test", response_model=ProviderTestShown, openapi_extra=needs(_WRITE))
@router.post(f"{_TENANT}{_ID}/test", response_model=ProviderTestShown, openapi_extra=needs(_WRITE))
@router.post(f"{_PLATFORM}{_ID}/test", response_model=ProviderTestShown, openapi_extra=needs(_WRITE_PLATFORM))
async def try_provider(
    plane: Plane, actor: CurrentActor, at: AtProviders, provider_id: AtProvider, _body: EmptyBody | None = None
) -> Document:
    """Ask a provider for its models with the account that is set up, to see whether it answers."""
    return asdict(await plane.provider_tests.test(actor, at, provider_id))


@router.delete(_PROJECT + _ID, status_code=204, openapi_extra=needs(_WRITE))
@router.delete(_TENANT + _ID, status_code=204, openapi_extra=needs(_WRITE))
@router.delete(_PLATFORM + _ID, status_code=204, openapi_extra=needs(_WRITE_PLATFORM))
async def remove_provider(
    plane: Plane, actor: CurrentActor, at: AtProviders, provider_id: AtProvider, expected: IfMatch
) -> None:
    """Remove a provider."""
    await plane.providers.remove(actor, at, provider_id, expected=expected)
