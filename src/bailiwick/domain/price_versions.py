"""Versions of prices: the rates that a call was charged at, for as long as its row is there.

A version is known by a number that is made of all that it says. So whoever meets a price knows its version without
asking anybody, the same price met again is the same version, and a price that is changed is another one:

    a tenant's gpt-4o at 2.50 and 10 dollars by genai-prices 0.2.3   →  5171870911208464523
    the same by a later table, at a price of its own, of another     →  other numbers

Each tenant has its own, of the list's prices too: nobody learns from them what others call.

Evolution: what the number is made of stays, field by field; a version that is written is never changed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final, final
from uuid import UUID

import msgspec

from bailiwick.domain.models import ProviderKind
from bailiwick.domain.money import usd
from bailiwick.domain.pricing import FREE, Price, Rate
from bailiwick.domain.times import written

OVERRIDE: Final = "override"
"""The source of a price that an operator set with a provider."""

# Of 8 bytes, without the sign: the database's integers have one.
_BITS: Final = 2**63 - 1


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """What a model costs, and who says so: `source` is a table with its release, or `OVERRIDE`; `model` its name there.

    What is `FREE` costs everybody nothing, whatever the model.
    """

    kind: ProviderKind
    model: str
    source: str
    price: Price


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PriceVersion:
    """A quote as one tenant's calls are charged by it. `id` is its number, which the quote's price says too."""

    id: int
    tenant_id: UUID
    quote: Quote


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeptVersion:
    """A version as it was kept, and since when its tenant's calls can be charged by it; None of what is free."""

    id: int
    quote: Quote
    since: datetime | None

    def document(self) -> dict[str, object]:
        """The form outside: each rate in dollars per million tokens, exactly."""
        said = self.quote
        return {
            "version": shown_version(self.id),
            "kind": said.kind.value,
            "model": said.model,
            "source": said.source,
            "since": None if self.since is None else written(self.since),
            "rates": {kind: _rate_document(rate) for kind, rate in said.price.known()},
        }


def version_of(tenant_id: UUID, quote: Quote) -> PriceVersion:
    """The version of a quote for a tenant."""
    said = [tenant_id.hex, quote.kind.value, quote.model, quote.source, sorted(quote.price.rates().items())]
    digest = hashlib.sha256(msgspec.json.encode(said)).digest()
    number = (int.from_bytes(digest[:8], "big") & _BITS) or 1
    return PriceVersion(
        id=number, tenant_id=tenant_id, quote=replace(quote, price=replace(quote.price, version=number))
    )


def shown_version(number: int) -> str:
    """A version's number as it is shown outside: 16 hex digits, which every language reads exactly."""
    return f"{number:016x}"


def read_version(text: str) -> int:
    """Read what `shown_version` wrote; raises `ValueError`."""
    number = int(text, 16)
    if not 0 <= number <= _BITS or shown_version(number) != text:
        raise ValueError(text)
    return number


def _rate_document(rate: Rate) -> dict[str, object]:
    steps = [{"above": tokens, "usd_per_million": usd(higher)} for tokens, higher in rate.steps]
    return {"usd_per_million": usd(rate.base), **({"steps": steps} if steps else {})}


FREE_QUOTE: Final = Quote(kind=ProviderKind.ECHO, model="*", source="free", price=FREE)
"""Of the echo model, and of tool servers: never written, since its number says all."""
FREE_VERSION: Final = KeptVersion(id=0, quote=FREE_QUOTE, since=None)
