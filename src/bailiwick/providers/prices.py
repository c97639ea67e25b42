"""List prices from the offline table of `genai-prices`, as exact rates. Nothing is fetched, ever."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from importlib.metadata import version
from typing import Final

from genai_prices import data_snapshot
from genai_prices.types import ModelPrice, TieredPrices

from bailiwick.domain.models import ProviderKind
from bailiwick.domain.price_versions import FREE_QUOTE, Quote
from bailiwick.domain.pricing import FREE, Price, Rate, rate_from_usd
from bailiwick.domain.usage import TOKENS_A_SECOND

_SOURCE: Final = f"genai-prices {version('genai-prices')}"
_HOUR: Final = 3600
_MILLION: Final = 1_000_000
_TABLES: Final = {ProviderKind.OPENAI: "openai", ProviderKind.ANTHROPIC: "anthropic", ProviderKind.GEMINI: "google"}


@lru_cache(maxsize=4096)
def list_price(kind: ProviderKind, model: str, at: datetime) -> Price | None:
    """The price of a model by its provider's kind and its name, whatever the base URL; None if it is not known.

    `at` is the time for which the price is asked; callers round it (to the day), since answers are kept.
    """
    if kind is ProviderKind.ECHO:
        return FREE
    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, _TABLES[kind], None)
    except LookupError:
        return None
    prices = found.get_prices(at)
    plain_input, plain_output = _rate(prices, "input_mtok"), _rate(prices, "output_mtok")
    by_time = _by_time(prices)
    if plain_input is None and plain_output is None and by_time is None:
        return None
    zero = Rate(base=0)
    return Price(
        input=plain_input or by_time or zero,
        output=plain_output or zero,
        cached=_rate(prices, "cache_read_mtok"),
        cache_write=_rate(prices, "cache_write_mtok"),
        input_audio=_rate(prices, "input_audio_mtok"),
        output_audio=_rate(prices, "output_audio_mtok"),
        cache_write_1h=_rate(prices, "cache_write_1h_mtok"),
        input_image=_rate(prices, "input_image_mtok"),
        output_image=_rate(prices, "output_image_mtok"),
    )


@lru_cache(maxsize=4096)
def quoted(kind: ProviderKind, model: str, at: datetime) -> Quote | None:
    """The same with its source, and the model's name in the table: of names that callers think of there is no end."""
    if kind is ProviderKind.ECHO:
        return FREE_QUOTE
    price = list_price(kind, model, at)
    if price is None:
        return None
    _, found = data_snapshot.get_snapshot().find_provider_model(model, None, _TABLES[kind], None)
    return Quote(kind=kind, model=found.id, source=_SOURCE, price=price)


@lru_cache(maxsize=4096)
def context_window(kind: ProviderKind, model: str) -> int | None:
    """How many tokens a model reads at once; None if that is not known. Echo reads what it is sent, and no more."""
    if kind is ProviderKind.ECHO:
        return 0
    try:
        _, found = data_snapshot.get_snapshot().find_provider_model(model, None, _TABLES[kind], None)
    except LookupError:
        return None
    return found.context_window


def _by_time(prices: ModelPrice) -> Rate | None:
    """The rate of a model that is priced by the hour of sound."""
    hour = getattr(prices, "input_audio_hours", None) or getattr(prices, "audio_hours", None)
    return Rate(base=rate_from_usd(hour / (_HOUR * TOKENS_A_SECOND) * _MILLION)) if isinstance(hour, Decimal) else None


def _rate(prices: ModelPrice, name: str) -> Rate | None:
    value = getattr(prices, name, None)
    if isinstance(value, TieredPrices):
        steps = sorted((tier.start, rate_from_usd(tier.price)) for tier in value.tiers)
        return Rate(base=rate_from_usd(value.base), steps=tuple(steps))
    return Rate(base=rate_from_usd(value)) if isinstance(value, Decimal) else None
