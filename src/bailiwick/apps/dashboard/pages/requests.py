"""One call, by the id of its request: each decision that it met, with its reason. Without one, the newest refusals.

An id that is unknown, malformed, or of a tenant that the visitor does not reach is answered with one and the same page.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard.advice import advice_for
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.choices import tenant_named, tenants_within
from bailiwick.apps.dashboard.pages.users import read_uid
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.explanation import Found, explained, read_request_id
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.paging import DEFAULT_LIMIT, PageRequest
from bailiwick.services.absence import found


async def show_requests(visit: Visit) -> Response:
    """Why a call went as it went; without an id, which calls were refused."""
    asked = visit.asked("id").strip()
    if not asked:
        return await _newest(visit)
    try:
        call = await _call(visit, asked)
    except Refused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return visit.answer("requests/unknown.html", refused.status, asked=asked)
    document = explained(call)
    return visit.show(
        "requests/one.html", asked=asked, call=document, at=call.call.at, advice=advice_for(str(document["code"]))
    )


async def _call(visit: Visit, asked: str) -> Found:
    """The call that an id names; raises `Refused` (404)."""
    request_id = found(read_request_id(asked))
    tenant_id = await visit.plane.explaining.tenant_of(request_id)
    visit.plane.confinement.keep(visit.operator, tenant_id)
    return await visit.plane.explaining.find(tenant_id, request_id)


async def _newest(visit: Visit) -> Response:
    """The calls of a tenant that were refused, the newest first; of a project or a user if the address names one."""
    tenants = await tenants_within(visit)
    chosen = visit.asked("tenant") or (tenants[0][0] if tenants else "")
    tenant_id = visit.operator.tenant_id if not chosen else tenant_named(visit, chosen)
    if tenant_id is None:
        return visit.show("overview/nothing.html")
    project, user, after = visit.asked("project"), visit.asked("user"), visit.asked("after")
    page = await visit.plane.explaining.refused(
        tenant_id,
        ProjectId(found(ids.parsed(ids.PROJECT, project))) if project else None,
        read_uid(user) if user else None,
        PageRequest(limit=DEFAULT_LIMIT, after=found(read_request_id(after)) if after else None),
    )
    return visit.show("requests/list.html", asked="", page=page, tenants=tenants, chosen=chosen)


PAGES: Final = (Page(path="/requests", handler=show_requests, needs=AdminPermission.USAGE_READ, confined=True),)
