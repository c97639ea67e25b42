"""Budgets as lines: what one says, and that each says what it was written from."""

from __future__ import annotations

import pytest

from bailiwick.domain.budget_lines import budget_line, read_budget_line
from bailiwick.domain.budgets import tier_caps


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("5.00 usd month", {"limit": {"usd": "5.00"}, "window": "month"}),
        ("  $5   day ", {"limit": {"usd": "5"}, "window": "day"}),
        ("200000 tokens 24h", {"limit": {"tokens": 200000}, "window": "24h"}),
        (
            "$1 week timezone=Asia/Tokyo models=gpt-*,o3 max_wait=0s",
            {
                "limit": {"usd": "1"},
                "window": "week",
                "timezone": "Asia/Tokyo",
                "models": ["gpt-*", "o3"],
                "max_wait": "0s",
            },
        ),
        # What it says is judged by whoever takes the document.
        ("many tokens day", {"limit": {"tokens": "many"}, "window": "day"}),
        ("-5 usd year", {"limit": {"usd": "-5"}, "window": "year"}),
    ],
)
def test_a_line_is_amount_unit_and_window_and_what_else_is_said(text: str, document: dict[str, object]) -> None:
    assert read_budget_line(text) == document


@pytest.mark.parametrize(
    "text",
    ["", "5.00", "5.00 usd", "5.00 eur month", "month 5 usd", "5 usd day week", "5 usd day limit=3",
     "5 usd day on_exceed", "5 usd day max_wait=1s max_wait=2s", "$ usd day", "$5 usd day"],
)  # fmt: skip
def test_what_is_no_line_is_told(text: str) -> None:
    with pytest.raises(ValueError, match="must "):
        read_budget_line(text)


@pytest.mark.parametrize(
    "text",
    ["5.00 usd month", "0.000000001 usd 366d", "7 tokens total", "1.00 usd day timezone=Asia/Tokyo on_exceed=reject",
     "1.00 usd day max_wait=0s on_lost=ceiling models=gpt-*,o3"],
)  # fmt: skip
def test_a_budget_is_written_as_the_line_that_it_is_read_from(text: str) -> None:
    (cap,) = tier_caps("budgets", [read_budget_line(text)])
    assert budget_line(cap.document()) == text
