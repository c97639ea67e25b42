"""A tenant's own roles, beside those that are built in: made, changed, removed."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.role_wire import RoleBody, role_asked, role_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.tenants import framed
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import RoleId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.paging import MAX_LIMIT, PageRequest
from bailiwick.domain.roles import BUILT_IN, FOR_TOKENS, Role, RoleSpec
from bailiwick.domain.versions import etag
from bailiwick.services.documents import role_document

_READ: Final = AdminPermission.ROLES_READ
_WRITE: Final = AdminPermission.ROLES_WRITE
_FIELDS: Final = ("name", "permissions", "models", "agents")
_PERMISSIONS: Final = tuple(sorted(permission.value for permission in FOR_TOKENS))
_NOTHING: Final[Document] = {"name": "", "permissions": (), "models": (), "agents": ()}


async def list_roles(visit: Visit) -> Response:
    """Those that are built in, and the tenant's own."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    page = await visit.plane.roles.list(visit.tenant_id, PageRequest(limit=MAX_LIMIT), is_there=True)
    built_in = [(name, sorted(held), held == FOR_TOKENS) for name, held in BUILT_IN.items()]
    values = {"roles": page.items, "built_in": built_in, "writes": visit.may(_WRITE)}
    return visit.show("roles/list.html", **framed(tenant, "roles"), **values)


async def new_role(visit: Visit) -> Response:
    """The form for another one."""
    return visit.show("roles/form.html", **await _around(visit, None), given=_NOTHING)


async def create_role(visit: Visit) -> Response:
    """Make one."""
    try:
        await visit.plane.roles.create(visit.actor, visit.tenant_id, _asked(visit))
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(_list(visit), "created")


async def show_role(visit: Visit) -> Response:
    """One role, to be changed."""
    role = await visit.plane.roles.find(visit.tenant_id, _id(visit))
    return visit.show("roles/form.html", **await _around(visit, role), given={**_NOTHING, **role_body(role)})


async def change_role(visit: Visit) -> Response:
    """Make a role what the form says, for whoever has it already too; its name stays."""
    at = (visit.tenant_id, _id(visit))

    def change(role: Role) -> RoleSpec:
        return _asked(visit, role)

    try:
        await visit.plane.roles.change(visit.actor, *at, change, expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.roles.find(*at))
    return visit.go(_list(visit), "saved")


async def remove_role(visit: Visit) -> Response:
    """Remove one that no member has."""
    visit.form.known()
    await visit.plane.roles.remove(visit.actor, visit.tenant_id, _id(visit))
    return visit.go(_list(visit), "removed")


def _asked(visit: Visit, before: Role | None = None) -> RoleSpec:
    """The form as the API's body; what it does not show, and the name, stay as they were `before`. Raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    kept: Document = {"name": form.text("name").strip()} if before is None else role_body(before)
    body: Document = {
        **kept,
        "permissions": form.chosen("permissions"),
        "models": form.lines("models") or None,
        "agents": form.lines("agents") or None,
    }
    return role_asked(read_body_as(RoleBody, body))


async def _around(visit: Visit, role: Role | None) -> dict[str, object]:
    """What the form shows besides its fields."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    around: dict[str, object] = {**framed(tenant, "roles"), "role": None, "permissions": _PERMISSIONS}
    around["writes"] = visit.may(_WRITE)
    if role is not None:
        document = role_document(role)
        around |= {"role": document, "version": etag(document)}
    return around


async def _again(visit: Visit, refused: Refused, role: Role | None) -> Response:
    form = visit.form
    given: Document = {"name": form.text("name") if role is None else role.spec.name}
    given |= {"permissions": form.chosen("permissions"), "models": form.lines("models"), "agents": form.lines("agents")}
    return visit.again("roles/form.html", refused, **await _around(visit, role), given=given)


def _id(visit: Visit) -> RoleId:
    return RoleId(id_of(visit.request, "role_id", ids.ROLE))


def _list(visit: Visit) -> str:
    return f"/tenants/{visit.request.path_params['tenant_id']}/roles"


_LIST: Final = "/tenants/{tenant_id}/roles"
_ONE: Final = f"{_LIST}/{{role_id}}"

PAGES: Final = (
    Page(path=_LIST, handler=list_roles, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_role, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_role, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_role, needs=_READ),
    Page(path=_ONE, handler=change_role, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/remove", handler=remove_role, needs=_WRITE, method="POST"),
)
