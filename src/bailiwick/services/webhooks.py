"""The webhooks of tenants: made, read, changed, tried, removed. Each change is audited in its own transaction.

The secret that signs what goes to a webhook is made here, sealed for its row, and shown in the answer to its making or
rotating alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import DeliveryId, TenantId, WebhookId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.domain.webhooks import MAX_WEBHOOKS, Delivery, Event, Happened, Webhook, WebhookSpec, event_body
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.identity.sealing import seal, webhook_row_identity
from bailiwick.identity.webhook_signing import SECRET_BYTES, make_secret
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.webhook_documents import UNVERSIONED, webhook_document
from bailiwick.storage import outbox
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.tenants import TenantRows
from bailiwick.storage.webhooks import WebhookRows

_NONCE_BYTES: Final = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class IssuedWebhook:
    """A webhook, and its secret as it is shown this once."""

    webhook: Webhook
    secret: str


@final
class Webhooks:
    """The webhooks of tenants."""

    def __init__(self, database: Database, acts: Acts, *, sealing: bytes, guard: OutboundGuard) -> None:
        """`sealing` is what their secrets are sealed with; `guard` judges where they are."""
        self._database = database
        self._acts = acts
        self._sealing = sealing
        self._guard = guard

    async def list(self, tenant_id: TenantId, page: PageRequest, *, is_there: bool = False) -> Page[Webhook]:
        """A page of a tenant's webhooks; raises `Refused` (404) unless whoever asks knows that the tenant is there."""
        async with self._database.reading(tenant_id) as scope:
            if not is_there:
                found(await TenantRows(scope, tenant_id).find())
            return await WebhookRows(scope, tenant_id).list(page)

    async def find(self, tenant_id: TenantId, webhook_id: WebhookId) -> Webhook:
        """One webhook; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await WebhookRows(scope, tenant_id).find(webhook_id))

    async def create(self, actor: Actor, tenant_id: TenantId, spec: WebhookSpec) -> IssuedWebhook:
        """Make a webhook; raises `Refused` (404; 409 if there are too many) and `Invalid`."""
        self._check(spec)
        async with self._database.acting(tenant_id) as scope:
            # Who counts holds the tenant, so that two at once count one another.
            found(await TenantRows(scope, tenant_id).lock())
            rows = WebhookRows(scope, tenant_id)
            if await rows.count() >= MAX_WEBHOOKS:
                raise Refused(Code.CONFLICT, f"A tenant has at most {MAX_WEBHOOKS} webhooks.")
            webhook_id = WebhookId(self._acts.new_id())
            secret, sealed = self._secret(tenant_id, webhook_id)
            now = self._acts.now()
            webhook = found(await rows.add(webhook_id, spec, sealed, created_at=now, created_by=actor.name))
            await self._record(scope, actor, "create", webhook, {"after": webhook_document(webhook)})
            return IssuedWebhook(webhook=webhook, secret=secret)

    async def change(
        self,
        actor: Actor,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        change: Callable[[Webhook], WebhookSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Webhook:
        """Make a webhook what `change` says of it; raises `Refused` (404, 412) and `Invalid`."""
        async with self._database.acting(tenant_id) as scope:
            rows = WebhookRows(scope, tenant_id)
            before = await _locked(rows, webhook_id, expected)
            spec = change(before)
            self._check(spec)
            after = found(await rows.change(webhook_id, spec))
            detail = changes(webhook_document(before), webhook_document(after))
            await self._record(scope, actor, "change", after, detail)
            return after

    async def rotate(
        self,
        actor: Actor,
        tenant_id: TenantId,
        webhook_id: WebhookId,
        *,
        grace_seconds: int,
        expected: Expected = WHATEVER,
    ) -> IssuedWebhook:
        """Give it another secret; the one before signs too for `grace_seconds`. Raises `Refused` (404, 412)."""
        async with self._database.acting(tenant_id) as scope:
            rows = WebhookRows(scope, tenant_id)
            before = await _locked(rows, webhook_id, expected)
            until = self._acts.now() + timedelta(seconds=grace_seconds) if grace_seconds else None
            secret, sealed = self._secret(tenant_id, webhook_id)
            after = found(await rows.rotate(webhook_id, sealed, until))
            detail = changes(webhook_document(before), webhook_document(after))
            await self._record(scope, actor, "rotate", after, detail)
            return IssuedWebhook(webhook=after, secret=secret)

    async def remove(
        self, actor: Actor, tenant_id: TenantId, webhook_id: WebhookId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a webhook, and what was to be told there; raises `Refused` (404, 412)."""
        async with self._database.acting(tenant_id) as scope:
            rows = WebhookRows(scope, tenant_id)
            before = await _locked(rows, webhook_id, expected)
            await rows.remove(webhook_id)
            await self._record(scope, actor, "remove", before, {"before": webhook_document(before)})

    async def test(self, actor: Actor, tenant_id: TenantId, webhook_id: WebhookId) -> Delivery:
        """Have a test event delivered there, as any other; raises `Refused` (404)."""
        async with self._database.acting(tenant_id) as scope:
            rows = WebhookRows(scope, tenant_id)
            webhook = found(await rows.lock(webhook_id))
            now, delivery_id = self._acts.now(), DeliveryId(self._acts.new_id())
            data = {"tenant_id": ids.shown(ids.TENANT, tenant_id), "webhook_id": ids.shown(ids.WEBHOOK, webhook_id)}
            body = event_body(Event.TEST, now, data)
            happened = Happened(id=self._acts.new_id(), tenant_id=tenant_id, event=Event.TEST, body=body)
            await outbox.add(scope, delivery_id, webhook_id, happened, now)
            await self._record(scope, actor, "test", webhook, {"delivery": ids.shown(ids.DELIVERY, delivery_id)})
            return found(await rows.delivery(webhook_id, delivery_id))

    async def deliveries(self, tenant_id: TenantId, webhook_id: WebhookId, page: PageRequest) -> Page[Delivery]:
        """A page of what was and is to be told there, the latest first; raises `Refused` (404)."""
        return (await self.find_with_deliveries(tenant_id, webhook_id, page))[1]

    async def find_with_deliveries(
        self, tenant_id: TenantId, webhook_id: WebhookId, page: PageRequest
    ) -> tuple[Webhook, Page[Delivery]]:
        """One webhook with such a page; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await WebhookRows(scope, tenant_id).find_with_deliveries(webhook_id, page))

    async def find_delivery(self, tenant_id: TenantId, webhook_id: WebhookId, delivery_id: DeliveryId) -> Delivery:
        """One event at a webhook; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            return found(await WebhookRows(scope, tenant_id).delivery(webhook_id, delivery_id))

    async def deliver_again(
        self, actor: Actor, tenant_id: TenantId, webhook_id: WebhookId, delivery_id: DeliveryId
    ) -> Delivery:
        """Have an event delivered again, under the id that it had, whatever became of it; raises `Refused` (404)."""
        async with self._database.acting(tenant_id) as scope:
            rows = WebhookRows(scope, tenant_id)
            webhook = found(await rows.lock(webhook_id))
            delivery = found(await rows.deliver_again(webhook_id, delivery_id, self._acts.now()))
            detail: dict[str, object] = {"delivery": ids.shown(ids.DELIVERY, delivery_id)}
            await self._record(scope, actor, "deliver_again", webhook, detail)
            return delivery

    def _check(self, spec: WebhookSpec) -> None:
        try:
            self._guard.check_url(spec.url)
        except OutboundRefused as refused:
            raise invalid("url", f"is refused: {refused.reason}") from None

    def _secret(self, tenant_id: TenantId, webhook_id: WebhookId) -> tuple[str, bytes]:
        """A new secret, and it sealed for its row."""
        secret = make_secret(self._acts.entropy(SECRET_BYTES))
        row = webhook_row_identity(tenant_id, webhook_id)
        return secret, seal(self._sealing, row, secret, self._acts.entropy(_NONCE_BYTES))

    async def _record(self, scope: Scope, actor: Actor, verb: str, webhook: Webhook, detail: dict[str, object]) -> None:
        target = ids.shown(ids.WEBHOOK, webhook.id)
        await self._acts.record(scope, actor, f"webhook.{verb}", target, tenant_id=webhook.tenant_id, detail=detail)


async def _locked(rows: WebhookRows, webhook_id: WebhookId, expected: Expected) -> Webhook:
    """The webhook as it is and stays; raises `Refused` (404, 412)."""
    webhook = found(await rows.lock(webhook_id))
    expected.check(webhook_document(webhook), UNVERSIONED)
    return webhook
