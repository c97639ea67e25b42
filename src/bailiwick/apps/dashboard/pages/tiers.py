"""A project's tiers: named plans, each with limits and models of its own; and which of them is the default."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.token_bodies import TierBody, tier_asked, tier_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import change_project, expected
from bailiwick.apps.dashboard.pages.limit_fields import FIELDS, filled, limit_fields, limits_given, number_given
from bailiwick.apps.dashboard.pages.projects import framed
from bailiwick.apps.dashboard.pages.tool_fields import (
    TOOL_FIELDS,
    tool_rules_given,
    tool_rules_sent,
    tool_rules_shown,
)
from bailiwick.apps.dashboard.tier_changes import tier_changes
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.budget_lines import budget_line, read_budget_line
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import TierId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tiers import Tier, TierSpec
from bailiwick.domain.versions import etag
from bailiwick.services.documents import tier_document

_READ: Final = AdminPermission.TIERS_READ
_WRITE: Final = AdminPermission.TIERS_WRITE
_FIELDS: Final = ("name", "models", "agents", "max_output_tokens", "budgets", *TOOL_FIELDS, *FIELDS)
_NOTHING: Final[Document] = {"name": "", "models": (), "agents": (), "max_output_tokens": "", "budgets": ()}


async def list_tiers(visit: Visit) -> Response:
    """Every tier of a project, in words."""
    frame = await framed(visit, "tiers")
    listed, of_each_user = await visit.plane.tiers.list_beside_budgets(*visit.at)
    default = next((tier for tier in listed if tier.spec.name == frame.project.default_tier), None)
    told = partial(tier_changes, frame.project, of_each_user)
    tiers = [
        (tier_document(tier), told(tier, None if tier is default else default), tier.created_at) for tier in listed
    ]
    return visit.show("tiers/list.html", **frame.values, tiers=tiers)


async def choose_default(visit: Visit) -> Response:
    """Say which tier holds for whoever comes without one."""
    await change_project(visit, {"default_tier": visit.form.known("tier").text("tier") or None})
    return visit.go(_tiers(visit), "saved")


async def new_tier(visit: Visit) -> Response:
    """The form for a new one."""
    frame = await framed(visit, "tiers")
    given = {**_NOTHING, **tool_rules_shown(None)}
    return visit.show("tiers/form.html", **frame.values, tier=None, given=given, **filled(limit_fields({})))


async def create_tier(visit: Visit) -> Response:
    """Make one."""
    try:
        await visit.plane.tiers.create(visit.actor, *visit.at, _asked(visit))
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(_tiers(visit), "created")


async def show_tier(visit: Visit) -> Response:
    """What a tier says, to be changed."""
    frame = await framed(visit, "tiers")
    tier = await visit.plane.tiers.find(*visit.at, _tier_id(visit))
    lines = [budget_line(cap.document()) for cap in tier.spec.budgets]
    given = {**_NOTHING, **tier_body(tier), "budgets": lines, **tool_rules_shown(tier.spec.tools)}
    values = {**_shown(tier), "given": given, **filled(limit_fields(tier.spec.limits))}
    return visit.show("tiers/form.html", **{**frame.values, **values})


async def change_tier(visit: Visit) -> Response:
    """Make a tier what the form says."""
    tier_id = _tier_id(visit)
    try:
        await visit.plane.tiers.change(visit.actor, visit.at, tier_id, partial(_asked, visit), expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.tiers.find(*visit.at, tier_id))
    return visit.go(_tiers(visit), "saved")


async def remove_tier(visit: Visit) -> Response:
    """Remove a tier."""
    visit.form.known()
    await visit.plane.tiers.remove(visit.actor, visit.at, _tier_id(visit))
    return visit.go(_tiers(visit), "removed")


async def _again(visit: Visit, refused: Refused, tier: Tier | None) -> Response:
    frame = await framed(visit, "tiers")
    form = visit.form
    given = {"name": form.text("name"), "models": form.lines("models"), "agents": form.lines("agents")}
    given |= {"max_output_tokens": form.text("max_output_tokens"), "budgets": form.lines("budgets")}
    given |= tool_rules_sent(form)
    fields = filled({name: form.text(name) for name in FIELDS})
    shown = {"tier": None} if tier is None else _shown(tier)
    return visit.again("tiers/form.html", refused, **{**frame.values, **shown, "given": given, **fields})


def _asked(visit: Visit, before: Tier | None = None) -> TierSpec:
    """The form as the API's body; what it does not show stays as it was `before`. Raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    body: Document = {
        "name": form.text("name"),
        "models": form.lines("models") or None,
        "agents": form.lines("agents") or None,
        "tools": tool_rules_given(form),
        "max_output_tokens": number_given(form, "max_output_tokens"),
        "budgets": _budgets_given(form.lines("budgets")),
        "limits": limits_given(form),
    }
    kept = {} if before is None else tier_body(before)
    return tier_asked(read_body_as(TierBody, {**kept, **body}))


def _budgets_given(lines: Sequence[str]) -> list[Document] | None:
    """A budget a line, as the API writes them; raises `Invalid`."""
    budgets: list[Document] = []
    for place, line in enumerate(lines):
        try:
            budgets.append(read_budget_line(line))
        except ValueError as error:
            raise invalid(f"budgets.{place}", str(error)) from None
    return budgets or None


def _shown(tier: Tier) -> dict[str, object]:
    document = tier_document(tier)
    return {"tier": document, "version": etag(document)}


def _tier_id(visit: Visit) -> TierId:
    return TierId(id_of(visit.request, "tier_id", ids.TIER))


def _tiers(visit: Visit) -> str:
    return f"/projects/{visit.request.path_params['project_id']}/tiers"


_LIST: Final = "/projects/{project_id}/tiers"

PAGES: Final = (
    Page(path=_LIST, handler=list_tiers, needs=_READ),
    Page(path=f"{_LIST}/default", handler=choose_default, needs=AdminPermission.PROJECTS_WRITE, method="POST"),
    Page(path=f"{_LIST}/new", handler=new_tier, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_tier, needs=_WRITE, method="POST"),
    Page(path=f"{_LIST}/{{tier_id}}", handler=show_tier, needs=_READ),
    Page(path=f"{_LIST}/{{tier_id}}", handler=change_tier, needs=_WRITE, method="POST"),
    Page(path=f"{_LIST}/{{tier_id}}/remove", handler=remove_tier, needs=_WRITE, method="POST"),
)
