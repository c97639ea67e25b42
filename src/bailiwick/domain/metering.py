"""One call's life in the ledger: opened before the provider hears of it, settled exactly once.

    open ──settle──▶ settled
      └──lose──▶ lost ──settle late──▶ settled (corrected, once)

A call is lost when its process stopped beating; the truth may still arrive, if the process was only cut off.
"""

from __future__ import annotations

from enum import IntEnum
from typing import final
from uuid import UUID

import msgspec

from bailiwick.domain.usage import Outcome, TokenUsage, UsageSource


class SpentIfLost(IntEnum):
    """What a call under budgets has spent whose process died. The numbers are stored: never reused."""

    ESTIMATE = 0
    CEILING = 1
    NOTHING = 2


@final
class OpenCall(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """A call as it is opened. `id` is 32 hex digits of a UUIDv7; `opened_us` is Unix time in microseconds.

    `input_estimate` (tokens) and `cost_estimate_nano` are what its row will say if it is lost. `held_tokens` is what it
    took from limits on tokens, None if there are none. It was made as the agent `agent_id`, by
    its `agent_version`, if as any, and on the plan `tier` of its project.
    `price` is the version of the price that it is charged at, None if none is known,
    `asked` what the caller named where that is not the model: an alias, an agent, `provider/name`.

    Under budgets it holds `ceiling_nano` of those on money and `ceiling_tokens` of those on tokens until it is settled.
    `ceiling_tokens` None: it is under no budget. `on_lost` is what is settled if it is lost.
    """

    id: str
    tenant_id: UUID
    project_id: UUID
    key_id: UUID | None
    uid: str | None
    sid: str | None
    provider: str
    model: str
    streamed: bool
    opened_us: int
    input_estimate: int
    cost_estimate_nano: int | None
    held_tokens: int | None = None
    agent_id: UUID | None = None
    agent_version: int | None = None
    tier: str | None = None
    price: int | None = None
    asked: str | None = None
    ceiling_nano: int | None = None
    ceiling_tokens: int | None = None
    on_lost: SpentIfLost = SpentIfLost.ESTIMATE

    def moved_to(self, provider: str, model: str, price: int | None) -> OpenCall:
        """The same call as another model is asked for it."""
        asked = self.asked or self.model
        return msgspec.structs.replace(
            self, provider=provider, model=model, price=price, asked=None if asked == model else asked
        )


@final
class Need(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One budget that an opening call needs room in: what is counted for `subject` in `slice`, and in `span` before it.

    `counted` says what is counted over which window: a budget that is changed in that begins anew. `lim` is the limit,
    in tokens if `in_tokens`, else in nano-dollars. What is counted counts until `ends_us`, Unix time in microseconds,
    None for ever.
    """

    tenant_id: UUID
    budget_id: UUID
    counted: str
    subject: str
    slice: int
    span: int
    in_tokens: bool
    lim: int
    ends_us: int | None


@final
class NoRoom(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Which of a call's needs, by its place, has no room for it: what is settled there, what calls in flight hold."""

    need: int
    settled: int
    reserved: int


@final
class Settlement(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """How an open call ended. `cost_nano` is None when no price is known; `status` is the provider's.

    `call` names the provider and the model that were asked last, which the open row may not.
    """

    call: OpenCall
    outcome: Outcome
    usage: TokenUsage
    source: UsageSource
    cost_nano: int | None
    latency_ms: int
    first_byte_ms: int | None
    status: int | None
