"""Tenants: the list, a new one, and one with its projects and settings."""

from __future__ import annotations

from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.wire import TenantBody, read_body_as, tenant_asked, tenant_body
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.tenancy import Tenant, TenantSpec
from bailiwick.domain.versions import etag
from bailiwick.services.documents import tenant_document

_READ: Final = AdminPermission.TENANTS_READ
_WRITE: Final = AdminPermission.TENANTS_WRITE
_ADMINISTER: Final = AdminPermission.TENANTS_ADMINISTER


async def list_tenants(visit: Visit) -> Response:
    """Every tenant that the visitor reaches."""
    page = await visit.plane.provisioning.list_tenants(visit.actor, visit.page(ids.TENANT))
    return visit.show("tenants/list.html", page=page)


async def new_tenant(visit: Visit) -> Response:
    """The form for a new one."""
    return visit.show("tenants/new.html")


async def create_tenant(visit: Visit) -> Response:
    """Make one, and go on to its page."""
    form = visit.form.known("name", "slug")
    document: Document = {"name": form.text("name").strip(), "slug": form.optional("slug")}
    try:
        asked = tenant_asked(read_body_as(TenantBody, document))
        tenant = await visit.plane.provisioning.create_tenant(visit.actor, asked)
    except Refused as refused:
        return visit.again("tenants/new.html", refused)
    return visit.go(f"/tenants/{ids.shown(ids.TENANT, tenant.id)}", "created")


async def show_tenant(visit: Visit) -> Response:
    """Its projects."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    page = await visit.plane.provisioning.list_projects(visit.tenant_id, visit.page(ids.PROJECT), is_there=True)
    return visit.show("tenants/projects.html", **framed(tenant, "projects"), page=page)


async def show_settings(visit: Visit) -> Response:
    """Its settings as they are."""
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    given = {"name": tenant.name, "slug": tenant.slug}
    return visit.show("tenants/settings.html", **framed(tenant, "settings"), given=given)


async def change_settings(visit: Visit) -> Response:
    """Make the settings what the form says; whoever may not change the address does not send it."""
    form = visit.form.known("name", "slug")
    patch: Document = {"name": form.text("name").strip()}
    if form.text("slug"):
        patch["slug"] = form.text("slug").strip()
    try:
        await _change(visit, patch)
    except Refused as refused:
        tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
        given = {"slug": tenant.slug, **patch}
        return visit.again("tenants/settings.html", refused, **framed(tenant, "settings"), given=given)
    return visit.go(_address(visit), "saved")


async def suspend_tenant(visit: Visit) -> Response:
    """Refuse every call of all its projects from now on, or serve them again."""
    status = visit.form.known("status").text("status")
    await _change(visit, {"status": status})
    return visit.go(_address(visit), "suspended" if status == "suspended" else "resumed")


async def remove_tenant(visit: Visit) -> Response:
    """Remove a tenant for good, once its address was typed."""
    typed = visit.form.known("confirm").text("confirm").strip()
    tenant = await visit.plane.provisioning.find_tenant(visit.tenant_id)
    if typed != tenant.slug:
        raise invalid("confirm", "must be the tenant's address, letter by letter. Go back and type it again.")
    await visit.plane.provisioning.remove_tenant(visit.actor, visit.tenant_id)
    return visit.go("/tenants", "removed")


def framed(tenant: Tenant, tab: str) -> dict[str, object]:
    """What each page of a tenant shows around its own."""
    version = etag(tenant_document(tenant))
    return {"tab": tab, "tenant": tenant, "tenant_id": ids.shown(ids.TENANT, tenant.id), "version": version}


async def _change(visit: Visit, patch: Document) -> None:
    def change(tenant: Tenant) -> TenantSpec:
        return tenant_asked(read_body_as(TenantBody, {**tenant_body(tenant), **patch}))

    await visit.plane.provisioning.change_tenant(visit.actor, visit.tenant_id, change, expected=expected(visit))


def _address(visit: Visit) -> str:
    return f"/tenants/{visit.request.path_params['tenant_id']}/settings"


_SETTINGS: Final = "/tenants/{tenant_id}/settings"

PAGES: Final = (
    Page(path="/tenants", handler=list_tenants, needs=_READ, confined=True),
    Page(path="/tenants/new", handler=new_tenant, needs=_ADMINISTER),
    Page(path="/tenants/new", handler=create_tenant, needs=_ADMINISTER, method="POST"),
    Page(path="/tenants/{tenant_id}", handler=show_tenant, needs=_READ),
    Page(path=_SETTINGS, handler=show_settings, needs=_READ),
    Page(path=_SETTINGS, handler=change_settings, needs=_WRITE, method="POST"),
    Page(path=f"{_SETTINGS}/status", handler=suspend_tenant, needs=_ADMINISTER, method="POST"),
    Page(path=f"{_SETTINGS}/remove", handler=remove_tenant, needs=_ADMINISTER, method="POST"),
)
