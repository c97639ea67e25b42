"""`/admin/v1/tenants/{id}/webhooks`, and what was and is to be told there."""

from __future__ import annotations

from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request, Response

from bailiwick.apps.admin.needs import needs
from bailiwick.apps.admin.places import After, AtDelivery, AtTenant, AtWebhook, IfMatch, Limit, page_of
from bailiwick.apps.admin.route import ControlRoute, CurrentActor, Plane
from bailiwick.apps.admin.shown import Listed, listed
from bailiwick.apps.admin.webhook_wire import (
    DeliveryShown,
    IssuedWebhookShown,
    WebhookBody,
    WebhookShown,
    webhook_asked,
    webhook_body,
)
from bailiwick.apps.admin.wire import EmptyBody, PatchOf, RotateBody, read_patched
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.webhooks import Webhook, WebhookSpec
from bailiwick.services.webhook_documents import delivery_document, webhook_document
from bailiwick.services.webhooks import IssuedWebhook

_LIST: Final = "/admin/v1/tenants/{tenant_id}/webhooks"
_ITEM: Final = f"{_LIST}/{{webhook_id}}"
_DELIVERIES: Final = f"{_ITEM}/deliveries"
_DELIVERY: Final = f"{_DELIVERIES}/{{delivery_id}}"
_READ: Final = needs(AdminPermission.WEBHOOKS_READ)
_WRITE: Final = needs(AdminPermission.WEBHOOKS_WRITE)

router = APIRouter(route_class=ControlRoute, tags=["webhooks"])

WebhookPatch = Annotated[dict[str, Any], Body(), PatchOf(WebhookBody)]


@router.get(_LIST, response_model=Listed[WebhookShown], openapi_extra=_READ)
async def list_webhooks(plane: Plane, at: AtTenant, limit: Limit = None, after: After = None) -> Document:
    """List the webhooks of a tenant."""
    return listed(await plane.webhooks.list(at, page_of(ids.WEBHOOK, limit, after)), webhook_document)


@router.post(_LIST, status_code=201, response_model=IssuedWebhookShown, openapi_extra=_WRITE)
async def create_webhook(
    request: Request, response: Response, plane: Plane, actor: CurrentActor, at: AtTenant, body: WebhookBody
) -> Document:
    """Make a webhook. The secret that signs what it is sent is shown this once."""
    document = _issued(await plane.webhooks.create(actor, at, webhook_asked(body)))
    response.headers["Location"] = f"{request.url.path}/{document['id']}"
    return document


@router.get(_ITEM, response_model=WebhookShown, openapi_extra=_READ)
async def read_webhook(plane: Plane, at: AtTenant, webhook_id: AtWebhook) -> Document:
    """Read a webhook."""
    return webhook_document(await plane.webhooks.find(at, webhook_id))


@router.patch(_ITEM, response_model=WebhookShown, openapi_extra=_WRITE)
async def change_webhook(
    plane: Plane, actor: CurrentActor, at: AtTenant, webhook_id: AtWebhook, patch: WebhookPatch, expected: IfMatch
) -> Document:
    """Change a webhook: what is to be told there goes to where it is now."""

    def change(webhook: Webhook) -> WebhookSpec:
        return webhook_asked(read_patched(WebhookBody, webhook_body(webhook), patch))

    return webhook_document(await plane.webhooks.change(actor, at, webhook_id, change, expected=expected))


@router.delete(_ITEM, status_code=204, openapi_extra=_WRITE)
async def remove_webhook(
    plane: Plane, actor: CurrentActor, at: AtTenant, webhook_id: AtWebhook, expected: IfMatch
) -> None:
    """Remove a webhook, and what was to be told there."""
    await plane.webhooks.remove(actor, at, webhook_id, expected=expected)


@router.post(f"{_ITEM}/rotate", status_code=201, response_model=IssuedWebhookShown, openapi_extra=_WRITE)
async def rotate_webhook(
    request: Request,
    response: Response,
    plane: Plane,
    actor: CurrentActor,
    at: AtTenant,
    webhook_id: AtWebhook,
    expected: IfMatch,
    body: RotateBody | None = None,
) -> Document:
    """Give a webhook another secret; the one before signs too for `grace_seconds`."""
    grace_seconds = 0 if body is None else body.grace_seconds
    issued = await plane.webhooks.rotate(actor, at, webhook_id, grace_seconds=grace_seconds, expected=expected)
    response.headers["Location"] = request.url.path.removesuffix("/rotate")
    return _issued(issued)


@router.post(f"{_ITEM}/test", status_code=201, response_model=DeliveryShown, openapi_extra=_WRITE)
async def try_webhook(
    request: Request,
    response: Response,
    plane: Plane,
    actor: CurrentActor,
    at: AtTenant,
    webhook_id: AtWebhook,
    _body: EmptyBody | None = None,
) -> Document:
    """Have a `webhook.test` event delivered, as any other; what becomes of it is told by the delivery."""
    document = delivery_document(await plane.webhooks.test(actor, at, webhook_id))
    address = request.url.path.removesuffix("/test")
    response.headers["Location"] = f"{address}/deliveries/{document['id']}"
    return document


@router.get(_DELIVERIES, response_model=Listed[DeliveryShown], openapi_extra=_READ)
async def list_deliveries(
    plane: Plane, at: AtTenant, webhook_id: AtWebhook, limit: Limit = None, after: After = None
) -> Document:
    """List what was and is to be told at a webhook, the latest first."""
    page = await plane.webhooks.deliveries(at, webhook_id, page_of(ids.DELIVERY, limit, after))
    return listed(page, delivery_document)


@router.get(_DELIVERY, response_model=DeliveryShown, openapi_extra=_READ)
async def read_delivery(plane: Plane, at: AtTenant, webhook_id: AtWebhook, delivery_id: AtDelivery) -> Document:
    """Read what became of one event."""
    return delivery_document(await plane.webhooks.find_delivery(at, webhook_id, delivery_id))


@router.post(f"{_DELIVERY}/redeliver", response_model=DeliveryShown, openapi_extra=_WRITE)
async def redeliver(
    plane: Plane,
    actor: CurrentActor,
    at: AtTenant,
    webhook_id: AtWebhook,
    delivery_id: AtDelivery,
    _body: EmptyBody | None = None,
) -> Document:
    """Have an event delivered again, under the id that it had, whatever became of it."""
    return delivery_document(await plane.webhooks.deliver_again(actor, at, webhook_id, delivery_id))


def _issued(issued: IssuedWebhook) -> Document:
    return {**webhook_document(issued.webhook), "secret": issued.secret}
