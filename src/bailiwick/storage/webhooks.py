"""A tenant's webhooks in the database, and what was and is to be told there."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

from bailiwick.domain.ids import DeliveryId, TenantId, WebhookId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.webhooks import (
    Delivery,
    DeliveryStatus,
    Event,
    Outcome,
    Webhook,
    WebhookSpec,
    WebhookStatus,
)
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("webhooks")


@final
class WebhookRows:
    """The webhooks of one tenant; every query also says whose."""

    def __init__(self, scope: Scope, tenant_id: TenantId) -> None:
        """`scope` is the tenant's."""
        self._scope = scope
        self._tenant = {"tenant": tenant_id}

    async def find(self, webhook_id: WebhookId) -> Webhook | None:
        """One webhook; None if the tenant has none of this id."""
        return await self._one("find_webhook", {"webhook": webhook_id})

    async def lock(self, webhook_id: WebhookId) -> Webhook | None:
        """One webhook as it is and stays until the end of the transaction."""
        return await self._one("lock_webhook", {"webhook": webhook_id})

    async def list(self, page: PageRequest) -> Page[Webhook]:
        """A page of the tenant's webhooks."""
        values = {**self._tenant, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_webhooks"], values)
        return Page.of([_webhook(row) for row in rows], page.limit)

    async def count(self) -> int:
        """How many webhooks the tenant has."""
        row = await self._scope.fetch_one(_SQL["count_webhooks"], self._tenant)
        return 0 if row is None else int(row["webhooks"])

    async def add(
        self, webhook_id: WebhookId, spec: WebhookSpec, sealed: bytes, *, created_at: datetime, created_by: str
    ) -> Webhook | None:
        """Add a webhook with its sealed secret."""
        made = {"webhook": webhook_id, "secret": sealed, "created_at": created_at, "created_by": created_by}
        return await self._one("add_webhook", {**_settable(spec), **made})

    async def change(self, webhook_id: WebhookId, spec: WebhookSpec) -> Webhook | None:
        """Make a webhook what `spec` says."""
        return await self._one("change_webhook", {"webhook": webhook_id, **_settable(spec)})

    async def rotate(self, webhook_id: WebhookId, sealed: bytes, old_until: datetime | None) -> Webhook | None:
        """Give it another sealed secret; the one before signs too until `old_until`."""
        return await self._one("rotate_webhook", {"webhook": webhook_id, "secret": sealed, "until": old_until})

    async def remove(self, webhook_id: WebhookId) -> None:
        """Remove a webhook, and what was and is to be told there."""
        await self._scope.execute(_SQL["remove_webhook"], {**self._tenant, "webhook": webhook_id})

    async def find_with_deliveries(
        self, webhook_id: WebhookId, page: PageRequest
    ) -> tuple[Webhook, Page[Delivery]] | None:
        """One webhook, and a page of what was and is to be told there, the latest first."""
        values = {**self._tenant, "webhook": webhook_id, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["webhook_with_deliveries"], values)
        if not rows:
            return None
        found = [
            {name.removeprefix("d_"): value for name, value in row.items() if name.startswith("d_")} for row in rows
        ]
        deliveries = [_delivery(row) for row in found if row["id"] is not None]
        return _webhook(rows[0]), Page.of(deliveries, page.limit)

    async def delivery(self, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery | None:
        """One event at a webhook; None if there is none of this id."""
        return await self._delivery("find_delivery", {"webhook": webhook_id, "delivery": delivery_id})

    async def deliver_again(self, webhook_id: WebhookId, delivery_id: DeliveryId, now: datetime) -> Delivery | None:
        """Have an event delivered again from now on; None if there is none of this id."""
        values = {"webhook": webhook_id, "delivery": delivery_id, "now": now}
        return await self._delivery("deliver_again", values)

    async def _one(self, query: str, values: Mapping[str, object]) -> Webhook | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._tenant, **values})
        return None if row is None else _webhook(row)

    async def _delivery(self, query: str, values: Mapping[str, object]) -> Delivery | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._tenant, **values})
        return None if row is None else _delivery(row)


def _settable(spec: WebhookSpec) -> dict[str, object]:
    events = [event.value for event in spec.events]
    return {"name": spec.name, "url": spec.url, "events": events, "status": spec.status.value}


def _webhook(row: Row) -> Webhook:
    return Webhook(
        id=WebhookId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        spec=WebhookSpec(
            name=row["name"],
            url=row["url"],
            events=tuple(Event(event) for event in row["events"]),
            status=WebhookStatus(row["status"]),
        ),
        old_secret_until=row["old_secret_until"],
        failing_since=row["failing_since"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )


def _delivery(row: Row) -> Delivery:
    return Delivery(
        id=DeliveryId(row["id"]),
        tenant_id=TenantId(row["tenant_id"]),
        webhook_id=WebhookId(row["webhook_id"]),
        event_id=row["event_id"],
        event=Event(row["event"]),
        status=DeliveryStatus(row["status"]),
        attempts=row["attempts"],
        next_attempt_at=row["next_attempt_at"],
        last_attempt_at=row["last_attempt_at"],
        last=Outcome(status=row["last_status"], error=row["last_error"]),
        created_at=row["created_at"],
    )
