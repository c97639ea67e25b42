"""What the gateway answers, as values. Fields that this version does not know are left out, not refused."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeVar, final

import httpx2
import msgspec

from bailiwick.client.errors import ServerError

Answer = TypeVar("Answer")


@final
class Minted(msgspec.Struct, frozen=True, kw_only=True):
    """A user token (RFC 6750, RFC 9068) and what its holder has to know. Its `repr` hides the token.

    `ttl` is in seconds, `expires_at` in Unix seconds; calls with the token belong to `session_id`.
    """

    token: str
    token_type: str
    ttl: int
    session_id: str
    expires_at: int
    project_id: str

    @property
    def expires(self) -> datetime:
        """`expires_at` as a moment, in UTC."""
        return datetime.fromtimestamp(self.expires_at, UTC)

    def __repr__(self) -> str:
        return f"Minted(token='…', ttl={self.ttl}, session_id={self.session_id!r}, expires_at={self.expires_at})"


@final
class Named(msgspec.Struct, frozen=True, kw_only=True):
    """A tier or a role: `by` what was `asked` for, and what it came to."""

    value: str | None = None
    asked: str | None = None
    by: str | None = None


@final
class Narrowed(msgspec.Struct, frozen=True, kw_only=True):
    """What one place, the `source`, lets of models or agents: globs over their names."""

    source: str
    globs: tuple[str, ...]


@final
class ScopesOf(msgspec.Struct, frozen=True, kw_only=True):
    """The scopes that one place lets."""

    source: str
    scopes: tuple[str, ...]


@final
class ToolsOf(msgspec.Struct, frozen=True, kw_only=True):
    """What one place says of tools, in globs; `allow` None: any. `mode` is what becomes of a call with others."""

    source: str
    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    mode: str | None = None


@final
class Ceiling(msgspec.Struct, frozen=True, kw_only=True):
    """How many tokens an answer may have, None for any number, and by what."""

    value: int | None = None
    by: str | None = None


@final
class Resolved(msgspec.Struct, frozen=True, kw_only=True):
    """Where what a key may do comes from. Of the lists all hold at once; `limits` says of each level whose it is."""

    tier: Named = Named()
    role: Named = Named()
    limits: dict[str, str] = {}
    scopes: tuple[ScopesOf, ...] = ()
    models: tuple[Narrowed, ...] = ()
    agents: tuple[Narrowed, ...] = ()
    tools: tuple[ToolsOf, ...] = ()
    max_output_tokens: Ceiling = Ceiling()


@final
class LimitLeft(msgspec.Struct, frozen=True, kw_only=True):
    """What is left in one rate limit, at most `limit` at once; nothing of it is taken any more at `frees_at`."""

    scope: str
    unit: str
    limit: int
    remaining: int
    frees_at: datetime | None = None


@final
class Amount(msgspec.Struct, frozen=True, kw_only=True):
    """An amount of dollars, or of tokens; the other is None."""

    usd: Decimal | None = None
    tokens: int | None = None


@final
class BudgetLeft(msgspec.Struct, frozen=True, kw_only=True):
    """What is left of one budget; `in_flight` is held by calls that have not ended, and some comes back at `frees_at`.

    `subject` says whom it counts, None where its `scope` has only one.
    """

    scope: str
    limit: Amount
    window: str
    used: Amount
    in_flight: Amount
    remaining: Amount
    subject: str | None = None
    models: tuple[str, ...] | None = None
    frees_at: datetime | None = None


@final
class Me(msgspec.Struct, frozen=True, kw_only=True):
    """Who the key is to the gateway. `models` and `agents` are None when it may call any; `key_id` when it is no key.

    `resolved` says where each thing comes from; None of a gateway that does not tell. `limits` and `budgets` say
    what is left in each.
    """

    credential: str
    tenant_id: str
    project_id: str
    project_slug: str
    scopes: tuple[str, ...]
    key_id: str | None = None
    tier: str | None = None
    role: str | None = None
    models: tuple[str, ...] | None = None
    agents: tuple[str, ...] | None = None
    act_as: bool = False
    user_id: str | None = None
    session_id: str | None = None
    resolved: Resolved | None = None
    limits: tuple[LimitLeft, ...] = ()
    budgets: tuple[BudgetLeft, ...] = ()


@final
class UsageRow(msgspec.Struct, frozen=True, kw_only=True):
    """What the calls of one group came to, or all of them (`key` None, as for calls that name no user or session).

    `cost_usd` adds up the calls whose price is known. Latencies are None of no calls.
    """

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    latency_p50_ms: int | None
    latency_p95_ms: int | None
    key: str | None = None
    name: str | None = None


@final
class UsagePage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a report, as it comes."""

    since: datetime = msgspec.field(name="from")
    until: datetime = msgspec.field(name="to")
    group_by: str
    data: tuple[UsageRow, ...]
    total: UsageRow
    next: str | None = None


def read(response: httpx2.Response, kind: type[Answer]) -> Answer:
    """Read an answer of success; raises `ServerError` for what no gateway says."""
    try:
        return msgspec.json.decode(response.content, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise ServerError(
            "What answered is no gateway, or stands in front of one.",
            status=response.status_code,
            request_id=response.headers.get("x-request-id"),
        ) from None
