"""The OpenID providers by which people sign in: made, read, changed, removed, and each of it audited.

A client secret is sealed for its row and never shown again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import SignInProviderId
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.sign_in_providers import SignInProvider, SignInProviderSpec
from bailiwick.domain.versions import Expected
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.identity.sealing import CannotOpen, seal, sign_in_provider_row_identity, unseal
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import sign_in_provider_document
from bailiwick.services.provider_accounts import SecretChange
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in_providers import SignInProviderRows
from bailiwick.storage.tenants import Kind, tenant_of

_NONCE: Final = 12


@final
class SignInProviders:
    """The providers of the installation."""

    def __init__(self, database: Database, acts: Acts, *, sealing: bytes, guard: OutboundGuard) -> None:
        """`sealing` seals client secrets; `guard` judges issuers' addresses."""
        self._database = database
        self._acts = acts
        self._sealing = sealing
        self._guard = guard

    async def offered(self) -> Page[SignInProvider]:
        """Those that the sign-in page offers."""
        async with self._database.reading(None) as scope:
            return await SignInProviderRows(scope).list(PageRequest(limit=20))

    async def usable(self, provider_id: SignInProviderId) -> tuple[SignInProvider, str | None]:
        """One provider with its client secret, to sign in by it; raises `Refused` (404)."""
        async with self._database.reading(None) as scope:
            provider, sealed = found(await SignInProviderRows(scope).find(provider_id))
        return provider, None if sealed is None else self._opened(provider_id, sealed)

    async def list(self, page: PageRequest) -> Page[SignInProvider]:
        """A page of providers."""
        async with self._database.reading(None) as scope:
            return await SignInProviderRows(scope).list(page)

    async def find(self, provider_id: SignInProviderId) -> SignInProvider:
        """One provider; raises `Refused` (404)."""
        async with self._database.reading(None) as scope:
            return found(await SignInProviderRows(scope).find(provider_id))[0]

    async def create(self, actor: Actor, spec: SignInProviderSpec, secret: str | None) -> SignInProvider:
        """Set a provider up; raises `Refused` (409) and `Invalid`."""
        self._check(spec)
        await self._check_tenants(spec)
        provider = SignInProvider(
            id=SignInProviderId(self._acts.new_id()),
            spec=spec,
            has_secret=secret is not None,
            created_at=self._acts.now(),
            created_by=actor.name,
        )
        async with self._database.operating() as scope:
            added = await SignInProviderRows(scope).add(provider, self._sealed(provider.id, secret))
            if added is None:
                raise Refused(Code.CONFLICT, "There is a provider of this issuer already.", param="issuer")
            detail = {"after": sign_in_provider_document(provider)}
            await self._record(scope, actor, "create", provider, detail)
            return provider

    async def change(
        self,
        actor: Actor,
        provider_id: SignInProviderId,
        change: Callable[[SignInProvider], tuple[SignInProviderSpec, SecretChange | None]],
        *,
        expected: Expected,
    ) -> SignInProvider:
        """Make a provider what `change` says of it; raises `Refused` (404, 412) and `Invalid`."""
        async with self._database.operating() as scope:
            rows = SignInProviderRows(scope)
            before, sealed = found(await rows.lock(provider_id))
            expected.check(sign_in_provider_document(before))
            spec, secret_change = change(before)
            if spec.issuer != before.spec.issuer:
                raise invalid("issuer", "cannot be changed: whoever signed in by it is known by it")
            await self._check_tenants(spec)
            if secret_change is not None:
                sealed = self._sealed(provider_id, secret_change.secret)
            after, _ = found(await rows.change(provider_id, spec, sealed))
            detail = changes(sign_in_provider_document(before), sign_in_provider_document(after))
            await self._record(scope, actor, "change", after, {**detail, "secret": secret_change is not None})
            return after

    async def remove(self, actor: Actor, provider_id: SignInProviderId, *, expected: Expected) -> None:
        """Remove a provider; whoever came by it stays an operator. Raises `Refused` (404, 412)."""
        async with self._database.operating() as scope:
            rows = SignInProviderRows(scope)
            before, _ = found(await rows.lock(provider_id))
            expected.check(sign_in_provider_document(before))
            await rows.remove(provider_id)
            await self._record(scope, actor, "remove", before, {"before": sign_in_provider_document(before)})

    def _check(self, spec: SignInProviderSpec) -> None:
        if "?" in spec.issuer:
            raise invalid("issuer", "must have no query")
        try:
            self._guard.check_url(spec.issuer)
        except OutboundRefused as refused:
            raise invalid("issuer", f"cannot be used: {refused.reason}") from None

    async def _check_tenants(self, spec: SignInProviderSpec) -> None:
        for place, rule in enumerate(spec.rules):
            if rule.tenant_id is not None and await tenant_of(self._database, Kind.TENANT, rule.tenant_id) is None:
                raise invalid(f"rules.{place}.tenant_id", "must be a tenant of this installation")

    def _sealed(self, provider_id: UUID, secret: str | None) -> bytes | None:
        return (
            None
            if secret is None
            else seal(self._sealing, sign_in_provider_row_identity(provider_id), secret, self._acts.entropy(_NONCE))
        )

    def _opened(self, provider_id: UUID, sealed: bytes) -> str | None:
        try:
            return unseal(self._sealing, sign_in_provider_row_identity(provider_id), sealed)
        except CannotOpen:
            return None

    async def _record(
        self, scope: Scope, actor: Actor, verb: str, provider: SignInProvider, detail: Mapping[str, object]
    ) -> None:
        target = ids.shown(ids.SIGN_IN_PROVIDER, provider.id)
        await self._acts.record(scope, actor, f"sign_in_provider.{verb}", target, tenant_id=None, detail=detail)
