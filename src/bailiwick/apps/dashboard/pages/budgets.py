"""Budgets of a project and of a tenant: what each caps in plain words, and what of it is used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.budget_wire import BudgetBody, budget_asked
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard import budget_words
from bailiwick.apps.dashboard.budget_bars import Bar, bar
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.limit_fields import number_given
from bailiwick.apps.dashboard.pages.projects import framed as project_frame
from bailiwick.apps.dashboard.pages.tenants import framed as tenant_frame
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.budget_terms import read_subject
from bailiwick.domain.budget_use import UsedBudget
from bailiwick.domain.budgets import Budget, BudgetHolder, BudgetPlace, BudgetScope, BudgetSpec, Unit, limit_document
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import Invalid
from bailiwick.domain.ids import BudgetId, ProjectId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.versions import etag
from bailiwick.services.budget_documents import budget_document

_READ: Final = AdminPermission.BUDGETS_READ
_WRITE: Final = AdminPermission.BUDGETS_WRITE
_FIELDS: Final = (
    "scope", "subject", "amount", "unit", "window", "timezone", "models", "on_exceed", "max_wait", "on_lost",
)  # fmt: skip
_FIXED: Final = ("scope", "subject", "unit")
# Of those whom a budget of each counts, so many are shown.
_LARGEST: Final = 20
_NEW: Final = {
    **dict.fromkeys(_FIELDS, ""), "scope": "user", "subject": "*", "unit": Unit.MONEY.value, "window": "month",
    "timezone": "UTC", "on_exceed": "cap", "max_wait": "2s", "on_lost": "estimate",
}  # fmt: skip
_UNITS: Final = ((Unit.MONEY.value, "US dollars"), (Unit.TOKENS.value, "Tokens"))
_WINDOWS: Final = (
    ("day", "A day"),
    ("week", "A week, from Monday"),
    ("month", "A month"),
    ("1h", "Any hour, rolling"),
    ("24h", "Any 24 hours, rolling"),
    ("7d", "Any 7 days, rolling"),
    ("30d", "Any 30 days, rolling"),
    ("total", "In all, without end"),
)
_SCOPES: Final = (
    (BudgetScope.TENANT.value, "The whole tenant"),
    (BudgetScope.PROJECT.value, "Project"),
    (BudgetScope.USER.value, "User"),
    (BudgetScope.SESSION.value, "Session"),
    (BudgetScope.KEY.value, "Key"),
)
_EXCEED: Final = (("cap", "Write as much as there is room for"), ("reject", "Be refused"))
_LOST: Final = (("estimate", "What it was estimated at"), ("ceiling", "The most it could have"), ("release", "Nothing"))


async def list_budgets(visit: Visit) -> Response:
    """Every budget of this place, in words."""
    frame = await _frame(visit)
    page = await visit.plane.budgets.list(_place(visit), visit.page(ids.BUDGET), is_there=True)
    rows = [
        (one.budget, budget_words.whose(one.budget.spec, _names(frame)), one.budget.spec.cap, _bar(visit, one))
        for one in page.items
    ]
    return visit.show("budgets/list.html", **frame, page=page, rows=rows, terms=budget_words.terms)


async def new_budget(visit: Visit) -> Response:
    """The form for a new one."""
    return _filled(visit, await _frame(visit), None, _NEW)


async def preview_budget(visit: Visit) -> Response:
    """What the form would mean: a piece of the page."""
    try:
        said, wrong = budget_words.sentences(_asked(visit), visit.plane.acts.now(), {}), None
    except Invalid as error:
        first = error.errors[0]
        said, wrong = [], f"{first.field.removeprefix('limit.')} {first.message}"
    return visit.show("budgets/words.html", words=said, wrong=wrong)


async def create_budget(visit: Visit) -> Response:
    """Make one."""
    try:
        await visit.plane.budgets.create(visit.actor, _place(visit), _asked(visit))
    except Refused as refused:
        return _filled(visit, await _frame(visit), None, _given(visit), refused)
    return visit.go(_list(visit), "created")


async def show_budget(visit: Visit) -> Response:
    """What a budget says, to be changed."""
    frame = await _frame(visit)
    used = await visit.plane.budgets.find(_place(visit), _id(visit))
    return _filled(visit, {**frame, "bar": _bar(visit, used)}, used.budget, _as_given(used.budget))


async def largest_subjects(visit: Visit) -> Response:
    """Who has spent the most of a budget of each: a piece of the page."""
    budget, span, largest = await visit.plane.budgets.largest(_place(visit), _id(visit), _LARGEST)
    now = visit.plane.acts.now()
    subjects = [
        (read_subject(budget.spec.scope, one.subject), bar(budget.spec.cap, span, one.use, now=now, since=now))
        for one in largest
    ]
    values = {"subjects": subjects, "most": _LARGEST, "budget": budget}
    return visit.show("budgets/subjects.html", **values)


async def change_budget(visit: Visit) -> Response:
    """Make a budget what the form says; whom it counts, and in what, the form does not send."""

    def change(before: Budget) -> BudgetSpec:
        return _asked(visit, before)

    try:
        await visit.plane.budgets.change(visit.actor, _place(visit), _id(visit), change, expected=expected(visit))
    except Refused as refused:
        budget = (await visit.plane.budgets.find(_place(visit), _id(visit))).budget
        given = {**_as_given(budget), **{name: said for name, said in _given(visit).items() if name not in _FIXED}}
        return _filled(visit, await _frame(visit), budget, given, refused)
    return visit.go(_list(visit), "saved")


async def remove_budget(visit: Visit) -> Response:
    """Remove a budget."""
    visit.form.known()
    await visit.plane.budgets.remove(visit.actor, _place(visit), _id(visit))
    return visit.go(_list(visit), "removed")


def _filled(
    visit: Visit,
    frame: Mapping[str, object],
    budget: Budget | None,
    given: Mapping[str, str],
    refused: Refused | None = None,
) -> Response:
    """The form, with what is wrong with it, if anything."""
    now, place = visit.plane.acts.now(), _place(visit)
    values: dict[str, object] = {
        "budget": budget,
        "given": given,
        "scopes": [one for one in _SCOPES if place.holder is BudgetHolder.TENANT or one[0] != "tenant"],
        "units": _UNITS,
        "windows": _chosen(_WINDOWS, given["window"]),
        "exceed": _EXCEED,
        "lost": _LOST,
        "words": [],
        "bar": None,
        **frame,
    }
    if budget is not None:
        document = budget_document(budget)
        said = budget_words.sentences(budget.spec, now, _names(frame))
        values |= {"version": etag(document), "title": budget_words.whose(budget.spec, _names(frame)), "words": said}
    if refused is None:
        return visit.show("budgets/form.html", **values)
    return visit.again("budgets/form.html", refused, **values)


def _bar(visit: Visit, used: UsedBudget) -> Bar | None:
    """What of a budget is used; of one of each that is to be told of each of them."""
    budget, now = used.budget, visit.plane.acts.now()
    if used.use is None:
        return None
    return bar(budget.spec.cap, used.span, used.use, now=now, since=budget.created_at)


def _chosen(choices: tuple[tuple[str, str], ...], said: str) -> tuple[tuple[str, str], ...]:
    """Choices with what is said, whatever that is."""
    return choices if not said or said in dict(choices) else (*choices, (said, f"Any {said}, rolling"))


def _asked(visit: Visit, before: Budget | None = None) -> BudgetSpec:
    """The form as the API's body; raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    unit = form.text("unit") if before is None else before.spec.cap.unit.value
    amount = form.text("amount").strip() if unit == Unit.MONEY else number_given(form, "amount")
    scope = form.text("scope") if before is None else before.spec.scope.value
    body: Document = {
        "scope": scope,
        "subject": form.optional("subject") if before is None else before.spec.subject,
        "limit": {unit: amount},
        "window": form.text("window"),
        "timezone": form.optional("timezone"),
        "models": form.lines("models") or None,
        "on_exceed": form.optional("on_exceed"),
        "max_wait": form.optional("max_wait"),
        "on_lost": form.optional("on_lost"),
    }
    if before is None and body["subject"] == "*" and _has_one(scope, _place(visit)):
        del body["subject"]
    return budget_asked(read_body_as(BudgetBody, body), _place(visit).holder)


