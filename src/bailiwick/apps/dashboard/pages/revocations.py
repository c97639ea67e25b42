"""What a project took away before its time: the newest first, and a form to take away more."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import FieldError, Invalid
from bailiwick.domain.revocations import FIELDS, RevocationKind, revocation_spec

_LIST: Final = "/projects/{project_id}/revocations"
_READ: Final = AdminPermission.REVOCATIONS_READ
_WRITE: Final = AdminPermission.REVOCATIONS_WRITE
_KINDS: Final = (
    ("session_id", "A session, with all its tokens"),
    ("user_id", "All tokens that a user has by now"),
    ("jti", "One token, by its jti"),
)
_SHOWN: Final = {
    RevocationKind.SESSION: "Session",
    RevocationKind.USER: "User",
    RevocationKind.TOKEN: "Token",
}


async def list_revocations(visit: Visit) -> Response:
    """What was taken away."""
    return visit.show("revocations/list.html", **await _shown(visit))


async def create_revocation(visit: Visit) -> Response:
    """Take something away."""
    form = visit.form.known("kind", "value")
    kind = form.text("kind")
    try:
        asked = revocation_spec(**{kind if kind in FIELDS else "jti": form.text("value")})
        await visit.plane.revocations.create(visit.actor, *visit.at, asked)
    except Invalid as invalid:
        refused: Refused = Invalid(*(FieldError(field="value", message=error.message) for error in invalid.errors))
        return visit.again("revocations/list.html", refused, **await _shown(visit))
    return visit.go(_LIST.format(project_id=visit.request.path_params["project_id"]), "taken-away")


async def _shown(visit: Visit) -> dict[str, object]:
    frame = await framed(visit, "revocations")
    page = await visit.plane.revocations.latest(*visit.at, visit.page(ids.REVOCATION))
    return {**frame.values, "page": page, "kinds": _KINDS, "shown_kinds": _SHOWN, "writes": visit.may(_WRITE)}


PAGES: Final = (
    Page(path=_LIST, handler=list_revocations, needs=_READ),
    Page(path=_LIST, handler=create_revocation, needs=_WRITE, method="POST"),
)
