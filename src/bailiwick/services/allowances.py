"""What is left to a caller in each limit and budget that its calls meet, as `GET /v1/me` tells it.

Nothing is taken by asking. A key is told of every level that its calls meet; the token of an end user only of its own:
what a project or a tenant has spent is not for its users to know.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, final

from bailiwick.domain.budget_terms import Applied
from bailiwick.domain.budget_use import Counter, Use
from bailiwick.domain.budgets import BudgetScope, limit_document
from bailiwick.domain.limits import LimitLevel
from bailiwick.domain.permissions import CredentialKind
from bailiwick.domain.principal import Principal
from bailiwick.domain.times import written_us
from bailiwick.domain.windows import Span
from bailiwick.services.admission import Admission, Left
from bailiwick.storage.budget_use import BudgetUseRows
from bailiwick.storage.scope import Database

_US: Final = 1_000
_OWN_LEVELS: Final = frozenset({LimitLevel.IP, LimitLevel.USER})
_OWN_SCOPES: Final = frozenset({BudgetScope.USER, BudgetScope.SESSION})


@final
class Allowances:
    """Says what is left."""

    def __init__(self, database: Database, admission: Admission, *, now_ns: Callable[[], int]) -> None:
        """`database` is the gateway's own; `now_ns` is Unix time."""
        self._database = database
        self._admission = admission
        self._now_ns = now_ns

    async def limits(self, principal: Principal, ip: str) -> list[dict[str, object]]:
        """What is left in each rate limit; raises `Unavailable`."""
        found = await self._admission.left(principal, ip)
        own = _is_users(principal)
        return [self._limit(one) for one in found if not own or one.level in _OWN_LEVELS]

    def _limit(self, left: Left) -> dict[str, object]:
        return {
            "scope": left.level.value,
            "unit": left.unit.value,
            "limit": left.rate.burst,
            "remaining": left.remaining,
            "frees_at": written_us((self._now_ns() + left.reset_ns) // _US) if left.reset_ns else None,
        }

    async def budgets(self, principal: Principal) -> list[dict[str, object]]:
        """What is left in each budget, as it stands in the database in that moment; raises `Unavailable`."""
        grant = principal.grant
        if grant.budgets is None:
            return []
        own = _is_users(principal)
        applied = [
            one
            for one in grant.budgets.applying(None, key=grant.key_bucket, uid=principal.uid, sid=principal.sid)
            if not own or one.budget.scope in _OWN_SCOPES
        ]
        now_us = self._now_ns() // _US
        counters = [_counter(one, now_us) for one in applied]
        async with self._database.reading(grant.tenant_id) as scope:
            uses = await BudgetUseRows(scope, grant.tenant_id).read(counters)
        return [_document(one, counter.span, use) for one, counter, use in zip(applied, counters, uses, strict=True)]


def _is_users(principal: Principal) -> bool:
    return principal.grant.kind in {CredentialKind.USER_TOKEN, CredentialKind.ISSUER_TOKEN}


def _counter(applied: Applied, now_us: int) -> Counter:
    cap = applied.budget.cap
    span = cap.window.slices(now_us)
    return Counter(budget_id=applied.budget.id, counted=cap.counted, subject=applied.subject, span=span)


def _document(applied: Applied, span: Span, use: Use) -> dict[str, object]:
    cap = applied.budget.cap
    frees = use.frees_us(cap, span)
    return {
        "scope": applied.budget.scope.value,
        "subject": applied.whose,
        "limit": limit_document(cap.unit, cap.amount),
        "window": cap.window.said,
        "models": None if cap.models is None else list(cap.models.patterns),
        **use.document(cap),
        "frees_at": None if frees is None else written_us(frees),
    }
