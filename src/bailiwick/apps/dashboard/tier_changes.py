"""What a tier changes: its terms in plain words, beside those of whoever comes without a tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, final

from bailiwick.apps.dashboard import budget_words, words
from bailiwick.domain.budgets import Cap
from bailiwick.domain.tenancy import Project
from bailiwick.domain.tiers import Tier

_UNLIMITED: Final = "unlimited"
_ANY: Final = "any"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TierChange:
    """One thing that is otherwise: `says` it, `instead` of that."""

    about: str
    says: str
    instead: str


def tier_changes(project: Project, of_each_user: Sequence[Cap], tier: Tier, default: Tier | None) -> list[TierChange]:
    """What `tier` changes of what holds without a tier: the `default` one's terms, if any, else the project's own.

    `of_each_user` is what the project itself lets each user spend.
    """
    usual, terms = _terms(project, of_each_user, default), _terms(project, of_each_user, tier)
    return [
        TierChange(about=about[0].upper() + about[1:], says=terms.get(about, other), instead=usual.get(about, other))
        for about, other in _about(usual, terms)
        if terms.get(about, other) != usual.get(about, other)
    ]


def _about(*both: dict[str, str]) -> list[tuple[str, str]]:
    """Everything that one of them speaks of, and what holds where the other is silent."""
    named = dict.fromkeys(about for terms in both for about in terms)
    return [(about, _otherwise(about)) for about in named]


def _otherwise(about: str) -> str:
    return _ANY if about in _NAMES else _UNLIMITED


_NAMES: Final = frozenset({"models", "agents", "tools"})


def _terms(project: Project, of_each_user: Sequence[Cap], tier: Tier | None) -> dict[str, str]:
    """What holds under a tier: its limits stand in the place of the project's, level by level, its budgets by kind."""
    given = () if tier is None else tier.spec.budgets
    replaced = {cap.kind for cap in given}
    terms = words.limits_by_level(project.limits)
    terms |= _spending([*(cap for cap in of_each_user if cap.kind not in replaced), *given])
    if tier is None:
        return terms
    spec = tier.spec
    terms |= words.limits_by_level(spec.limits)
    terms |= {
        name: ", ".join(said) or "none" for name in ("models", "agents") if (said := getattr(spec, name)) is not None
    }
    if spec.tools is not None and spec.tools.says_something:
        terms["tools"] = words.tools(spec.tools.document())
    if spec.max_output_tokens is not None:
        terms["each answer"] = f"at most {words.counted(spec.max_output_tokens, 'token')}"
    return terms


def _spending(caps: Sequence[Cap]) -> dict[str, str]:
    """What each user may spend, by what is counted."""
    terms: dict[str, list[str]] = {}
    for cap in caps:
        terms.setdefault(f"each user, {budget_words.about(cap)}", []).append(budget_words.amount(cap.unit, cap.amount))
    return {about: " and ".join(amounts) for about, amounts in terms.items()}
