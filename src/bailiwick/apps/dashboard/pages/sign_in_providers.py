"""How people sign in besides by password: OpenID providers, and the rules that say who becomes what.

A client secret goes in and is on no page ever after.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from starlette.responses import Response

from bailiwick.apps.admin.address import id_of
from bailiwick.apps.admin.sign_in_bodies import SignInProviderBody, sign_in_provider_asked, sign_in_provider_body
from bailiwick.apps.admin.wire import read_body_as
from bailiwick.apps.dashboard.page import Page, Visit
from bailiwick.apps.dashboard.pages.changes import expected
from bailiwick.apps.dashboard.pages.choices import roles_within, tenants_within
from bailiwick.domain import ids
from bailiwick.domain.administration import AdminPermission
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import SignInProviderId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.sign_in_providers import DEFAULT_SCOPES, MAX_RULES, SignInProvider, SignInProviderSpec, SignInRule
from bailiwick.domain.versions import etag
from bailiwick.services.documents import sign_in_provider_document
from bailiwick.services.provider_accounts import SecretChange
from bailiwick.services.provider_sign_in import CALLBACK

_READ: Final = AdminPermission.SIGN_IN_READ
_WRITE: Final = AdminPermission.SIGN_IN_WRITE
# Empty rows below the rules that there are, for those to come.
_SPARE: Final = 2
_PARTS: Final = ("claim", "value", "role", "tenant")
_FIELDS: Final = (
    *("name", "issuer", "client_id", "client_secret", "forget_secret", "scopes"),
    *(f"{part}.{row}" for row in range(MAX_RULES + _SPARE) for part in _PARTS),
)
_LIST: Final = "/sign-in-providers"


async def list_providers(visit: Visit) -> Response:
    """Every provider."""
    page = await visit.plane.person.providers.list(visit.page(ids.SIGN_IN_PROVIDER))
    return visit.show("sign_in_providers/list.html", page=page)


async def new_provider(visit: Visit) -> Response:
    """The form for a new one."""
    given = {"name": "", "issuer": "", "client_id": "", "scopes": " ".join(DEFAULT_SCOPES)}
    return visit.show("sign_in_providers/form.html", **await _around(visit, None), given=given, rows=_rows([]))


async def create_provider(visit: Visit) -> Response:
    """Let people sign in by one, and go on to its page, which has the address that it needs."""
    try:
        body = read_body_as(SignInProviderBody, {**_body(visit), "client_secret": visit.form.optional("client_secret")})
        provider = await visit.plane.person.providers.create(
            visit.actor, sign_in_provider_asked(body), body.client_secret
        )
    except Refused as refused:
        return await _again(visit, refused, None)
    return visit.go(f"{_LIST}/{ids.shown(ids.SIGN_IN_PROVIDER, provider.id)}", "created")


async def show_provider(visit: Visit) -> Response:
    """One provider, to be changed."""
    provider = await visit.plane.person.providers.find(_id(visit))
    spec = provider.spec
    given = {"name": spec.name, "issuer": spec.issuer, "client_id": spec.client_id, "scopes": " ".join(spec.scopes)}
    values = {**await _around(visit, provider), "given": given, "rows": _rows([_row(rule) for rule in spec.rules])}
    return visit.show("sign_in_providers/form.html", **values)


async def change_provider(visit: Visit) -> Response:
    """Change one; an empty secret stays what it is, and the issuer too."""
    secret, forgets = visit.form.optional("client_secret"), visit.form.checked("forget_secret")

    def change(provider: SignInProvider) -> tuple[SignInProviderSpec, SecretChange | None]:
        asked = {**sign_in_provider_body(provider), **_body(visit), "issuer": provider.spec.issuer}
        body = read_body_as(SignInProviderBody, {**asked, "client_secret": secret})
        return sign_in_provider_asked(body), SecretChange(secret=secret) if secret or forgets else None

    try:
        await visit.plane.person.providers.change(visit.actor, _id(visit), change, expected=expected(visit))
    except Refused as refused:
        return await _again(visit, refused, await visit.plane.person.providers.find(_id(visit)))
    return visit.go(_LIST, "saved")


async def remove_provider(visit: Visit) -> Response:
    """Remove one: nobody signs in by it any more."""
    visit.form.known()
    await visit.plane.person.providers.remove(visit.actor, _id(visit), expected=expected(visit))
    return visit.go(_LIST, "removed")


async def _around(visit: Visit, provider: SignInProvider | None) -> dict[str, object]:
    """What the form shows besides its fields. With the provider, where it is to send people back to."""
    around: dict[str, object] = {
        "provider": provider,
        "roles": [(value, text.partition(":")[0]) for value, text in roles_within(visit)],
        "tenants": await tenants_within(visit),
        "writes": visit.may(_WRITE),
    }
    if provider is not None:
        own = ids.shown(ids.SIGN_IN_PROVIDER, provider.id)
        around |= {
            "callback": f"{visit.plane.public_url}{CALLBACK}{own}",
            "version": etag(sign_in_provider_document(provider)),
        }
    return around


async def _again(visit: Visit, refused: Refused, provider: SignInProvider | None) -> Response:
    given = {name: visit.form.text(name) for name in ("name", "issuer", "client_id", "scopes")}
    if provider is not None:
        given["issuer"] = provider.spec.issuer
    values = {**await _around(visit, provider), "given": given, "rows": _rows(_asked_rows(visit))}
    return visit.again("sign_in_providers/form.html", refused, **values)


def _body(visit: Visit) -> Document:
    """The form as the API's body, but for the secret; raises `Refused`."""
    form = visit.form.known(*_FIELDS)
    return {
        "name": form.text("name").strip(),
        "issuer": form.text("issuer").strip(),
        "client_id": form.text("client_id").strip(),
        "scopes": form.text("scopes").split(),
        "rules": [_rule(row) for row in _asked_rows(visit)],
    }