def _has_one(scope: str, place: BudgetPlace) -> bool:
    """Whether a scope has but one subject here: then the form's usual `*` means that."""
    return scope == BudgetScope.TENANT or (scope == BudgetScope.PROJECT and place.holder is BudgetHolder.PROJECT)


def _given(visit: Visit) -> dict[str, str]:
    return {name: visit.form.text(name) for name in _FIELDS}


def _as_given(budget: Budget) -> dict[str, str]:
    spec, document = budget.spec, budget.spec.document()
    ((unit, amount),) = limit_document(spec.cap.unit, spec.cap.amount).items()
    said = {name: str(document.get(name, "")) for name in _FIELDS}
    models = "\n".join(spec.cap.models.patterns) if spec.cap.models is not None else ""
    return {**said, "unit": str(unit), "amount": str(amount), "models": models}


def _place(visit: Visit) -> BudgetPlace:
    if "project_id" in visit.request.path_params:
        return BudgetPlace(visit.tenant_id, ProjectId(id_of(visit.request, "project_id", ids.PROJECT)))
    return BudgetPlace(visit.tenant_id)


async def _frame(visit: Visit) -> dict[str, object]:
    """What is around: the project's page, or the tenant's; with the names of the project's keys."""
    names: dict[str, str] = {}
    if "project_id" in visit.request.path_params:
        frame = await project_frame(visit, "budgets")
        names = {ids.shown(ids.KEY, key): name for key, name in frame.key_names.items()}
        around: dict[str, object] = {"layout": "projects/frame.html", **frame.values}
    else:
        tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
        around = {"layout": "tenants/frame.html", **tenant_frame(tenant, "budgets")}
    return {**around, "names": names, "writes": visit.may(_WRITE), "list_address": f"/dashboard{_list(visit)}"}


