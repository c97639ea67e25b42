"""Budgets as JSON documents: what an operator is shown, and what the audit log keeps of them."""

from __future__ import annotations

from bailiwick.domain import ids
from bailiwick.domain.budget_terms import read_subject
from bailiwick.domain.budget_use import SubjectUse, UsedBudget
from bailiwick.domain.budgets import Budget
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.times import written, written_us
from bailiwick.domain.windows import Span


def budget_document(budget: Budget) -> Document:
    """A budget, with every default."""
    return {
        "id": ids.shown(ids.BUDGET, budget.id),
        "tenant_id": ids.shown(ids.TENANT, budget.tenant_id),
        "project_id": None if budget.project_id is None else ids.shown(ids.PROJECT, budget.project_id),
        "subject": None,
        "models": None,
        **budget.spec.document(),
        "created_at": written(budget.created_at),
        "created_by": budget.created_by,
    }


def used_budget_document(used: UsedBudget) -> Document:
    """A budget, and what of it is used; of one of each, that is told of each of them alone."""
    cap, span, use = used.budget.spec.cap, used.span, used.use
    amounts: Document = {"used": None, "in_flight": None, "remaining": None} if use is None else use.document(cap)
    ends = span.frees_us if use is None else use.frees_us(cap, span)
    return {**budget_document(used.budget), **amounts, "window_ends_at": None if ends is None else written_us(ends)}


def subject_document(budget: Budget, span: Span, one: SubjectUse) -> Document:
    """What one of those has spent whom a budget of each counts."""
    cap, subject = budget.spec.cap, read_subject(budget.spec.scope, one.subject)
    ends = one.use.frees_us(cap, span)
    return {
        "subject": subject.id,
        "project_id": subject.project,
        "user_id": subject.uid,
        **one.use.document(cap),
        "window_ends_at": None if ends is None else written_us(ends),
    }
