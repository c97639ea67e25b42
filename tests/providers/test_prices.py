"""List prices: those of the offline table, to the nano-dollar, and for whom there are any."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

import pytest
from genai_prices import Usage, calc_price

from bailiwick.domain.models import ProviderKind
from bailiwick.domain.pricing import FREE
from bailiwick.domain.usage import TokenUsage
from bailiwick.providers.prices import list_price

DAY = datetime(2026, 11, 21, tzinfo=UTC)
KINDS = {ProviderKind.OPENAI: "openai", ProviderKind.ANTHROPIC: "anthropic", ProviderKind.GEMINI: "google"}
MODELS = [
    (ProviderKind.OPENAI, "gpt-4o"),
    (ProviderKind.OPENAI, "gpt-4o-mini"),
    (ProviderKind.OPENAI, "gpt-4o-mini-2024-07-18"),
    (ProviderKind.OPENAI, "gpt-4o-audio-preview"),
    (ProviderKind.OPENAI, "o3-mini"),
    (ProviderKind.ANTHROPIC, "claude-sonnet-4-5"),
    (ProviderKind.ANTHROPIC, "claude-3-5-haiku-latest"),
    (ProviderKind.GEMINI, "gemini-2.5-pro"),
    (ProviderKind.GEMINI, "gemini-2.5-flash"),
]
USAGES = [
    TokenUsage(input_tokens=1, output_tokens=1),
    TokenUsage(input_tokens=1000, output_tokens=500),
    TokenUsage(input_tokens=1000, output_tokens=500, cached_tokens=400),
    TokenUsage(input_tokens=199_999, output_tokens=500, cached_tokens=100_000),
    TokenUsage(input_tokens=200_000, output_tokens=500),
    TokenUsage(input_tokens=200_001, output_tokens=500),
    TokenUsage(input_tokens=350_000, output_tokens=8000, cached_tokens=250_000),
]


@pytest.mark.parametrize(("kind", "model"), MODELS)
@pytest.mark.parametrize("usage", USAGES)
def test_a_cost_is_what_the_table_itself_reckons(kind: ProviderKind, model: str, usage: TokenUsage) -> None:
    price = list_price(kind, model, DAY)
    assert price is not None
    counts = Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cached_tokens or None,
    )
    expected = calc_price(counts, model, provider_id=KINDS[kind], genai_request_timestamp=DAY).total_price
    nano = (expected * 1_000_000_000).to_integral_value(ROUND_CEILING)
    # The table divides by a million in decimals of limited precision.
    assert abs(Decimal(price.cost(usage)) - nano) <= 1


@pytest.mark.parametrize(("kind", "model"), MODELS)
def test_what_comes_from_the_cache_costs_less(kind: ProviderKind, model: str) -> None:
    price = list_price(kind, model, DAY)
    assert price is not None
    plain = price.cost(TokenUsage(input_tokens=10_000))
    cached = price.cost(TokenUsage(input_tokens=10_000, cached_tokens=10_000))
    assert cached <= plain
    assert plain > 0


@pytest.mark.parametrize(
    ("kind", "model"),
    [
        (ProviderKind.OPENAI, "no-such-model"),
        (ProviderKind.OPENAI, ""),
        (ProviderKind.OPENAI, "claude-sonnet-4-5"),
        (ProviderKind.ANTHROPIC, "gpt-4o"),
        (ProviderKind.OPENAI, "x" * 10_000),
        (ProviderKind.OPENAI, "\0"),
    ],
)
def test_a_model_that_the_kinds_table_does_not_know_has_no_price(kind: ProviderKind, model: str) -> None:
    assert list_price(kind, model, DAY) is None


def test_the_echo_is_free() -> None:
    assert list_price(ProviderKind.ECHO, "echo", DAY) is FREE
