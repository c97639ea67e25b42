"""What tokens cost: integers, exact, rounded up once; and money as text."""

from __future__ import annotations

from decimal import ROUND_CEILING, Context, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.money import usd
from bailiwick.domain.pricing import FREE, Price, Rate, rate_from_usd
from bailiwick.domain.usage import MAX_TOKENS, NO_USAGE, TokenUsage, estimated_tokens

EXACT = Context(prec=60)

counts = st.integers(0, MAX_TOKENS)
usages = st.builds(
    TokenUsage.of,
    input_tokens=counts,
    output_tokens=counts,
    cached=counts,
    cache_write=counts,
    reasoning=counts,
    input_audio=counts,
    output_audio=counts,
    cache_write_1h=counts,
    input_image=counts,
    output_image=counts,
)
dollars = st.decimals(0, 10_000, places=9)
rates = st.builds(
    lambda base, steps: Rate(base=rate_from_usd(base), steps=tuple(sorted(steps.items()))),
    dollars,
    st.dictionaries(st.integers(1, 1_000_000), dollars.map(rate_from_usd), max_size=2),
)
maybe = st.none() | rates
prices = st.builds(
    Price,
    input=rates,
    output=rates,
    cached=maybe,
    cache_write=maybe,
    input_audio=maybe,
    output_audio=maybe,
    cache_write_1h=maybe,
    input_image=maybe,
    output_image=maybe,
)


@given(usages, prices)
def test_a_cost_is_the_exact_sum_of_its_parts_rounded_up_once(usage: TokenUsage, price: Price) -> None:
    size = usage.input_tokens
    parts = [
        (
            size - usage.cached_tokens - usage.cache_write_tokens - usage.input_audio_tokens - usage.input_image_tokens,
            price.input,
        ),
        (usage.cached_tokens, price.cached or price.input),
        (usage.cache_write_tokens - usage.cache_write_1h_tokens, price.cache_write or price.input),
        (usage.cache_write_1h_tokens, price.cache_write_1h or price.cache_write or price.input),
        (usage.input_image_tokens, price.input_image or price.input),
        (usage.output_image_tokens, price.output_image or price.output),
        (usage.input_audio_tokens, price.input_audio or price.input),
        (usage.output_tokens - usage.output_audio_tokens - usage.output_image_tokens, price.output),
        (usage.output_audio_tokens, price.output_audio or price.output),
    ]
    assert all(tokens >= 0 for tokens, _ in parts)
    exact = sum((EXACT.multiply(tokens, Decimal(rate.at(size))) for tokens, rate in parts), Decimal(0))
    nano = EXACT.divide(exact, Decimal(1_000_000)).to_integral_value(ROUND_CEILING, EXACT)
    assert price.cost(usage) == int(nano)


@given(usages, prices)
def test_a_cost_is_a_whole_number_and_never_negative(usage: TokenUsage, price: Price) -> None:
    cost = price.cost(usage)
    assert type(cost) is int
    assert cost >= 0


@given(dollars)
def test_a_rate_is_exact_to_the_nano_dollar(price: Decimal) -> None:
    assert Decimal(rate_from_usd(price)) / 1_000_000_000 == price


def test_a_rate_below_a_nano_dollar_is_rounded_up() -> None:
    assert rate_from_usd(Decimal("0.0000000001")) == 1
    assert rate_from_usd(Decimal("0.1500000000001")) == 150_000_001
    assert rate_from_usd(Decimal(0)) == 0


@pytest.mark.parametrize(
    ("usage", "nano"),
    [
        (TokenUsage(), 0),
        (TokenUsage(input_tokens=1), 150),
        (TokenUsage(output_tokens=1), 600),
        (TokenUsage(input_tokens=1000, output_tokens=100), 210_000),
        (TokenUsage(input_tokens=1000, output_tokens=100, cached_tokens=400), 180_000),
        (TokenUsage(input_tokens=1000, output_tokens=100, cached_tokens=1000), 135_000),
        (TokenUsage(output_tokens=100, reasoning_tokens=100), 60_000),
        (TokenUsage(input_tokens=1_000_000, output_tokens=1_000_000), 750_000_000),
    ],
)
def test_golden_costs_of_a_model_at_15_cents_and_60_cents_a_million(usage: TokenUsage, nano: int) -> None:
    price = Price(
        input=Rate(base=rate_from_usd(Decimal("0.15"))),
        output=Rate(base=rate_from_usd(Decimal("0.60"))),
        cached=Rate(base=rate_from_usd(Decimal("0.075"))),
    )
    assert price.cost(usage) == nano


