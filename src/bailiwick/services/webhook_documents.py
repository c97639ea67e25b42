"""Webhooks and deliveries as JSON documents; without secrets."""

from __future__ import annotations

from typing import Final

from bailiwick.domain import ids
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.times import written
from bailiwick.domain.webhooks import Delivery, Webhook

# What goes on by itself.
UNVERSIONED: Final = frozenset({"failing_since"})


def webhook_document(webhook: Webhook) -> Document:
    """A webhook."""
    spec = webhook.spec
    return {
        "id": ids.shown(ids.WEBHOOK, webhook.id),
        "tenant_id": ids.shown(ids.TENANT, webhook.tenant_id),
        "name": spec.name,
        "url": spec.url,
        "events": [event.value for event in spec.events],
        "status": spec.status.value,
        "old_secret_until": None if webhook.old_secret_until is None else written(webhook.old_secret_until),
        "failing_since": None if webhook.failing_since is None else written(webhook.failing_since),
        "created_at": written(webhook.created_at),
        "created_by": webhook.created_by,
    }


def delivery_document(delivery: Delivery) -> Document:
    """One event at one webhook; `event_id` is its `webhook-id`."""
    return {
        "id": ids.shown(ids.DELIVERY, delivery.id),
        "webhook_id": ids.shown(ids.WEBHOOK, delivery.webhook_id),
        "event_id": ids.shown(ids.EVENT, delivery.event_id),
        "event": delivery.event.value,
        "status": delivery.status.value,
        "attempts": delivery.attempts,
        "last_attempt_at": None if delivery.last_attempt_at is None else written(delivery.last_attempt_at),
        "last_status": delivery.last.status,
        "last_error": delivery.last.error,
        "next_attempt_at": None if delivery.next_attempt_at is None else written(delivery.next_attempt_at),
        "created_at": written(delivery.created_at),
    }
