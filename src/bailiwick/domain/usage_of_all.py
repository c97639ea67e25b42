"""What the whole installation used: over time, and by tenant."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import final

from bailiwick.domain.ids import TenantId


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """What some calls came to, and how many were refused beside them; `cost_nano` is of those with a known price."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_nano: int
    refused: int

    def __add__(self, other: Amounts) -> Amounts:
        """Both together."""
        return Amounts(
            requests=self.requests + other.requests,
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cost_nano=self.cost_nano + other.cost_nano,
            refused=self.refused + other.refused,
        )


NOTHING = Amounts(requests=0, input_tokens=0, output_tokens=0, cost_nano=0, refused=0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TenantAmounts:
    """What one tenant used; `name` is None once there is no such tenant any more."""

    tenant_id: TenantId
    name: str | None
    amounts: Amounts


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class InstallationUsage:
    """What all tenants used in each hour or on each day of a span, and the tenants with the most requests first."""

    over_time: dict[datetime, Amounts]
    tenants: tuple[TenantAmounts, ...]

    @property
    def total(self) -> Amounts:
        """All of the span, of all tenants."""
        return sum(self.over_time.values(), NOTHING)
