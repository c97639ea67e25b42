"""Model providers: of the platform, of a tenant, of a project. An API key goes in and never comes out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.wire import ProviderBody, provider_asked, provider_body, read_body_as
from bailiwick.apps.dashboard.page import Handler, Page, Visit
from bailiwick.apps.dashboard.pages.projects import framed as project_frame
from bailiwick.apps.dashboard.pages.tenants import framed as tenant_frame
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProjectId, ProviderId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.providers import PLATFORM, Place, Provider, ProviderSpec
from bailiwick.services.provider_accounts import SecretChange
from bailiwick.services.provider_tests import Tested

_KINDS: Final = (
    (ProviderKind.OPENAI.value, "OpenAI, or compatible with it"),
    (ProviderKind.ANTHROPIC.value, "Anthropic"),
    (ProviderKind.GEMINI.value, "Gemini"),
    (ProviderKind.ECHO.value, "Echo: part of this server, for trying"),
)
_FIELDS: Final = ("name", "kind", "base_url", "api_key", "forget_key", "models", "prices")
_PRICE_PARTS: Final = 3
_PRICE_FIELDS: Final = ("input_usd_per_million", "output_usd_per_million", "context_window")


async def list_providers(visit: Visit) -> Response:
    """The providers of this place alone."""
    frame = await _frame(visit)
    page = await visit.plane.providers.list(visit.actor, place_of(visit), visit.page(ids.PROVIDER), is_there=True)
    return visit.show("providers/list.html", **frame, page=page)


async def new_provider(visit: Visit) -> Response:
    """The form for a new one."""
    return visit.show("providers/form.html", **await _frame(visit), provider=None, given={}, kinds=_KINDS, tested=None)


async def create_provider(visit: Visit) -> Response:
    """Set one up; its key is sealed, and never shown again."""
    try:
        body = read_body_as(ProviderBody, {**_body(visit), "api_key": visit.form.optional("api_key")})
        await visit.plane.providers.create(visit.actor, place_of(visit), provider_asked(body), body.api_key)
    except Refused as refused:
        values = {"provider": None, "given": _given(visit), "kinds": _KINDS, "tested": None}
        return visit.again("providers/form.html", refused, **await _frame(visit), **values)
    return visit.go(_list(visit), "created")


async def show_provider(visit: Visit) -> Response:
    """One provider, to be changed."""
    return await _shown(visit)


async def test_provider(visit: Visit) -> Response:
    """Ask it whether it answers with its account, and tell how it did."""
    visit.form.known()
    return await _shown(visit, await visit.plane.provider_tests.test(visit.actor, place_of(visit), _id(visit)))


async def change_provider(visit: Visit) -> Response:
    """Change one; an empty key stays what it is, and another address needs the key again."""
    form = visit.form.known(*_FIELDS)
    secret, forgets = form.optional("api_key"), form.checked("forget_key")

    def change(_: Provider) -> tuple[ProviderSpec, SecretChange | None]:
        body = read_body_as(ProviderBody, {**_body(visit), "api_key": secret})
        return provider_asked(body), SecretChange(secret=secret) if secret or forgets else None

    try:
        await visit.plane.providers.change(visit.actor, place_of(visit), _id(visit), change)
    except Refused as refused:
        provider = await visit.plane.providers.find(visit.actor, place_of(visit), _id(visit))
        values = {"provider": provider, "given": _given(visit), "kinds": _KINDS, "tested": None}
        return visit.again("providers/form.html", refused, **await _frame(visit), **values)
    return visit.go(_list(visit), "saved")


async def remove_provider(visit: Visit) -> Response:
    """Remove one with its key."""
    visit.form.known()
    await visit.plane.providers.remove(visit.actor, place_of(visit), _id(visit))
    return visit.go(_list(visit), "removed")


async def _shown(visit: Visit, tested: Tested | None = None) -> Response:
    provider = await visit.plane.providers.find(visit.actor, place_of(visit), _id(visit))
    values = {"provider": provider, "given": _as_given(provider), "kinds": _KINDS, "tested": tested}
    return visit.show("providers/form.html", **await _frame(visit), **values)


def place_of(visit: Visit) -> Place:
    """Whose providers the address is about."""
    if visit.tenant is None:
        return PLATFORM
    project = None
    if "project_id" in visit.request.path_params:
        project = ProjectId(id_of(visit.request, "project_id", ids.PROJECT))
    return Place(tenant_id=visit.tenant, project_id=project)


async def _frame(visit: Visit) -> dict[str, object]:
    """What is around: the project's page, the tenant's, or neither."""
    place = place_of(visit)
    around: dict[str, object] = {"layout": "base.html"}
    writes = AdminPermission.PLATFORM_PROVIDERS_WRITE
    if place.tenant_id is not None:
        writes = AdminPermission.PROVIDERS_WRITE
        if place.project_id is not None:
            around = {"layout": "projects/frame.html", **(await project_frame(visit, "providers")).values}
        else:
            tenant = await visit.plane.provisioning.find_tenant(place.tenant_id)
            around = {"layout": "tenants/frame.html", **tenant_frame(tenant, "providers")}
    return {**around, "writes": visit.may(writes), "list_address": f"/dashboard{_list(visit)}"}


def _body(visit: Visit) -> Document:
    """The form as the API's body, but for the key; raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    return {
        "name": form.text("name").strip(),
        "kind": form.text("kind"),
        "base_url": form.optional("base_url"),
        "models": form.lines("models") or None,
        "prices": _prices(form.lines("prices")),
    }