def _names(frame: Mapping[str, object]) -> Mapping[str, str]:
    names = frame["names"]
    return names if isinstance(names, Mapping) else {}


def _id(visit: Visit) -> BudgetId:
    return BudgetId(id_of(visit.request, "budget_id", ids.BUDGET))


def _list(visit: Visit) -> str:
    """The address of the list that this page belongs to, below the dashboard."""
    path = visit.request.url.path.removeprefix("/dashboard")
    return path[: path.index("/budgets") + len("/budgets")]


def _pages(place: str) -> list[Page]:
    """The same addresses at each place."""
    listed, one = f"{place}/budgets", f"{place}/budgets/{{budget_id}}"
    return [
        Page(path=listed, handler=list_budgets, needs=_READ),
        Page(path=f"{listed}/new", handler=new_budget, needs=_WRITE),
        Page(path=f"{listed}/new", handler=create_budget, needs=_WRITE, method="POST"),
        Page(path=f"{listed}/preview", handler=preview_budget, needs=_WRITE, method="POST"),
        Page(path=one, handler=show_budget, needs=_READ),
        Page(path=f"{one}/subjects", handler=largest_subjects, needs=_READ),
        Page(path=one, handler=change_budget, needs=_WRITE, method="POST"),
        Page(path=f"{one}/remove", handler=remove_budget, needs=_WRITE, method="POST"),
    ]


PAGES: Final = (*_pages("/tenants/{tenant_id}"), *_pages("/projects/{project_id}"))
