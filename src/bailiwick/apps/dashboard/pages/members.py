"""A tenant's members: who belongs to it, by issuer and subject, with which role; added, changed, removed."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.member_wire import MemberBody, member_asked, member_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.tenants import framed
from bailiwick.apps.dashboard.pages.users import read_uid
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import MemberId
from bailiwick.domain.members import Member, MemberSpec
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.roles import BUILT_IN, FOR_TOKENS
from bailiwick.domain.versions import etag
from bailiwick.services.documents import member_document

_READ: Final = AdminPermission.MEMBERS_READ
_WRITE: Final = AdminPermission.MEMBERS_WRITE
_FIELDS: Final = ("issuer", "subject", "role", "all_scopes", "scopes", "tier")
_SCOPES: Final = tuple(sorted(permission.value for permission in FOR_TOKENS))


async def list_members(visit: Visit) -> Response:
    """Every member, or those of one subject."""
    asked = visit.asked("subject")
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    page = await visit.plane.members.list(
        visit.tenant_id, visit.page(ids.MEMBER), subject=read_uid(asked) if asked else None, is_there=True
    )
    values = {"page": page, "own": visit.plane.public_url, "writes": visit.may(_WRITE)}
    return visit.show("members/list.html", **framed(tenant, "members"), **values)


async def new_member(visit: Visit) -> Response:
    """The form for another one."""
    given = {"issuer": "", "subject": "", "role": "member", "scopes": None, "tier": ""}
    return visit.show("members/form.html", **await _around(visit, None), given=given)


async def add_member(visit: Visit) -> Response:
    """Let somebody in."""
    try:
        await visit.plane.members.add(visit.actor, visit.tenant_id, _asked(visit))
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(_list(visit), "created")


async def show_member(visit: Visit) -> Response:
    """One member, to be changed."""
    member = await visit.plane.members.find(visit.tenant_id, _id(visit))
    return visit.show("members/form.html", **await _around(visit, member), given=member_document(member))


async def change_member(visit: Visit) -> Response:
    """Make a member what the form says; who it is stays."""
    at = (visit.tenant_id, _id(visit))

    def change(member: Member) -> MemberSpec:
        return _asked(visit, member)

    try:
        await visit.plane.members.change(visit.actor, *at, change, expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.members.find(*at))
    return visit.go(_list(visit), "saved")


async def remove_member(visit: Visit) -> Response:
    """Let somebody in no more."""
    visit.form.known()
    await visit.plane.members.remove(visit.actor, visit.tenant_id, _id(visit))
    return visit.go(_list(visit), "removed")


def _asked(visit: Visit, before: Member | None = None) -> MemberSpec:
    """The form as the API's body; who somebody is stays as it was `before`. Raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    who: Document = {"issuer": form.optional("issuer"), "subject": form.text("subject")}
    if before is not None:
        who = {name: member_body(before)[name] for name in who}
    body: Document = {
        **who,
        "role": form.text("role"),
        "scopes": None if form.checked("all_scopes") else form.chosen("scopes"),
        "tier": form.optional("tier"),
    }
    return member_asked(read_body_as(MemberBody, body), public_url=visit.plane.public_url)


async def _around(visit: Visit, member: Member | None) -> dict[str, object]:
    """What the form shows besides its fields."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    around: dict[str, object] = {
        **framed(tenant, "members"),
        "member": None,
        "roles": list(BUILT_IN),
        "scopes": _SCOPES,
    }
    around |= {"own": visit.plane.public_url, "writes": visit.may(_WRITE)}
    if member is not None:
        document = member_document(member)
        around |= {"member": document, "version": etag(document)}
    return around


async def _again(visit: Visit, refused: Refused, member: Member | None) -> Response:
    form = visit.form
    given: Document = {name: form.text(name) for name in ("issuer", "subject", "role", "tier")}
    given["scopes"] = None if form.checked("all_scopes") else form.chosen("scopes")
    if member is not None:
        given |= {"issuer": member.spec.issuer, "subject": member.spec.subject}
    return visit.again("members/form.html", refused, **await _around(visit, member), given=given)


def _id(visit: Visit) -> MemberId:
    return MemberId(id_of(visit.request, "member_id", ids.MEMBER))


def _list(visit: Visit) -> str:
    return f"/tenants/{visit.request.path_params['tenant_id']}/members"


_LIST: Final = "/tenants/{tenant_id}/members"
_ONE: Final = f"{_LIST}/{{member_id}}"

PAGES: Final = (
    Page(path=_LIST, handler=list_members, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_member, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=add_member, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_member, needs=_READ),
    Page(path=_ONE, handler=change_member, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/remove", handler=remove_member, needs=_WRITE, method="POST"),
)
