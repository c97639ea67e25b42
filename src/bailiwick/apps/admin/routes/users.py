"""`/admin/v1/projects/{id}/users`, and each end user at `…/users/{uid}`, percent-encoded."""

from __future__ import annotations

from typing import Annotated, Any, Final
from urllib.parse import unquote_to_bytes

from fastapi import APIRouter, Body, Depends, Query, Request

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtProject, IfMatch, Limit
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import EndUserShown, EndUsersShown, ErasedShown
from bailiwick.apps.admin.wire import EndUserBody, PatchOf, read_patched
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.end_users import PARAMETERS, users_query
from bailiwick.domain.errors import Refused
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.usage_report import usage_query
from bailiwick.services.absence import not_found

_LIST: Final = "/admin/v1/projects/{project_id}/users"
# An id may hold anything, slashes too.
_ITEM: Final = "/admin/v1/projects/{project_id}/users/{uid:path}"
_BEFORE_UID: Final = len(["", "admin", "v1", "projects", "prj", "users"])

router = APIRouter(route_class=ControlRoute, tags=["users"])

EndUserPatch = Annotated[dict[str, Any], Body(), PatchOf(EndUserBody)]
Since = Annotated[str | None, Query(alias="from", description="RFC 3339; the start of the month of `to`.")]
Until = Annotated[str | None, Query(alias="to", description="RFC 3339, not counted; now.")]


def _uid(request: Request) -> str:
    # The framework reads an address leniently, and what is no UTF-8 would become somebody else's id.
    raw: bytes = request.scope["raw_path"]
    parts = raw.split(b"/", _BEFORE_UID)
    try:
        return read_identifier("uid", unquote_to_bytes(parts[_BEFORE_UID]))
    except Refused:
        raise not_found() from None


Uid = Annotated[str, Depends(_uid)]


@router.get(_LIST, response_model=EndUsersShown, openapi_extra=needs(AdminPermission.USERS_READ))
async def list_users(
    plane: Plane,
    at: AtProject,
    since: Since = None,
    until: Until = None,
    limit: Limit = None,
    after: After = None,
    prefix: Annotated[str | None, Query(description="How the id begins.")] = None,
    blocked: Annotated[str | None, Query(description="`true`: blocked ones only.")] = None,
) -> Document:
    """List the end users of a project, the last seen first, with what they used."""
    given = dict(zip(PARAMETERS, (since, until, limit, after, prefix, blocked), strict=True))
    asked = {name: text for name, text in given.items() if text is not None}
    return (await plane.end_users.list(*at, users_query(asked, plane.acts.now()))).document()


@router.get(_ITEM, response_model=EndUserShown, openapi_extra=needs(AdminPermission.USERS_READ))
async def read_user(plane: Plane, at: AtProject, uid: Uid, since: Since = None, until: Until = None) -> Document:
    """Read one end user, with what they used; whoever never called used nothing."""
    span = {name: text for name, text in (("from", since), ("to", until)) if text is not None}
    return (await plane.end_users.find(*at, uid, usage_query(span, plane.acts.now()))).document()


@router.patch(_ITEM, response_model=EndUserShown, openapi_extra=needs(AdminPermission.USERS_WRITE))
async def change_user(
    plane: Plane, actor: CurrentActor, at: AtProject, uid: Uid, patch: EndUserPatch, expected: IfMatch
) -> Document:
    """Block an end user, or let them in again; whoever never called, too."""
    user = await plane.end_users.find(*at, uid, usage_query({}, plane.acts.now()))
    asked = read_patched(EndUserBody, {"blocked": user.blocked is not None}, patch)
    changed = await plane.end_users.change(actor, *at, user, blocked=asked.blocked is True, expected=expected)
    return changed.document()


@router.delete(_ITEM, response_model=ErasedShown, openapi_extra=needs(AdminPermission.USERS_WRITE))
async def erase_user(plane: Plane, actor: CurrentActor, at: AtProject, uid: Uid, expected: IfMatch) -> Document:
    """Erase an end user: another name, which leads back to nobody, stands at what they used."""
    user = await plane.end_users.find(*at, uid, usage_query({}, plane.acts.now()))
    return (await plane.end_users.erase(actor, *at, user, expected=expected)).document()