def _asked_rows(visit: Visit) -> list[dict[str, str]]:
    """The rows of the form that say something."""
    form = visit.form
    rows = [{part: form.text(f"{part}.{row}").strip() for part in _PARTS} for row in range(MAX_RULES + _SPARE)]
    return [row for row in rows if row["claim"] or row["value"]]


def _rule(row: Mapping[str, str]) -> Document:
    """A row as the API's rule: without a claim it is about the domain of the e-mail address."""
    about = {"claim": row["claim"], "value": row["value"]} if row["claim"] else {"email_domain": row["value"]}
    return {**about, "role": row["role"], "tenant_id": row["tenant"] or None}


def _row(rule: SignInRule) -> dict[str, str]:
    return {
        "claim": rule.claim or "",
        "value": rule.value or rule.email_domain or "",
        "role": rule.role.value,
        "tenant": "" if rule.tenant_id is None else ids.shown(ids.TENANT, rule.tenant_id),
    }


def _rows(given: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The rows that the form shows."""
    return [*given, *({"claim": "", "value": "", "role": "viewer", "tenant": ""} for _ in range(_SPARE))]


def _id(visit: Visit) -> SignInProviderId:
    return SignInProviderId(id_of(visit.request, "sign_in_provider_id", ids.SIGN_IN_PROVIDER))


_ONE: Final = f"{_LIST}/{{sign_in_provider_id}}"

PAGES: Final = (
    Page(path=_LIST, handler=list_providers, needs=_READ),
    Page(path=f"{_LIST}/new", handler=new_provider, needs=_WRITE),
    Page(path=f"{_LIST}/new", handler=create_provider, needs=_WRITE, method="POST"),
    Page(path=_ONE, handler=show_provider, needs=_READ),
    Page(path=_ONE, handler=change_provider, needs=_WRITE, method="POST"),
    Page(path=f"{_ONE}/remove", handler=remove_provider, needs=_WRITE, method="POST"),
)
