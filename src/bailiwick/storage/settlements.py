"""Settlements as the ledger's statements read them."""

from __future__ import annotations

from typing import Final, final
from uuid import UUID

import msgspec

from bailiwick.domain.metering import OpenCall, Settlement
from bailiwick.domain.usage import NO_USAGE, Outcome, TokenUsage, UsageSource

_encode: Final = msgspec.json.encode
# The kinds of tokens that few calls have.
_RARE: Final = TokenUsage._fields.index("input_audio_tokens")


@final
class _Settled(msgspec.Struct, omit_defaults=True):
    """One settlement. What most do not have is not sent; the last three are, only to correct a lost call."""

    id: str
    cost_nano: int | None
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    latency_ms: int
    first_byte_ms: int | None
    status: int | None
    outcome: int
    usage_source: int
    provider: str
    model: str
    price: int | None = None
    cache_write_1h_tokens: int | None = None
    input_audio_tokens: int | None = None
    output_audio_tokens: int | None = None
    input_image_tokens: int | None = None
    output_image_tokens: int | None = None
    tenant_id: UUID | None = None
    project_id: UUID | None = None
    opened_us: int | None = None


def settlements(batch: list[Settlement]) -> bytes:
    """What settles the open rows of a batch."""
    return _encode([_row(settlement) for settlement in batch])


def corrections(batch: list[Settlement]) -> bytes:
    """What corrects the ledger rows of those of a batch that were settled as lost."""
    rows = [_row(settlement) for settlement in batch]
    for row, settlement in zip(rows, batch, strict=True):
        row.tenant_id = settlement.call.tenant_id
        row.project_id = settlement.call.project_id
        row.opened_us = settlement.call.opened_us
    return _encode(rows)


def first_of_each(batch: list[Settlement]) -> list[Settlement]:
    """Of one call's settlements the first counts."""
    if len(batch) == 1:
        return batch
    return list({settlement.call.id: settlement for settlement in reversed(batch)}.values())


def refused(call: OpenCall) -> Settlement:
    """What a call comes to that was opened and never went to a provider."""
    return Settlement(
        call=call,
        outcome=Outcome.OUR_FAILURE,
        usage=NO_USAGE,
        source=UsageSource.NOTHING,
        cost_nano=0,
        latency_ms=0,
        first_byte_ms=None,
        status=None,
    )


def _row(settlement: Settlement) -> _Settled:
    usage = settlement.usage
    row = _Settled(
        id=settlement.call.id,
        cost_nano=settlement.cost_nano,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cached_tokens=usage.cached_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        latency_ms=settlement.latency_ms,
        first_byte_ms=settlement.first_byte_ms,
        status=settlement.status,
        outcome=settlement.outcome,
        usage_source=settlement.source,
        provider=settlement.call.provider,
        model=settlement.call.model,
        price=settlement.call.price,
    )
    if any(usage[_RARE:]):
        for kind in TokenUsage._fields[_RARE:]:
            setattr(row, kind, getattr(usage, kind) or None)
    return row
