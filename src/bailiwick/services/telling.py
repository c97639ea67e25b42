"""Puts events into the outbox of webhooks, in the transaction of what they tell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bailiwick.domain.ids import DeliveryId, TenantId
from bailiwick.domain.webhooks import Event, Happened
from bailiwick.services.acts import Acts
from bailiwick.storage import outbox
from bailiwick.storage.scope import Scope


async def tell(
    scope: Scope, acts: Acts, event: Event, tenants: Sequence[TenantId], happened: Callable[[TenantId], list[Happened]]
) -> None:
    """Have told what happened to each of these tenants wherever they subscribed to it; nobody else is asked about."""
    subscribed = await outbox.subscribers(scope, event, dict.fromkeys(tenants))
    for tenant_id, webhooks in subscribed.items():
        for one in happened(tenant_id):
            for webhook_id in webhooks:
                await outbox.add(scope, DeliveryId(acts.new_id()), webhook_id, one, acts.now())