@pytest.mark.parametrize(("size", "rate"), [(0, 1), (200_000, 1), (200_001, 2), (400_000, 2), (400_001, 3)])
def test_a_step_applies_above_its_size_and_to_all_of_the_call(size: int, rate: int) -> None:
    assert Rate(base=1, steps=((200_000, 2), (400_000, 3))).at(size) == rate


def test_a_step_is_chosen_by_the_input_for_the_output_too() -> None:
    stepped = Price(input=Rate(base=0), output=Rate(base=1_000_000, steps=((10, 2_000_000),)))
    assert stepped.cost(TokenUsage(input_tokens=10, output_tokens=5)) == 5
    assert stepped.cost(TokenUsage(input_tokens=11, output_tokens=5)) == 10


@given(usages)
def test_what_is_free_costs_nothing(usage: TokenUsage) -> None:
    assert FREE.cost(usage) == 0


@given(st.integers(-(10**15), 10**15))
def test_money_is_written_exactly_with_two_to_nine_decimals(nano: int) -> None:
    text = usd(nano)
    assert Decimal(text) * 1_000_000_000 == nano
    decimals = text.partition(".")[2]
    assert 2 <= len(decimals) <= 9
    assert len(decimals) == 2 or not decimals.endswith("0")
    assert "E" not in text.upper()


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0.00"), (1, "0.000000001"), (123_456, "0.000123456"), (10_000_000, "0.01"), (1_000_000_000, "1.00"),
        (12_500_000_000, "12.50"), (12_345_000_000, "12.345"), (-1, "-0.000000001"), (-1_500_000_000, "-1.50"),
    ],
)  # fmt: skip
def test_golden_amounts(nano: int, text: str) -> None:
    assert usd(nano) == text


integers = st.integers(-(2**70), 2**70) | st.integers(-2, MAX_TOKENS + 2)


@given(st.tuples(*[integers] * 7))
def test_the_parts_of_a_usage_are_always_within_their_whole(reported: tuple[int, ...]) -> None:
    read, wrote, cached, cache_write, reasoning, input_audio, output_audio = reported
    usage = TokenUsage.of(
        input_tokens=read,
        output_tokens=wrote,
        cached=cached,
        cache_write=cache_write,
        reasoning=reasoning,
        input_audio=input_audio,
        output_audio=output_audio,
    )
    believed = min(read, wrote) >= 0 and max(read, wrote) <= MAX_TOKENS
    assert (usage is not None) is believed
    if usage is None:
        return
    assert all(0 <= count <= MAX_TOKENS for count in usage)
    assert usage.cached_tokens + usage.cache_write_tokens + usage.input_audio_tokens <= usage.input_tokens
    assert max(usage.reasoning_tokens, usage.output_audio_tokens) <= usage.output_tokens


@given(st.integers(0, 2**40))
def test_an_estimate_is_a_token_for_four_bytes_and_at_least_one_for_any(size: int) -> None:
    estimate = estimated_tokens(size)
    assert (estimate > 0) is (size > 0)
    assert estimate == min(-(-size // 4), MAX_TOKENS)


def test_no_usage_is_nothing() -> None:
    assert set(NO_USAGE) == {0}


def test_audio_that_is_only_written_has_its_own_rate() -> None:
    spoken = Price(input=Rate(base=0), output=Rate(base=1_000_000), output_audio=Rate(base=5_000_000))
    assert spoken.cost(TokenUsage(output_tokens=10, output_audio_tokens=4)) == 6 + 20
