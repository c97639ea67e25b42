"""Budgets: of a project, and of a tenant."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.budget_wire import BudgetBody, BudgetShown, SubjectsShown, budget_asked, budget_body
from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtBudget, AtBudgets, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.wire import PatchOf, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.budgets import Budget, BudgetSpec
from bailiwick.domain.fields import Findings
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.paging import DEFAULT_LIMIT, cursor, read_cursor, read_limit
from bailiwick.services.budget_documents import subject_document, used_budget_document

_TENANT: Final = "/admin/v1/tenants/{tenant_id}/budgets"
_PROJECT: Final = "/admin/v1/projects/{project_id}/budgets"
_ID: Final = "/{budget_id}"
_SUBJECTS: Final = f"{_ID}/subjects"
_READ: Final = needs(AdminPermission.BUDGETS_READ)
_WRITE: Final = needs(AdminPermission.BUDGETS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["budgets"])

BudgetPatch = Annotated[dict[str, Any], Body(), PatchOf(BudgetBody)]


@router.get(_PROJECT, response_model=Listed[BudgetShown], openapi_extra=_READ)
@router.get(_TENANT, response_model=Listed[BudgetShown], openapi_extra=_READ)
async def list_budgets(plane: Plane, at: AtBudgets, limit: Limit = None, after: After = None) -> Document:
    """List the budgets of this place alone."""
    return listed(await plane.budgets.list(at, page_of(ids.BUDGET, limit, after)), used_budget_document)


@router.post(_PROJECT, status_code=201, response_model=BudgetShown, openapi_extra=_WRITE)
@router.post(_TENANT, status_code=201, response_model=BudgetShown, openapi_extra=_WRITE)
async def create_budget(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtBudgets, body: BudgetBody
) -> Document:
    """Make a budget: calls need room in it from within a second."""
    document = used_budget_document(await plane.budgets.create(actor, at, budget_asked(body, at.holder)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_PROJECT + _ID, response_model=BudgetShown, openapi_extra=_READ)
@router.get(_TENANT + _ID, response_model=BudgetShown, openapi_extra=_READ)
async def read_budget(plane: Plane, at: AtBudgets, budget_id: AtBudget) -> Document:
    """Read a budget."""
    return used_budget_document(await plane.budgets.find(at, budget_id))


@router.get(_PROJECT + _SUBJECTS, response_model=SubjectsShown, openapi_extra=_READ)
@router.get(_TENANT + _SUBJECTS, response_model=SubjectsShown, openapi_extra=_READ)
async def list_subjects(
    plane: Plane, at: AtBudgets, budget_id: AtBudget, limit: Limit = None, after: After = None
) -> Document:
    """List who has spent of a budget of each in its window, by id."""
    findings = Findings()
    size = findings.take(lambda: read_limit(limit), DEFAULT_LIMIT)
    last = findings.take(lambda: read_cursor(after), "")
    findings.or_raise()
    budget, span, page = await plane.budgets.subjects(at, budget_id, after=last, limit=size)
    data = [subject_document(budget, span, one) for one in page.items]
    following = cursor(page.items[-1].subject) if page.has_more else None
    return {"data": data, "has_more": page.has_more, "next": following}


@router.patch(_PROJECT + _ID, response_model=BudgetShown, openapi_extra=_WRITE)
@router.patch(_TENANT + _ID, response_model=BudgetShown, openapi_extra=_WRITE)
async def change_budget(
    plane: Plane, actor: CurrentActor, at: AtBudgets, budget_id: AtBudget, patch: BudgetPatch, expected: IfMatch
) -> Document:
    """Change a budget. Whom it counts, and in what, stays; another window begins with nothing spent."""

    def change(budget: Budget) -> BudgetSpec:
        return budget_asked(read_patched(BudgetBody, budget_body(budget), patch), at.holder)

    return used_budget_document(await plane.budgets.change(actor, at, budget_id, change, expected=expected))


@router.delete(_PROJECT + _ID, status_code=204, openapi_extra=_WRITE)
@router.delete(_TENANT + _ID, status_code=204, openapi_extra=_WRITE)
async def remove_budget(
    plane: Plane, actor: CurrentActor, at: AtBudgets, budget_id: AtBudget, expected: IfMatch
) -> None:
    """Remove a budget: calls need no room in it any more."""
    await plane.budgets.remove(actor, at, budget_id, expected=expected)
