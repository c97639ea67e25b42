"""Budgets as people read them: whose, how much, over what, and what becomes of a call when it is used up."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, assert_never

from bailiwick.apps.dashboard import words
from bailiwick.domain.budgets import EACH, BudgetScope, BudgetSpec, Cap, OnExceed, Unit
from bailiwick.domain.windows import CalendarWindow, RollingWindow, TotalWindow, Window, local_time

_SECOND_US: Final = 1_000_000
_EACH: Final = {
    BudgetScope.PROJECT: "each project",
    BudgetScope.USER: "each user",
    BudgetScope.SESSION: "each session",
    BudgetScope.KEY: "each key",
}


def amount(unit: Unit, number: int) -> str:
    """How much: $5.00; 200,000 tokens."""
    return words.dollars(number) if unit is Unit.MONEY else words.counted(number, "token")


def whose(spec: BudgetSpec, names: Mapping[str, str]) -> str:
    """Whose spending it counts: each user; the user ada. `names` are those of keys and projects, by their ids."""
    if spec.subject == EACH:
        return _EACH[spec.scope]
    if spec.subject is None:
        return "the whole tenant" if spec.scope is BudgetScope.TENANT else "the whole project"
    return f"the {spec.scope} {names.get(spec.subject, spec.subject)}"


def over(window: Window) -> str:
    """Over what: a month; in any 24 hours; in all."""
    match window:
        case CalendarWindow(period=period):
            return f"a {period}"
        case RollingWindow(length_us=length):
            return f"in any {words.span(length * 1_000)}"
        case TotalWindow():
            return "in all"
        case unknown:
            assert_never(unknown)


def about(cap: Cap) -> str:
    """What is counted: dollars a month; tokens in any 24 hours, for models that match gpt-*."""
    said = f"{'dollars' if cap.unit is Unit.MONEY else 'tokens'} {over(cap.window)}"
    return said if cap.models is None else f"{said}, for models that match {' or '.join(cap.models.patterns)}"


def terms(cap: Cap) -> str:
    """How much over what, and of which models: $5.00 a month, for models that match gpt-*."""
    said = f"{amount(cap.unit, cap.amount)} {over(cap.window)}"
    return said if cap.models is None else f"{said}, for models that match {' or '.join(cap.models.patterns)}"


def sentences(spec: BudgetSpec, now: datetime, names: Mapping[str, str]) -> list[str]:
    """All that a budget means, sentence by sentence."""
    cap = spec.cap
    who = whose(spec, names)
    said = [f"{who}: at most {terms(cap)}"] if cap.amount else [f"{who}: nothing, so every call is refused"]
    if cap.amount:
        said.append(f"when it is used up, calls are refused {_until(cap.window, now)}")
        said.append(
            "a call that names no maximum may write as much as there is room for"
            if cap.on_exceed is OnExceed.CAP
            else "a call that names no maximum is refused unless there is room for the usual one"
        )
        if cap.max_wait_ns:
            wait = words.span(cap.max_wait_ns)
            said.append(f"where only calls on their way hold the room, a call waits up to {wait}")
    if spec.scope in {BudgetScope.USER, BudgetScope.SESSION}:
        said.append(f"a call that names no {spec.scope} is not counted here")
    return said


def local(window: Window, at_us: int) -> str:
    """A moment as the window's time zone shows it: 1 December 2026; 1 December 2026, 09:24 UTC."""
    at = local_time(window.timezone, at_us)
    if (at.hour, at.minute) == (0, 0):
        return local_day(window, at_us)
    return f"{at.day} {at:%B %Y}, {at:%H:%M} {window.timezone}"


def local_day(window: Window, at_us: int) -> str:
    """The day on which a moment is there: 1 December 2026; 1 December 2026 in Europe/Berlin."""
    at = local_time(window.timezone, at_us)
    day = f"{at.day} {at:%B %Y}"
    return day if window.timezone == "UTC" else f"{day} in {window.timezone}"


def _until(window: Window, now: datetime) -> str:
    match window:
        case CalendarWindow():
            ends = window.slices(int(now.timestamp()) * _SECOND_US).frees_us
            return f"until {local(window, ends or 0)}"
        case RollingWindow(length_us=length):
            return f"until enough of it was spent longer than {words.span(length * 1_000)} ago"
        case TotalWindow():
            return "for good, until the budget is raised"
        case unknown:
            assert_never(unknown)
