"""`/admin/v1/tenants/{id}/roles`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtRole, AtTenant, IfMatch, Limit, page_of
from bailiwick.apps.admin.role_wire import RoleBody, RoleShown, role_asked, role_body
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.roles import Role, RoleSpec
from bailiwick.services.documents import role_document

_LIST: Final = "/admin/v1/tenants/{tenant_id}/roles"
_ITEM: Final = "/admin/v1/tenants/{tenant_id}/roles/{role_id}"
_READ: Final = needs(AdminPermission.ROLES_READ)
_WRITE: Final = needs(AdminPermission.ROLES_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["roles"])

RolePatch = Annotated[dict[str, Any], Body(), PatchOf(RoleBody)]


@router.get(_LIST, response_model=Listed[RoleShown], openapi_extra=_READ)
async def list_roles(plane: Plane, tenant_id: AtTenant, limit: Limit = None, after: After = None) -> Document:
    """List the roles of a tenant's own."""
    return listed(await plane.roles.list(tenant_id, page_of(ids.ROLE, limit, after)), role_document)


@router.post(_LIST, status_code=201, response_model=RoleShown, openapi_extra=_WRITE)
async def create_role(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, tenant_id: AtTenant, body: RoleBody
) -> Document:
    """Make a role."""
    document = role_document(await plane.roles.create(actor, tenant_id, role_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=RoleShown, openapi_extra=_READ)
async def read_role(plane: Plane, tenant_id: AtTenant, role_id: AtRole) -> Document:
    """Read a role."""
    return role_document(await plane.roles.find(tenant_id, role_id))


@router.patch(_ITEM, response_model=RoleShown, openapi_extra=_WRITE)
async def change_role(
    plane: Plane, actor: CurrentActor, tenant_id: AtTenant, role_id: AtRole, patch: RolePatch, expected: IfMatch
) -> Document:
    """Change a role, for whoever has it already too."""

    def change(role: Role) -> RoleSpec:
        return role_asked(read_patched(RoleBody, role_body(role), patch))

    return role_document(await plane.roles.change(actor, tenant_id, role_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_role(
    plane: Plane, actor: CurrentActor, tenant_id: AtTenant, role_id: AtRole, expected: IfMatch
) -> None:
    """Remove a role that no member has. Tokens that name it hold nothing any more."""
    await plane.roles.remove(actor, tenant_id, role_id, expected=expected)
