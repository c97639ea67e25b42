"""The contract's budget object: what it means, and that nothing of it is ignored."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain import ids
from bailiwick.domain.budgets import (
    MOST,
    BudgetHolder,
    BudgetScope,
    BudgetSpec,
    Cap,
    OnExceed,
    OnLost,
    Unit,
    budget_spec,
    tier_caps,
    tier_terms,
)
from bailiwick.domain.fields import Invalid
from bailiwick.domain.globs import Globs
from bailiwick.domain.ids import TierId
from bailiwick.domain.money import parse_usd, usd
from bailiwick.domain.windows import CalendarWindow, Period

GOOD: dict[str, Any] = {"scope": "project", "limit": {"usd": "25.00"}, "window": "month"}
KEY, PROJECT = ids.shown(ids.KEY, UUID(int=3)), ids.shown(ids.PROJECT, UUID(int=2))
TIER = TierId(UUID(int=9))


def read(holder: BudgetHolder = BudgetHolder.PROJECT, **fields: object) -> BudgetSpec:
    return budget_spec({**GOOD, **fields}, holder=holder)


def wrong(holder: BudgetHolder = BudgetHolder.PROJECT, **fields: object) -> set[str]:
    """The fields that are told to be wrong."""
    with pytest.raises(Invalid) as refused:
        read(holder, **fields)
    return {error.field for error in refused.value.errors}


def test_what_is_not_said_has_the_contracts_default() -> None:
    assert read() == BudgetSpec(
        scope=BudgetScope.PROJECT,
        subject=None,
        cap=Cap(
            unit=Unit.MONEY,
            amount=25_000_000_000,
            window=CalendarWindow(Period.MONTH, "UTC"),
            on_exceed=OnExceed.CAP,
            max_wait_ns=2_000_000_000,
            on_lost=OnLost.ESTIMATE,
            models=None,
        ),
    )


def test_a_budget_is_written_as_it_is_read_with_every_default() -> None:
    spec = read(scope="user", subject="*", models=["gpt-*", "o3"], timezone="Europe/Berlin", max_wait="0s")
    assert spec.document() == {
        "scope": "user", "subject": "*", "limit": {"usd": "25.00"}, "window": "month", "timezone": "Europe/Berlin",
        "on_exceed": "cap", "max_wait": "0s", "on_lost": "estimate", "models": ["gpt-*", "o3"],
    }  # fmt: skip
    assert budget_spec(spec.document(), holder=BudgetHolder.PROJECT) == spec


@given(st.integers(0, MOST))
def test_every_amount_of_money_is_read_as_it_is_written(nano: int) -> None:
    assert parse_usd(usd(nano)) == nano
    assert read(limit={"usd": usd(nano)}).cap.amount == nano


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0", 0), ("0.00", 0), ("25", 25 * 10**9), ("0.000000001", 1), ("0.1", 10**8), ("7.50", 75 * 10**8)],
)
def test_dollars_are_decimals(text: str, nano: int) -> None:
    assert read(limit={"usd": text}).cap.amount == nano


@pytest.mark.parametrize(
    "amount",
    [
        "-1", "-0.01", "+1", "1e3", "1E3", "NaN", "Infinity", "", " 1", "1 ", "1,5", "1_000", ".5", "5.", "01", "0x1",
        "$5", "1.0000000001", "٣", "9" * 5000, usd(MOST + 1), 25, 25.0, 0, True, None, ["1"], {"amount": "1"},
    ],
)  # fmt: skip
def test_what_is_no_decimal_amount_of_dollars_is_refused(amount: object) -> None:
    assert wrong(limit={"usd": amount}) == {"limit.usd"}


def test_tokens_are_whole_numbers_from_none_to_very_many() -> None:
    assert read(limit={"tokens": 0}).cap.amount == 0
    assert read(limit={"tokens": MOST}).cap == Cap(unit=Unit.TOKENS, amount=MOST, window=CalendarWindow(Period.MONTH))


@pytest.mark.parametrize("amount", [-1, MOST + 1, 10**4000, 1.0, 0.5, float("inf"), float("nan"), True, "5", None, []])
def test_what_is_no_number_of_tokens_is_refused(amount: object) -> None:
    assert wrong(limit={"tokens": amount}) == {"limit.tokens"}


@pytest.mark.parametrize("limit", [None, {}, {"usd": "1", "tokens": 1}, {"eur": "1"}, {"requests": 5}, "25.00", 25, []])
def test_a_limit_is_exactly_one_amount(limit: object) -> None:
    assert wrong(limit=limit) == {"limit"}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"scope": "team"}, "scope"),
        ({"scope": None}, "scope"),
        ({"scope": 1}, "scope"),
        ({"window": None}, "window"),
        ({"window": "year"}, "window"),
        ({"window": 24}, "window"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
        ({"window": "24h", "timezone": "Europe/Berlin"}, "timezone"),
        ({"on_exceed": "refuse"}, "on_exceed"),
        ({"on_lost": "forget"}, "on_lost"),
        ({"max_wait": "61s"}, "max_wait"),
        ({"max_wait": 2}, "max_wait"),
        ({"max_wait": "soon"}, "max_wait"),
        ({"models": []}, "models"),
        ({"models": "gpt-4o"}, "models"),
        ({"models": [4]}, "models.0"),
        ({"models": ["a", "b c"]}, "models.1"),
        ({"amount": 5}, "amount"),
        ({"enabled": True}, "enabled"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_name(fields: dict[str, object], field: str) -> None:
    assert wrong(**fields) == {field}


def test_null_is_what_is_not_said() -> None:
    assert read(subject=None, timezone=None, on_exceed=None, max_wait=None, on_lost=None, models=None) == read()


def test_everything_that_is_wrong_is_told_at_once() -> None:
    assert wrong(scope="x", limit={"usd": "-1"}, window="never", on_exceed="x", colour="red") == {
        "scope", "limit.usd", "window", "on_exceed", "colour",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("holder", "scope", "subject"),
    [
        ("tenant", "tenant", None),
        ("tenant", "project", "*"),
        ("tenant", "project", PROJECT),
        ("tenant", "user", "*"),
        ("tenant", "user", "u-1"),
        ("tenant", "session", "*"),
        ("tenant", "key", KEY),
        ("project", "project", None),
        ("project", "user", "*"),
        ("project", "user", "Ünï / code"),
        ("project", "session", "s-1"),
        ("project", "key", "*"),
        ("project", "key", KEY),
    ],
)
def test_a_scope_has_the_subjects_that_there_are(holder: str, scope: str, subject: str | None) -> None:
    spec = read(BudgetHolder(holder), scope=scope, subject=subject)
    assert (spec.scope, spec.subject) == (scope, subject)


@pytest.mark.parametrize(
    ("holder", "scope", "subject", "field"),
    [
        ("project", "tenant", None, "scope"),
        ("tenant", "tenant", "*", "subject"),
        ("project", "project", "*", "subject"),
        ("project", "project", PROJECT, "subject"),
        ("tenant", "project", None, "subject"),
        ("tenant", "project", KEY, "subject"),
        ("tenant", "project", "app", "subject"),
        ("project", "user", None, "subject"),
        ("project", "user", "", "subject"),
        ("project", "user", "a\nb", "subject"),
        ("project", "user", "x" * 256, "subject"),
        ("project", "user", 7, "subject"),
        ("project", "session", None, "subject"),
        ("project", "key", None, "subject"),
        ("project", "key", PROJECT, "subject"),
        ("project", "key", "bwk_1", "subject"),
    ],
)
def test_a_scope_without_such_a_subject_is_refused(holder: str, scope: str, subject: object, field: str) -> None:
    assert wrong(BudgetHolder(holder), scope=scope, subject=subject) == {field}


def test_a_tier_says_a_budget_for_each_of_its_users() -> None:
    caps = tier_caps("budgets", [{"limit": {"usd": "5"}, "window": "month"}, {"limit": {"tokens": 9}, "window": "day"}])
    assert [cap.document()["limit"] for cap in caps] == [{"usd": "5.00"}, {"tokens": 9}]
    assert {(one.scope, one.subject, one.holder) for one in tier_terms(TIER, caps)} == {("user", "*", "tier")}


@pytest.mark.parametrize(
    ("budgets", "field"),
    [
        ([{"window": "day"}], "budgets.0.limit"),
        ([{"limit": {"usd": "1"}}], "budgets.0.window"),
        ([{"limit": {"usd": 1}, "window": "day"}], "budgets.0.limit.usd"),
        ([{"limit": {"usd": "1"}, "window": "day", "scope": "user"}], "budgets.0.scope"),
        ([{"limit": {"usd": "1"}, "window": "day", "subject": "*"}], "budgets.0.subject"),
        ([{"limit": {"usd": "1"}, "window": "day", "timezone": "x"}], "budgets.0.timezone"),
        ([{"limit": {"usd": "1"}, "window": "day"}, {"limit": {"usd": "2"}, "window": "day"}], "budgets.1"),
        ([{"limit": {"usd": "1"}, "window": "24h"}, {"limit": {"usd": "2"}, "window": "1d"}], "budgets.1"),
        (["5"], "budgets.0"),
        ([{"limit": {"usd": "1"}, "window": f"{number}h"} for number in range(1, 22)], "budgets"),
    ],
)
def test_what_a_tier_cannot_say_is_refused(budgets: list[object], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        tier_caps("budgets", budgets)
    assert {error.field for error in refused.value.errors} == {field}


def test_another_amount_leaves_a_tiers_budget_what_it_is_and_another_window_does_not() -> None:
    def known(**fields: object) -> UUID:
        caps = tier_caps("budgets", [{"limit": {"usd": "5"}, "window": "day", **fields}])
        return tier_terms(TIER, caps)[0].id

    assert known() == known(limit={"usd": "7"}) == known(on_exceed="reject", max_wait="1s")
    others = [known(limit={"tokens": 5}), known(window="week"), known(timezone="Asia/Tokyo"), known(models=["gpt-*"])]
    assert len({known(), *others}) == 5
    assert (
        tier_terms(TierId(UUID(int=8)), tier_caps("budgets", [{"limit": {"usd": "5"}, "window": "day"}]))[0].id
        != known()
    )


def test_a_budgets_models_are_globs() -> None:
    assert read(models=["gpt-*"]).cap.models == Globs(("gpt-*",))
