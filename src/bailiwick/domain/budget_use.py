"""What is left of a budget, when some comes back, and when it will be used up at the pace so far; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, final

from bailiwick.domain.budgets import Budget, Cap, limit_document
from bailiwick.domain.ids import BudgetId
from bailiwick.domain.windows import CalendarWindow, RollingWindow, Span, TotalWindow

_SECOND_US: Final = 1_000_000
# Of less than this share of a window, and of less than an hour, nobody can tell a pace.
_TELLING: Final = 50
_HOUR_US: Final = 3_600 * _SECOND_US
# What goes on by itself, whoever changes a budget or not.
UNVERSIONED: Final = frozenset({"used", "in_flight", "remaining", "window_ends_at"})


@final
class Counter(NamedTuple):
    """What a budget has counted for one subject: `subject` is the text of it, empty for the only one."""

    budget_id: BudgetId
    counted: str
    subject: str
    span: Span


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """What was spent of a budget, in its unit, and what calls on their way hold; `oldest` is the first slice of it."""

    settled: int = 0
    reserved: int = 0
    oldest: int | None = None

    def remaining(self, cap: Cap) -> int:
        """What is left for other calls."""
        return max(0, cap.amount - self.settled - self.reserved)

    def frees_us(self, cap: Cap, span: Span) -> int | None:
        """When, in microseconds of Unix time, something of it counts no more; None for never, and where nothing is."""
        if isinstance(cap.window, RollingWindow):
            return None if self.oldest is None else cap.window.frees_us(self.oldest)
        return span.frees_us

    def document(self, cap: Cap) -> dict[str, object]:
        """The three amounts as they are written."""
        return {
            "used": limit_document(cap.unit, self.settled),
            "in_flight": limit_document(cap.unit, self.reserved),
            "remaining": limit_document(cap.unit, self.remaining(cap)),
        }

    def used_up_us(self, cap: Cap, span: Span, *, now_us: int, since_us: int) -> int | None:
        """When, at the pace since its window began, all of it will be spent; None if nobody can tell.

        `since_us` is when the budget was made: where time has no other beginning, the pace is that since then.
        """
        match cap.window:
            case CalendarWindow():
                began, length = span.slice * _SECOND_US, (span.frees_us or 0) - span.slice * _SECOND_US
                telling = min(length // _TELLING, _HOUR_US)
            case TotalWindow():
                began, telling = since_us, _HOUR_US
            case RollingWindow():  # What is spent comes back while more is spent: its pace leads to no end.
                return None
        elapsed = now_us - began
        if self.settled <= 0 or elapsed < telling:
            return None
        return began + elapsed * cap.amount // self.settled


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class UsedBudget:
    """A budget, where its window stands, and what was spent of it; of a budget of each (`use` None) nobody spends."""

    budget: Budget
    span: Span
    use: Use | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectUse:
    """What one of those has spent whom a budget of each counts, by the text that it counts them by."""

    subject: str
    use: Use
