"""`/admin/v1/sessions`: where people are signed in."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtSession, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, SessionShown, listed
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.services.documents import session_document

_LIST: Final = "/admin/v1/sessions"
_ITEM: Final = "/admin/v1/sessions/{session_id}"
_READ: Final = needs(AdminPermission.SESSIONS_READ, confined=True)
_WRITE: Final = needs(AdminPermission.SESSIONS_WRITE, confined=True)

router = APIRouter(route_class=ControlRoute, tags=["sessions"])


@router.get(_LIST, response_model=Listed[SessionShown], openapi_extra=_READ)
async def list_sessions(plane: Plane, actor: CurrentActor, limit: Limit = None, after: After = None) -> Document:
    """List the open sessions: a person's own, for an owner all within reach."""
    return listed(await plane.person.sessions.list(actor, page_of(ids.SESSION, limit, after)), session_document)


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def end_session(plane: Plane, actor: CurrentActor, at: AtSession) -> None:
    """End a session, at once."""
    await plane.person.sessions.end(actor, at)
