"""Webhooks: where a tenant has itself told what happens, and what becomes of each event that is told there.

Deliveries follow the Standard Webhooks specification 1.0: an event's id stays the same however often it is sent, and
whoever receives it answers with 2xx, or is asked again, later each time; with 410 it is asked for nothing more.

Evolution: events and fields of their bodies are added; what they mean never changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, final
from uuid import UUID, uuid5

from bailiwick.domain import ids
from bailiwick.domain.fields import Findings, invalid, read_name
from bailiwick.domain.ids import DeliveryId, ProjectId, TenantId, WebhookId
from bailiwick.domain.times import written

MAX_WEBHOOKS: Final = 10
GONE: Final = 410
_OK: Final = range(200, 300)
# How long after each failure the next attempt is made: seven attempts in not quite a day.
_WAITS: Final = tuple(timedelta(seconds=seconds) for seconds in (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600))
# By how much of itself a wait grows at most, so that what failed together is not tried again together.
_JITTER: Final = 0.2
_EVENTS: Final = UUID("5f0c6d5e-7c1b-4a0a-9d53-3b6f3a3f1c55")


class Event(StrEnum):
    """What can be told. A test is told to whoever asks for it."""

    BUDGET_WARNING = "budget.warning"
    USAGE_HOUR = "usage.hour"
    TEST = "webhook.test"


SUBSCRIBABLE: Final = (Event.BUDGET_WARNING, Event.USAGE_HOUR)


class WebhookStatus(StrEnum):
    """Whether events are sent. What happens while a webhook is paused waits until it is active again."""

    ACTIVE = "active"
    PAUSED = "paused"


class DeliveryStatus(StrEnum):
    """What became of an event at a webhook."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSpec:
    """What can be asked of a webhook."""

    name: str
    url: str
    events: tuple[Event, ...]
    status: WebhookStatus


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A webhook as it is, without its secrets. `old_secret_until`: until when the one before signs too."""

    id: WebhookId
    tenant_id: TenantId
    spec: WebhookSpec
    old_secret_until: datetime | None
    failing_since: datetime | None
    created_at: datetime
    created_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """An event to tell to a tenant's webhooks."""

    id: UUID
    tenant_id: TenantId
    event: Event
    body: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What an attempt came to: a status, or in words why there is none."""

    status: int | None = None
    error: str | None = None

    @property
    def delivered(self) -> bool:
        """Whether the event was taken."""
        return self.status is not None and self.status in _OK


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One event at one webhook."""

    id: DeliveryId
    tenant_id: TenantId
    webhook_id: WebhookId
    event_id: UUID
    event: Event
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_attempt_at: datetime | None
    last: Outcome
    created_at: datetime


def webhook_spec(
    *, name: str, url: str, events: Sequence[str], status: WebhookStatus = WebhookStatus.ACTIVE
) -> WebhookSpec:
    """Check what is asked of a webhook; raises `Invalid`. Whether we would connect there is the guard's question."""
    findings = Findings()
    spec = WebhookSpec(
        name=findings.take(lambda: read_name("name", name), ""),
        url=url,
        events=findings.take(lambda: _read_events(events), ()),
        status=status,
    )
    findings.or_raise()
    return spec


def next_attempt(failures: int, now: datetime, chance: float) -> datetime | None:
    """When to try again what has failed so often; None: never. `chance` is from 0 to 1."""
    if failures > len(_WAITS):
        return None
    return now + _WAITS[failures - 1] * (1 + _JITTER * chance)


def event_id(*parts: object) -> UUID:
    """The id of an event that is told by these parts: the same whenever it is told."""
    return uuid5(_EVENTS, "/".join(map(str, parts)))


def event_body(event: Event, at: datetime, data: Mapping[str, object]) -> str:
    """The body of an event, as the specification recommends it."""
    return _json({"type": event.value, "timestamp": written(at), "data": data})


def user_in_event(project_id: ProjectId, uid: str) -> str:
    """How a user is named in bodies: their project first, and nothing between. No other user is named so."""
    return _json({"project_id": ids.shown(ids.PROJECT, project_id), "user_id": uid})[1:-1]


def _json(document: Mapping[str, object]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _read_events(events: Sequence[str]) -> tuple[Event, ...]:
    names = [event.value for event in SUBSCRIBABLE]
    if not events or not set(events) <= set(names) or len(set(events)) < len(events):
        raise invalid("events", f"must be some of {', '.join(names)}, each once")
    return tuple(event for event in SUBSCRIBABLE if event in events)
