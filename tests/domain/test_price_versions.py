"""Versions of prices: a number for what is said, wherever it is said, and rates that are read back as they were."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given

from bailiwick.domain.models import ProviderKind
from bailiwick.domain.price_versions import OVERRIDE, KeptVersion, PriceVersion, Quote, version_of
from bailiwick.domain.pricing import Price, Rate, price_of
from bailiwick.domain.usage import TokenUsage
from tests.domain.test_pricing import prices, usages

TENANT = UUID(int=7)
PRICE = Price(input=Rate(base=2_500_000_000, steps=((200_000, 5_000_000_000),)), output=Rate(base=10_000_000_000))


def version(price: Price = PRICE, tenant_id: UUID = TENANT, **fields: Any) -> PriceVersion:
    said = {"kind": ProviderKind.OPENAI, "model": "gpt-4o", "source": OVERRIDE, "price": price, **fields}
    return version_of(tenant_id, Quote(**said))


def test_the_number_of_a_version_never_changes() -> None:
    assert version().id == version().quote.price.version == 2654823388335021565


@pytest.mark.parametrize(
    "other",
    [
        {"tenant_id": UUID(int=8)}, {"kind": ProviderKind.GEMINI}, {"model": "gpt-4o-mini"},
        {"source": "genai-prices 1"}, {"price": replace(PRICE, cached=PRICE.input)},
        {"price": replace(PRICE, output=Rate(base=10_000_000_001))},
        {"price": replace(PRICE, input=Rate(base=2_500_000_000))},
    ],
    ids=str,
)  # fmt: skip
def test_whatever_else_is_said_is_another_version(other: dict[str, Any]) -> None:
    assert version(**other).id != version().id


@given(prices, usages)
def test_a_price_that_was_kept_comes_to_the_same_cost(price: Price, usage: TokenUsage) -> None:
    made = version(price)
    kept = price_of(json.loads(json.dumps(made.quote.price.rates())), made.id)
    assert kept == price
    assert kept.version == made.id
    assert kept.cost(usage) == price.cost(usage)


def test_a_version_is_shown_with_its_rates_in_dollars() -> None:
    quote = version(replace(PRICE, cached=Rate(base=1))).quote
    assert KeptVersion(id=255, quote=quote, since=datetime(2026, 11, 22, tzinfo=UTC)).document() == {
        "version": "00000000000000ff",
        "kind": "openai",
        "model": "gpt-4o",
        "source": "override",
        "since": "2026-11-22T00:00:00Z",
        "rates": {
            "input": {"usd_per_million": "2.50", "steps": [{"above": 200_000, "usd_per_million": "5.00"}]},
            "output": {"usd_per_million": "10.00"},
            "cached": {"usd_per_million": "0.000000001"},
        },
    }
