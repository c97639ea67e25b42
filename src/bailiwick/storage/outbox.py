"""The outbox of webhooks: what is to be told, who delivers it, and what came of it.

Whoever delivers at a webhook holds a lease on it, so that one does at a time; of a process that died the lease runs
out, and what it had not finished is delivered again. Nothing of this holds a connection while a receiver is waited for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final
from uuid import UUID

from bailiwick.domain.ids import DeliveryId, TenantId, WebhookId
from bailiwick.domain.webhooks import DeliveryStatus, Event, Happened, Outcome
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("outbox")


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Claimed:
    """An event that is ours to deliver until the lease is over; its secrets are sealed."""

    id: DeliveryId
    tenant_id: TenantId
    webhook_id: WebhookId
    url: str
    secret: bytes
    old_secret: bytes | None
    old_secret_until: datetime | None
    event_id: UUID
    event: Event
    body: str
    attempts: int
    leased_until: datetime


async def subscribers(
    scope: Scope, event: Event, tenants: Iterable[TenantId]
) -> Mapping[TenantId, Sequence[WebhookId]]:
    """The webhooks of these tenants where an event is told, paused ones too; they stay until the transaction ends."""
    rows = await scope.fetch_all(_SQL["subscribers"], {"tenants": list(tenants), "event": event.value})
    found: dict[TenantId, list[WebhookId]] = {}
    for row in rows:
        found.setdefault(TenantId(row["tenant_id"]), []).append(WebhookId(row["id"]))
    return found


async def add(scope: Scope, delivery_id: DeliveryId, webhook_id: WebhookId, happened: Happened, now: datetime) -> None:
    """Have an event told at a webhook from now on."""
    values = {
        "delivery": delivery_id, "tenant": happened.tenant_id, "webhook": webhook_id, "event_id": happened.id,
        "event": happened.event.value, "body": happened.body, "now": now,
    }  # fmt: skip
    await scope.execute(_SQL["add_delivery"], values)


async def claim(scope: Scope, now: datetime, until: datetime, most: int) -> list[Claimed]:
    """Take at most so many webhooks where something is to be told, each with one event; an operating scope's."""
    taken = await scope.fetch_all(_SQL["claim"], {"now": now, "until": until, "most": most})
    webhooks = [row["id"] for row in taken]
    rows = await scope.fetch_all(_SQL["next_deliveries"], {"now": now, "webhooks": webhooks}) if webhooks else []
    for row in rows:
        if row["id"] is None:  # Somebody else has delivered it just now.
            await release(scope, WebhookId(row["webhook_id"]), until)
    return [_claimed(row, until) for row in rows if row["id"] is not None]


async def finish(
    scope: Scope,
    claimed: Claimed,
    status: DeliveryStatus,
    outcome: Outcome,
    *,
    now: datetime,
    next_attempt_at: datetime | None,
) -> bool:
    """Write down what an attempt came to; False if that is no longer ours to say."""
    values = {
        "tenant": claimed.tenant_id, "delivery": claimed.id, "attempts": claimed.attempts, "status": status.value,
        "next": next_attempt_at, "now": now, "last_status": outcome.status, "last_error": outcome.error,
    }  # fmt: skip
    return await scope.execute(_SQL["finish"], values) > 0


async def release(scope: Scope, webhook_id: WebhookId, until: datetime) -> None:
    """Give back the lease that runs until `until`."""
    await scope.execute(_SQL["release"], {"webhook": webhook_id, "until": until})


async def note_delivered(scope: Scope, webhook_id: WebhookId) -> None:
    """A webhook does not fail any more."""
    await scope.execute(_SQL["note_delivered"], {"webhook": webhook_id})


async def note_failing(scope: Scope, webhook_id: WebhookId, now: datetime) -> bool:
    """An event was given up; returns whether the webhook did not fail before."""
    return await scope.fetch_one(_SQL["note_failing"], {"webhook": webhook_id, "now": now}) is not None


async def pause(scope: Scope, webhook_id: WebhookId) -> bool:
    """Send nothing more there; returns whether it was active before."""
    return await scope.fetch_one(_SQL["pause"], {"webhook": webhook_id}) is not None


async def forget(scope: Scope, before: datetime, most: int) -> int:
    """Remove what is older; returns how many."""
    return await scope.execute(_SQL["forget"], {"before": before, "most": most})


def _claimed(row: Row, until: datetime) -> Claimed:
    return Claimed(
        id=DeliveryId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        url=row["url"],
        secret=bytes(row["secret"]),
        old_secret=None if row["old_secret"] is None else bytes(row["old_secret"]),
        old_secret_until=row["old_secret_until"],
        event_id=row["event_id"],
        event=Event(row["event"]),
        body=row["body"],
        attempts=row["attempts"],
        leased_until=until,
    )
