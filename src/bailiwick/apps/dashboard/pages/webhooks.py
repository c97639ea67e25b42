"""A tenant's webhooks: made, changed, tried, rotated, removed, with what was and is to be told there.

A secret is on the page that answers the making or the rotating, and on no other.
"""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.webhook_wire import WebhookBody, webhook_asked, webhook_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.choices import GRACES
from bailiwick.apps.dashboard.pages.tenants import framed
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import DeliveryId, WebhookId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.versions import etag
from bailiwick.domain.webhooks import SUBSCRIBABLE, Webhook, WebhookSpec
from bailiwick.services.webhook_documents import UNVERSIONED, webhook_document
from bailiwick.services.webhooks import IssuedWebhook

_READ: Final = AdminPermission.WEBHOOKS_READ
_WRITE: Final = AdminPermission.WEBHOOKS_WRITE
_FORM: Final = "webhooks/form.html"


async def list_webhooks(visit: Visit) -> Response:
    """Every webhook of a tenant."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    page = await visit.plane.webhooks.list(visit.tenant_id, visit.page(ids.WEBHOOK), is_there=True)
    return visit.show("webhooks/list.html", **framed(tenant, "webhooks"), page=page, writes=visit.may(_WRITE))


async def new_webhook(visit: Visit) -> Response:
    """The form for another one."""
    given = {"name": "", "url": "", "events": [event.value for event in SUBSCRIBABLE], "status": "active"}
    return visit.show(_FORM, **await _around(visit), given=given)


async def create_webhook(visit: Visit) -> Response:
    """Make one, and show its secret."""
    try:
        issued = await visit.plane.webhooks.create(visit.actor, visit.tenant_id, _asked(visit))
    except Refused as refused:
        return visit.again(_FORM, refused, **await _around(visit), given=_sent(visit))
    return await _issued(visit, issued, rotated=False)


async def show_webhook(visit: Visit) -> Response:
    """One webhook, to be changed, and what was and is to be told there."""
    webhook, around = await _with_deliveries(visit)
    return visit.show(_FORM, **around, given=webhook_body(webhook))


async def change_webhook(visit: Visit) -> Response:
    """Make a webhook what the form says."""

    def change(_: Webhook) -> WebhookSpec:
        return _asked(visit)

    try:
        await visit.plane.webhooks.change(visit.actor, visit.tenant_id, _id(visit), change, expected=expected(visit))
    except Refused as refused:
        _, around = await _with_deliveries(visit)
        return visit.again(_FORM, refused, **around, given=_sent(visit))
    return visit.go(_address(visit), "saved")


async def rotate_webhook(visit: Visit) -> Response:
    """Give a webhook another secret, and show it."""
    grace = visit.form.known("grace").text("grace")
    if grace not in {str(seconds) for seconds, _ in GRACES}:
        raise invalid("grace", "must be one of those offered")
    at = (visit.tenant_id, _id(visit))
    issued = await visit.plane.webhooks.rotate(visit.actor, *at, grace_seconds=int(grace))
    return await _issued(visit, issued, rotated=True)


async def try_webhook(visit: Visit) -> Response:
    """Have a test event delivered."""
    visit.form.known()
    await visit.plane.webhooks.test(visit.actor, visit.tenant_id, _id(visit))
    return visit.go(_address(visit), "on-its-way")


async def deliver_again(visit: Visit) -> Response:
    """Have an event delivered again."""
    visit.form.known()
    delivery_id = DeliveryId(id_of(visit.request, "delivery_id", ids.DELIVERY))
    await visit.plane.webhooks.deliver_again(visit.actor, visit.tenant_id, _id(visit), delivery_id)
    return visit.go(_address(visit), "on-its-way")


async def remove_webhook(visit: Visit) -> Response:
    """Remove a webhook, and what was to be told there."""
    visit.form.known()
    await visit.plane.webhooks.remove(visit.actor, visit.tenant_id, _id(visit))
    return visit.go(_list(visit), "removed")


def _sent(visit: Visit) -> Document:
    form = visit.form.known("name", "url", "events", "status")
    return {
        "name": form.text("name").strip(),
        "url": form.text("url").strip(),
        "events": form.chosen("events"),
        "status": form.text("status"),
    }


def _asked(visit: Visit) -> WebhookSpec:
    """The form as the API's body; raises `Refused`."""
    return webhook_asked(read_body_as(WebhookBody, _sent(visit)))


async def _around(visit: Visit) -> dict[str, object]:
    """What the form shows besides its fields."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    events = [event.value for event in SUBSCRIBABLE]
    return {**framed(tenant, "webhooks"), "webhook": None, "events": events, "writes": visit.may(_WRITE)}


async def _with_deliveries(visit: Visit) -> tuple[Webhook, dict[str, object]]:
    """A webhook, and the same with what was and is to be told there."""
    around = await _around(visit)
    webhook, page = await visit.plane.webhooks.find_with_deliveries(
        visit.tenant_id, _id(visit), visit.page(ids.DELIVERY)
    )
    document = webhook_document(webhook)
    around |= {"webhook": webhook, "page": page, "graces": GRACES, "version": etag(document, UNVERSIONED)}
    return webhook, {**around, "one": f"/dashboard{_address(visit)}"}


async def _issued(visit: Visit, issued: IssuedWebhook, *, rotated: bool) -> Response:
    around = await _around(visit)
    around |= {"webhook": issued.webhook, "secret": issued.secret, "rotated": rotated}
    return visit.show("webhooks/issued.html", **around)


def _id(visit: Visit) -> WebhookId:
    return WebhookId(id_of(visit.request, "webhook_id", ids.WEBHOOK))


def _list(visit: Visit) -> str:
    return f"/tenants/{visit.request.path_params['tenant_id']}/webhooks"


def _address(visit: Visit) -> str:
    return f"{_list(visit)}/{visit.request.path_params['webhook_id']}"


_LIST: Final = "/tenants/{tenant_id}/webhooks"
_ONE: Final = f"{_LIST}/{{webhook_id}}"

PAGES: Final = (
    Page(path=_LIST, handler=list_webhooks, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_webhook, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_webhook, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_webhook, needs=_READ),
    Page(path=_ONE, handler=change_webhook, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/rotate", handler=rotate_webhook, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/test", handler=try_webhook, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/remove", handler=remove_webhook, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/deliveries/{{delivery_id}}/redeliver", handler=deliver_again, needs=_WRITE, method="POST"),
)
