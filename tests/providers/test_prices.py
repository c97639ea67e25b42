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
    (ProviderKind.OPENAI, "gpt-image-1.5"),
    (ProviderKind.OPENAI, "gpt-realtime"),
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
    TokenUsage(input_tokens=900, output_tokens=50, cached_tokens=100, cache_write_tokens=300, cache_write_1h_tokens=80),
    TokenUsage(input_tokens=900, output_tokens=500, input_audio_tokens=400, output_audio_tokens=300),
    TokenUsage(input_tokens=900, output_tokens=500, input_image_tokens=400, output_image_tokens=300),
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
        cache_write_tokens=usage.cache_write_tokens or None,
        cache_write_1h_tokens=usage.cache_write_1h_tokens or None,
        input_audio_tokens=usage.input_audio_tokens or None,
        output_audio_tokens=usage.output_audio_tokens or None,
        input_image_tokens=usage.input_image_tokens or None,
        output_image_tokens=usage.output_image_tokens or None,
    )
    expected = calc_price(counts, model, provider_id=KINDS[kind], genai_request_timestamp=DAY).total_price
    nano = (expected * 1_000_000_000).to_integral_value(ROUND_CEILING)
    # The table divides by a million in decimals of limited precision.
    assert abs(Decimal(price.cost(usage)) - nano) <= 1


@pytest.mark.parametrize("model", ["whisper-1", "gpt-transcribe"])
@pytest.mark.parametrize("seconds", [1, 9, 3600])
def test_a_recording_that_is_priced_by_the_hour_costs_its_seconds(model: str, seconds: int) -> None:
    price = list_price(ProviderKind.OPENAI, model, DAY)
    assert price is not None
    heard = TokenUsage(input_tokens=10 * seconds, input_audio_tokens=10 * seconds)
    counts = Usage(audio_seconds=seconds, input_audio_seconds=seconds)
    expected = calc_price(counts, model, provider_id="openai", genai_request_timestamp=DAY).total_price
    assert price.cost(heard) == (expected * 1_000_000_000).to_integral_value(ROUND_CEILING)


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
