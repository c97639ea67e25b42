"""End users of a project: who called, how much, when last; one of them, blocked and let in again."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.dashboard.charts import SPANS, span_named, usage_charts
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.projects import around
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.end_users import users_query
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.identifiers import read_identifier
from bailiwick.domain.revocations import revocation_spec
from bailiwick.domain.times import written
from bailiwick.domain.usage_report import GroupBy
from bailiwick.services.absence import not_found

_READ: Final = AdminPermission.USERS_READ
_WRITE: Final = AdminPermission.USERS_WRITE


async def list_users(visit: Visit) -> Response:
    """Who called lately, the last seen first."""
    now = visit.plane.acts.now()
    span = span_named(visit.asked("range") or "30d")
    asked = {"from": written(span.since(now))}
    asked |= {name: visit.asked(name) for name in ("after", "prefix", "blocked") if visit.asked(name)}
    placed, page = await visit.plane.end_users.list_placed(*visit.at, users_query(asked, now))
    return visit.show("users/list.html", **around(placed, "users").values, page=page, spans=SPANS, span=span)


async def show_user(visit: Visit) -> Response:
    """One user: what they used, and whether they may."""
    uid = read_uid(visit.asked("uid"))
    now = visit.plane.acts.now()
    span = span_named(visit.asked("range") or "30d")
    queries = [span.query(now), span.query(now, GroupBy.MODEL)]
    placed, user, (by_time, by_model) = await visit.plane.end_users.find_placed(*visit.at, uid, queries)
    values = {"user": user, "spans": SPANS, "span": span, "usage": by_time.total, "charts": usage_charts(by_time, span)}
    return visit.show("users/one.html", **around(placed, "users").values, **values, by_model=by_model.groups)


async def change_user(visit: Visit) -> Response:
    """Block a user, or let them in again."""
    form = visit.form.known("uid", "blocked")
    uid, blocked = read_uid(form.text("uid")), form.text("blocked") == "yes"
    query = span_named("24h").query(visit.plane.acts.now())
    user = await visit.plane.end_users.find(*visit.at, uid, query)
    await visit.plane.end_users.change(visit.actor, *visit.at, user, blocked=blocked)
    return visit.go(f"{_address(visit)}/one", "blocked" if blocked else "unblocked", uid=uid)


async def revoke_user(visit: Visit) -> Response:
    """End every token that a user was given by now."""
    uid = read_uid(visit.form.known("uid").text("uid"))
    await visit.plane.revocations.create(visit.actor, *visit.at, revocation_spec(user_id=uid))
    return visit.go(f"{_address(visit)}/one", "tokens-ended", uid=uid)


async def erase_user(visit: Visit) -> Response:
    """Erase a user, once their id is typed."""
    form = visit.form.known("uid", "typed")
    uid = read_uid(form.text("uid"))
    if form.text("typed") != uid:
        raise invalid("typed", "must be the user's id, to the letter")
    user = await visit.plane.end_users.find(*visit.at, uid, span_named("24h").query(visit.plane.acts.now()))
    erased = await visit.plane.end_users.erase(visit.actor, *visit.at, user)
    return visit.go(f"{_address(visit)}/one", "erased", uid=erased.pseudonym)


def read_uid(text: str) -> str:
    """Who is named, to the letter; raises `Refused` (404)."""
    try:
        return read_identifier("uid", text.encode())
    except (Refused, UnicodeEncodeError):
        raise not_found() from None


def _address(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/users"


_LIST: Final = "/projects/{project_id}/users"

PAGES: Final = (
    Page(path=_LIST, handler=list_users, needs=_READ),
    Page(path=f"{_LIST}/one", handler=show_user, needs=_READ),
    Page(path=f"{_LIST}/one", handler=change_user, needs=_WRITE, method="POST"),
    Page(path=f"{_LIST}/erase", handler=erase_user, needs=_WRITE, method="POST"),
    Page(path=f"{_LIST}/revoke", handler=revoke_user, needs=AdminPermission.REVOCATIONS_WRITE, method="POST"),
)
