"""`/admin/v1/tenants/{id}/projects`, and each project at `/admin/v1/projects/{id}` as well."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProject, AtTenant, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, ProjectShown, listed
from bailiwick.apps.admin.wire import PatchOf, ProjectBody, project_asked, project_body, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tenancy import Project, ProjectSpec
from bailiwick.services.documents import project_document

_LIST: Final = "/admin/v1/tenants/{tenant_id}/projects"
_ITEM: Final = "/admin/v1/tenants/{tenant_id}/projects/{project_id}"
_OWN: Final = "/admin/v1/projects/{project_id}"

router = APIRouter(route_class=ControlRoute, tags=["projects"])

ProjectPatch = Annotated[dict[str, Any], Body(), PatchOf(ProjectBody)]


@router.get(_LIST, response_model=Listed[ProjectShown], openapi_extra=needs(AdminPermission.PROJECTS_READ))
async def list_projects(plane: Plane, tenant_id: AtTenant, limit: Limit = None, after: After = None) -> Document:
    """List the projects of a tenant."""
    page = page_of(ids.PROJECT, limit, after)
    return listed(await plane.provisioning.list_projects(tenant_id, page), project_document)


@router.post(_LIST, status_code=201, response_model=ProjectShown, openapi_extra=needs(AdminPermission.PROJECTS_WRITE))
async def create_project(
    request: Request,
    response: Response,
    plane: Plane,
    actor: CurrentActor,
    tenant_id: AtTenant,
    body: ProjectBody,
) -> Document:
    """Make a project."""
    document = project_document(await plane.provisioning.create_project(actor, tenant_id, project_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_OWN, response_model=ProjectShown, openapi_extra=needs(AdminPermission.PROJECTS_READ))
@router.get(_ITEM, response_model=ProjectShown, openapi_extra=needs(AdminPermission.PROJECTS_READ))
async def read_project(plane: Plane, at: AtProject) -> Document:
    """Read a project."""
    return project_document(await plane.provisioning.find_project(*at))


@router.patch(_OWN, response_model=ProjectShown, openapi_extra=needs(AdminPermission.PROJECTS_WRITE))
@router.patch(_ITEM, response_model=ProjectShown, openapi_extra=needs(AdminPermission.PROJECTS_WRITE))
async def change_project(
    plane: Plane, actor: CurrentActor, at: AtProject, patch: ProjectPatch, expected: IfMatch
) -> Document:
    """Change a project. While it is suspended, every call is refused."""

    def change(project: Project) -> ProjectSpec:
        return project_asked(read_patched(ProjectBody, project_body(project), patch))

    return project_document(await plane.provisioning.change_project(actor, *at, change, expected=expected))


@router.delete(_OWN, status_code=204, openapi_extra=needs(AdminPermission.PROJECTS_WRITE))
@router.delete(_ITEM, status_code=204, openapi_extra=needs(AdminPermission.PROJECTS_WRITE))
async def remove_project(plane: Plane, actor: CurrentActor, at: AtProject, expected: IfMatch) -> None:
    """Remove a project with its keys and providers. Its ledger rows stay."""
    await plane.provisioning.remove_project(actor, *at, expected=expected)
