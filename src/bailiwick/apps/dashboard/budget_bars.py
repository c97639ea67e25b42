"""What of a budget is used, as a page draws it: two lengths of a bar, the amounts in words, and what they lead to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.apps.dashboard import budget_words
from bailiwick.domain.budget_use import Use
from bailiwick.domain.budgets import Cap
from bailiwick.domain.windows import RollingWindow, Span

_SECOND_US: Final = 1_000_000
_WHOLE: Final = 100
_LITTLE: Final = 80


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """`spent` and `held` are percentages of the whole, together at most 100; `kind` a word of the stylesheet."""

    spent: float
    held: float
    kind: str
    used: str
    of: str
    in_flight: str
    outlook: str


def bar(cap: Cap, span: Span, use: Use, *, now: datetime, since: datetime) -> Bar:
    """Draw what was used of a cap; `since` is when the budget was made."""
    spent = _share(use.settled, cap.amount)
    return Bar(
        spent=spent,
        held=min(_WHOLE - spent, _share(use.reserved, cap.amount) if use.reserved else 0),
        kind="full" if spent >= _WHOLE else "near" if spent >= _LITTLE else "",
        used=budget_words.amount(cap.unit, use.settled),
        of=budget_words.amount(cap.unit, cap.amount),
        in_flight=budget_words.amount(cap.unit, use.reserved) if use.reserved else "",
        outlook=_outlook(cap, span, use, now=now, since=since),
    )


def _share(part: int, whole: int) -> float:
    """A percentage to a tenth; of nothing all is used."""
    return float(_WHOLE) if part >= whole else round(1000 * part / whole) / 10


def _outlook(cap: Cap, span: Span, use: Use, *, now: datetime, since: datetime) -> str:
    """What it leads to, in words, as far as anybody can tell."""
    frees = use.frees_us(cap, span)
    if use.settled >= cap.amount:
        return "used up" if frees is None else f"used up until {budget_words.local(cap.window, frees)}"
    if isinstance(cap.window, RollingWindow):
        return "" if frees is None else f"some of it comes back {budget_words.local(cap.window, frees)}"
    now_us, since_us = (int(at.timestamp() * _SECOND_US) for at in (now, since))
    ends = use.used_up_us(cap, span, now_us=now_us, since_us=since_us)
    if ends is None:
        return "" if frees is None else f"begins anew {budget_words.local(cap.window, frees)}"
    if frees is None or ends < frees:
        return f"at this pace used up {budget_words.local_day(cap.window, ends)}"
    left = (frees - now_us) * use.settled // max(1, now_us - span.slice * _SECOND_US) + use.settled
    return f"at this pace {budget_words.amount(cap.unit, left)} by {budget_words.local(cap.window, frees)}"
