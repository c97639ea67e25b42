"""Versions of prices as the control plane shows them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, Field


class PriceVersionShown(BaseModel):
    """A price that calls are charged by; it never changes. `since` is null of what costs nothing."""

    version: str
    kind: str
    model: str
    source: str = Field(examples=["override", "genai-prices 0.2.3"])
    since: str | None
    rates: dict[str, dict[str, Any]] = Field(
        description="By kind of token; with `steps`, the rates of calls with more input tokens than each says.",
        examples=[{"input": {"usd_per_million": "2.50", "steps": [{"above": 200000, "usd_per_million": "5.00"}]}}],
    )


class PriceVersionsShown(BaseModel):
    """A page of them, in the order of their versions."""

    data: list[PriceVersionShown]
    has_more: bool
    next: str | None
