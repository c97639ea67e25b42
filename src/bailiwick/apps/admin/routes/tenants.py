"""`/admin/v1/tenants`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtTenant, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, TenantShown, listed
from bailiwick.apps.admin.wire import PatchOf, TenantBody, read_patched, tenant_asked, tenant_body
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tenancy import Tenant, TenantSpec
from bailiwick.services.documents import tenant_document

_LIST: Final = "/admin/v1/tenants"
_ITEM: Final = "/admin/v1/tenants/{tenant_id}"

router = APIRouter(route_class=ControlRoute, tags=["tenants"])

TenantPatch = Annotated[dict[str, Any], Body(), PatchOf(TenantBody)]


@router.get(_LIST, response_model=Listed[TenantShown], openapi_extra=needs(AdminPermission.TENANTS_READ, confined=True))
async def list_tenants(plane: Plane, actor: CurrentActor, limit: Limit = None, after: After = None) -> Document:
    """List the tenants of the installation."""
    page = page_of(ids.TENANT, limit, after)
    return listed(await plane.provisioning.list_tenants(actor, page), tenant_document)


@router.post(
    _LIST, status_code=201, response_model=TenantShown, openapi_extra=needs(AdminPermission.TENANTS_ADMINISTER)
)
async def create_tenant(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, body: TenantBody
) -> Document:
    """Make a tenant."""
    document = tenant_document(await plane.provisioning.create_tenant(actor, tenant_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=TenantShown, openapi_extra=needs(AdminPermission.TENANTS_READ))
async def read_tenant(plane: Plane, tenant_id: AtTenant) -> Document:
    """Read a tenant."""
    return tenant_document(await plane.provisioning.find_tenant(tenant_id))


@router.patch(_ITEM, response_model=TenantShown, openapi_extra=needs(AdminPermission.TENANTS_WRITE))
async def change_tenant(
    plane: Plane, actor: CurrentActor, tenant_id: AtTenant, patch: TenantPatch, expected: IfMatch
) -> Document:
    """Change a tenant. While it is suspended, every call of its projects is refused."""

    def change(tenant: Tenant) -> TenantSpec:
        return tenant_asked(read_patched(TenantBody, tenant_body(tenant), patch))

    return tenant_document(await plane.provisioning.change_tenant(actor, tenant_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=needs(AdminPermission.TENANTS_ADMINISTER))
async def remove_tenant(plane: Plane, actor: CurrentActor, tenant_id: AtTenant, expected: IfMatch) -> None:
    """Remove a tenant with its projects, keys and providers. Its ledger and audit rows stay."""
    await plane.provisioning.remove_tenant(actor, tenant_id, expected=expected)
