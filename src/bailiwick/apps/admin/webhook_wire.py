"""What operators send, and are shown, of webhooks and deliveries."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown, Secret
from bailiwick.apps.admin.wire import StrictBody, present
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.webhooks import Webhook, WebhookSpec, WebhookStatus, webhook_spec
from bailiwick.services.webhook_documents import UNVERSIONED

Status = Literal["active", "paused"]


class WebhookBody(StrictBody):
    """A webhook. What happens while it is paused waits until it is active again, for a month."""

    name: str
    url: str = Field(description="https; plain http within BAILIWICK_OUTBOUND_ALLOW alone.")
    events: list[str] = Field(examples=[["budget.warning", "usage.hour"]])
    status: Status | None = None


class WebhookShown(ItemShown):
    """A webhook."""

    unversioned = UNVERSIONED

    id: str
    tenant_id: str
    name: str
    url: str
    events: list[str]
    status: Status
    old_secret_until: str | None = Field(description="Until when the secret before signs too.")
    failing_since: str | None = Field(description="When an event was given up; null once another is delivered.")
    created_at: str
    created_by: CreatedBy


class IssuedWebhookShown(WebhookShown):
    """A webhook, and the secret that signs what it is sent, this once."""

    secrets: ClassVar[frozenset[str]] = frozenset({"secret"})

    secret: Secret


class DeliveryShown(ItemShown):
    """One event at one webhook."""

    id: str
    webhook_id: str
    event_id: str = Field(description="Its `webhook-id`, the same however often it is sent.")
    event: Literal["budget.warning", "usage.hour", "webhook.test"]
    status: Literal["pending", "delivered", "failed"]
    attempts: int
    last_attempt_at: str | None
    last_status: int | None = Field(description="The status of the last answer; null where there was none.")
    last_error: str | None = Field(description="Why there was none.")
    next_attempt_at: str | None
    created_at: str


def webhook_body(webhook: Webhook) -> Document:
    """The body of a webhook as it is."""
    spec = webhook.spec
    return present(
        name=spec.name, url=spec.url, events=[event.value for event in spec.events], status=spec.status.value
    )


def webhook_asked(body: WebhookBody) -> WebhookSpec:
    """The webhook that a body asks for; raises `Invalid`."""
    return webhook_spec(
        name=body.name, url=body.url, events=body.events, status=WebhookStatus(body.status or WebhookStatus.ACTIVE)
    )