def _prices(lines: Sequence[str]) -> Document:
    """A model and two prices a line, and perhaps how much it reads, as the API writes them; raises `Invalid`."""
    prices: Document = {}
    for line in lines:
        parts = line.split()
        if len(parts) not in {_PRICE_PARTS, _PRICE_PARTS + 1} or not all(map(str.isdecimal, parts[_PRICE_PARTS:])):
            raise invalid("prices", "must be a model and two prices a line, such as: gpt-4o-mini 0.15 0.60")
        prices[parts[0]] = dict(zip(_PRICE_FIELDS, (*parts[1:3], *map(int, parts[_PRICE_PARTS:])), strict=False))
    return prices


def _given(visit: Visit) -> dict[str, str]:
    """The form as it was sent, without the key: no page holds one."""
    return {name: visit.form.text(name) for name in ("name", "kind", "base_url", "models", "prices")}


def _as_given(provider: Provider) -> dict[str, str]:
    spec = provider.spec
    prices = [" ".join(map(str, [model, *price.document().values()])) for model, price in spec.prices.items()]
    return {
        "name": spec.name,
        "kind": spec.kind.value,
        "base_url": str(provider_body(provider).get("base_url", "")),
        "models": "\n".join(spec.models or ()),
        "prices": "\n".join(prices),
    }


def _id(visit: Visit) -> ProviderId:
    return ProviderId(id_of(visit.request, "provider_id", ids.PROVIDER))


def _list(visit: Visit) -> str:
    """The address of the list that this page belongs to, below the dashboard."""
    path = visit.request.url.path.removeprefix("/dashboard")
    return path[: path.index("/providers") + len("/providers")]


def _pages(place: str, read: AdminPermission, write: AdminPermission) -> list[Page]:
    """The same addresses at each place."""
    listed, one = f"{place}/providers", f"{place}/providers/{{provider_id}}"
    rows: list[tuple[str, Handler, AdminPermission, str]] = [
        (listed, list_providers, read, "GET"),
        (f"{listed}/new", new_provider, write, "GET"),
        (f"{listed}/new", create_provider, write, "POST"),
        (one, show_provider, read, "GET"),
        (one, change_provider, write, "POST"),
        (f"{one}/test", test_provider, write, "POST"),
        (f"{one}/remove", remove_provider, write, "POST"),
    ]
    return [Page(path=path, handler=handler, needs=needs, method=method) for path, handler, needs, method in rows]


PAGES: Final = (
    *_pages("", AdminPermission.PLATFORM_PROVIDERS_READ, AdminPermission.PLATFORM_PROVIDERS_WRITE),
    *_pages("/tenants/{tenant_id}", AdminPermission.PROVIDERS_READ, AdminPermission.PROVIDERS_WRITE),
    *_pages("/projects/{project_id}", AdminPermission.PROVIDERS_READ, AdminPermission.PROVIDERS_WRITE),
)
