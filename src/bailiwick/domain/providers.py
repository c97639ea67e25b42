"""Model providers as operators set them up: of the platform, of a tenant, or of one project.

Prices are kept as the decimal strings that were given: exact, and never a float.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final, final

from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import ProjectId, ProviderId, TenantId
from bailiwick.domain.model_names import MAX_MODELS, read_model, read_models
from bailiwick.domain.models import RESERVED_NAMES, ProviderKind
from bailiwick.domain.usage import MAX_TOKENS

DEFAULT_BASE_URLS: Final[Mapping[ProviderKind, str]] = {
    ProviderKind.OPENAI: "https://api.openai.com/v1",
    ProviderKind.ANTHROPIC: "https://api.anthropic.com/v1",
    ProviderKind.GEMINI: "https://generativelanguage.googleapis.com/v1beta/openai",
    ProviderKind.ECHO: "",
}
MAX_PRICE: Final = Decimal(1_000_000)
MAX_DECIMALS: Final = 9
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
# What can stand in a header of ours, so that no secret can add one.
_SECRET: Final = re.compile(r"[!-~]{1,4096}")
_DECIMAL: Final = re.compile(r"[0-9]{1,7}(?:\.[0-9]{1,9})?")

PriceAsked = str | int | Decimal


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PriceOverride:
    """US dollars per million tokens, as exact decimal strings; `context_window`: how many it reads at once, if said."""

    input_usd_per_million: str
    output_usd_per_million: str
    context_window: int | None = None

    def document(self) -> dict[str, object]:
        """The price as it is written."""
        window = {} if self.context_window is None else {"context_window": self.context_window}
        return {
            "input_usd_per_million": self.input_usd_per_million,
            "output_usd_per_million": self.output_usd_per_million,
            **window,
        }


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Whose it is: a project's, a tenant's (no project), or the platform's (no tenant either)."""

    tenant_id: TenantId | None
    project_id: ProjectId | None


PLATFORM: Final = Place(tenant_id=None, project_id=None)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSpec:
    """What can be asked of a provider, without its secret. `models` None: it lists none and accepts any name."""

    name: str
    kind: ProviderKind
    base_url: str
    models: tuple[str, ...] | None
    prices: Mapping[str, PriceOverride]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider as it is, without its secret."""

    id: ProviderId
    place: Place
    spec: ProviderSpec
    has_api_key: bool
    from_environment: bool
    created_at: datetime
    created_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class EnvironmentProvider:
    """A provider that the server's environment names. Its address is the platform's own choice: not guarded."""

    kind: ProviderKind
    api_key: str
    base_url: str | None = None


def provider_spec(
    *,
    name: str,
    kind: ProviderKind,
    base_url: str | None = None,
    models: Sequence[str] | None = None,
    prices: Mapping[str, tuple[PriceAsked, PriceAsked]] | None = None,
    windows: Mapping[str, int] | None = None,
) -> ProviderSpec:
    """Check what is asked of a provider; raises `Invalid`. Whether we would connect there is the guard's question."""
    findings = Findings()
    if kind is ProviderKind.ECHO and base_url is not None:
        findings.add("base_url", "must be absent: an echo provider is part of this server")
    if base_url is not None and "?" in base_url:
        findings.add("base_url", "must not have a query")
    spec = ProviderSpec(
        name=findings.take(lambda: _read_provider_name(name), ""),
        kind=kind,
        base_url=(DEFAULT_BASE_URLS[kind] if base_url is None else base_url).rstrip("/"),
        models=findings.take(lambda: read_models("models", models), None),
        prices=findings.take(lambda: _read_prices(prices or {}, windows or {}), {}),
    )
    findings.or_raise()
    return spec


def read_provider_secret(text: str) -> str:
    """Take a provider's API key; raises `Invalid`, without a trace of it."""
    if _SECRET.fullmatch(text) is None:
        raise invalid("api_key", "must be 1 to 4096 visible ASCII characters, without spaces")
    return text


def read_price(field: str, value: PriceAsked) -> str:
    """Take dollars per million tokens as an exact decimal string with no needless zeros; raises `Invalid`."""
    if isinstance(value, str):
        if _DECIMAL.fullmatch(value) is None:
            raise invalid(field, 'must be a decimal such as "0.15", with at most 9 decimals')
        value = Decimal(value)
    # The bounds first: a number such as 1e999999 is short to write and long to compute with.
    if not 0 <= value <= MAX_PRICE:
        raise invalid(field, f"must be from 0 to {MAX_PRICE}")
    number = Decimal(value)
    exponent = number.as_tuple().exponent
    if not isinstance(exponent, int) or exponent < -MAX_DECIMALS:
        raise invalid(field, f"must have at most {MAX_DECIMALS} decimals")
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _read_provider_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise invalid("name", "must be 1 to 63 of a-z, 0-9, '.', '_' and '-', and begin with a letter or digit")
    if text in RESERVED_NAMES:
        raise invalid("name", "is reserved")
    return text


def _read_window(field: str, tokens: int | None) -> int | None:
    if tokens is not None and not 1 <= tokens <= MAX_TOKENS:
        raise invalid(field, f"must be from 1 to {MAX_TOKENS}")
    return tokens


def _read_prices(
    prices: Mapping[str, tuple[PriceAsked, PriceAsked]], windows: Mapping[str, int]
) -> Mapping[str, PriceOverride]:
    if len(prices) > MAX_MODELS:
        raise invalid("prices", f"must be at most {MAX_MODELS}")
    findings = Findings()
    read: dict[str, PriceOverride] = {}
    for model, (asked_input, asked_output) in prices.items():
        field = f"prices.{model}"
        with findings.noted():
            read_model(field, model)
            read[model] = PriceOverride(
                input_usd_per_million=read_price(f"{field}.input_usd_per_million", asked_input),
                output_usd_per_million=read_price(f"{field}.output_usd_per_million", asked_output),
                context_window=_read_window(f"{field}.context_window", windows.get(model)),
            )
    findings.or_raise()
    return read
