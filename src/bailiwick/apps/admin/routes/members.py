"""`/admin/v1/tenants/{id}/members`."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response

from bailiwick.apps.admin.member_wire import MemberBody, MemberShown, member_asked, member_body
from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtMember, AtTenant, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.identifiers import identifier_field
from bailiwick.domain.members import Member, MemberSpec
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import member_document

_LIST: Final = "/admin/v1/tenants/{tenant_id}/members"
_ITEM: Final = "/admin/v1/tenants/{tenant_id}/members/{member_id}"
_READ: Final = needs(AdminPermission.MEMBERS_READ)
_WRITE: Final = needs(AdminPermission.MEMBERS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["members"])

MemberPatch = Annotated[dict[str, Any], Body(), PatchOf(MemberBody)]
Subject = Annotated[str | None, Query(description="Only those of this subject, of whatever issuer.")]


@router.get(_LIST, response_model=Listed[MemberShown], openapi_extra=_READ)
async def list_members(
    plane: Plane, tenant_id: AtTenant, limit: Limit = None, after: After = None, subject: Subject = None
) -> Document:
    """List the members of a tenant."""
    page = page_of(ids.MEMBER, limit, after)
    if subject is not None:
        identifier_field("subject", subject)
    return listed(await plane.members.list(tenant_id, page, subject=subject), member_document)


@router.post(_LIST, status_code=201, response_model=MemberShown, openapi_extra=_WRITE)
async def add_member(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, tenant_id: AtTenant, body: MemberBody
) -> Document:
    """Add a member."""
    spec = member_asked(body, public_url=plane.public_url)
    document = member_document(await plane.members.add(actor, tenant_id, spec))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=MemberShown, openapi_extra=_READ)
async def read_member(plane: Plane, tenant_id: AtTenant, member_id: AtMember) -> Document:
    """Read a member."""
    return member_document(await plane.members.find(tenant_id, member_id))


@router.patch(_ITEM, response_model=MemberShown, openapi_extra=_WRITE)
async def change_member(
    plane: Plane, actor: CurrentActor, tenant_id: AtTenant, member_id: AtMember, patch: MemberPatch, expected: IfMatch
) -> Document:
    """Change a member's role, scopes and tier, for tokens that are out already too."""

    def change(member: Member) -> MemberSpec:
        body = read_patched(MemberBody, member_body(member), patch)
        return member_asked(body, public_url=plane.public_url)

    return member_document(await plane.members.change(actor, tenant_id, member_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_member(
    plane: Plane, actor: CurrentActor, tenant_id: AtTenant, member_id: AtMember, expected: IfMatch
) -> None:
    """Remove a member: their tokens are refused within a second, and answers on their way end."""
    await plane.members.remove(actor, tenant_id, member_id, expected=expected)
