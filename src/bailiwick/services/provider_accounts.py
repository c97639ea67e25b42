"""Model providers: of a project, of a tenant, of the platform. Each change is audited in its own transaction.

An API key of a provider comes in and is sealed for its row; no answer, no log and no audit entry holds it. It only ever
goes to the address that it was given for: whoever changes the address must give the key again, so that nobody can have
a stored key sent to a server of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION, Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProviderId
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.providers import Place, Provider, ProviderSpec
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.identity.keyring import fingerprint
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.identity.sealing import CannotOpen, provider_row_identity, seal, unseal
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import provider_document
from bailiwick.services.places import check_place, hold_place, reading
from bailiwick.storage.providers import ProviderRows
from bailiwick.storage.scope import Database, Scope

_NONCE_BYTES: Final = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SecretChange:
    """What a request says of the API key: `secret` None removes it. Silence is the absence of this value."""

    secret: str | None


@final
class ProviderAccounts:
    """The providers that are set up, and the sealing of their API keys."""

    def __init__(self, database: Database, acts: Acts, *, sealing: bytes, guard: OutboundGuard) -> None:
        """`sealing` is the key that the gateway opens secrets with; `guard` judges base URLs."""
        self._database = database
        self._acts = acts
        self._sealing = sealing
        self._guard = guard

    async def list(self, actor: Actor, place: Place, page: PageRequest, *, is_there: bool = False) -> Page[Provider]:
        """A page of the providers of one place; raises `Refused` (404) unless whoever asks knows that it is there."""
        async with reading(self._database, self._acts, actor, place, "provider.list", INSTALLATION) as scope:
            if not is_there:
                await check_place(scope, place)
            return await ProviderRows(scope, place).list(page)

    async def find(self, actor: Actor, place: Place, provider_id: ProviderId) -> Provider:
        """One provider; raises `Refused` (404)."""
        target = ids.shown(ids.PROVIDER, provider_id)
        async with reading(self._database, self._acts, actor, place, "provider.read", target) as scope:
            return found(await ProviderRows(scope, place).find(provider_id))

    async def use(self, actor: Actor, place: Place, provider_id: ProviderId) -> tuple[Provider, str | None]:
        """A provider with its API key, for one use of ours, on the record; raises `Refused` (404, 409)."""
        async with self._database.within(place.tenant_id) as scope:
            provider, sealed = found(await ProviderRows(scope, place).account(provider_id))
            await self.record(scope, actor, "test", provider, {})
        try:
            return provider, self.opened(place, provider_id, sealed)
        except CannotOpen:
            message = "The API key that is stored cannot be opened: set it again."
            raise Refused(Code.CONFLICT, message) from None

    async def create(self, actor: Actor, place: Place, spec: ProviderSpec, secret: str | None) -> Provider:
        """Set up a provider; raises `Refused` (404, 409) and `Invalid`."""
        self._check(spec, has_secret=secret is not None)
        async with self._database.within(place.tenant_id) as scope:
            await hold_place(scope, place)
            return await self.add(scope, actor, place, spec, secret)

    async def add(
        self,
        scope: Scope,
        actor: Actor,
        place: Place,
        spec: ProviderSpec,
        secret: str | None,
        *,
        from_environment: bool = False,
    ) -> Provider:
        """Set up a provider in a scope of its place; the spec is not checked."""
        provider_id = ProviderId(self._acts.new_id())
        provider = await ProviderRows(scope, place).add(
            provider_id,
            spec,
            self.sealed(place, provider_id, secret),
            created_at=self._acts.now(),
            created_by=actor.name,
            from_environment=from_environment,
        )
        after = {**provider_document(provider), **self._fingerprint(secret)}
        await self.record(scope, actor, "create", provider, {"after": after})
        return provider

    async def change(
        self,
        actor: Actor,
        place: Place,
        provider_id: ProviderId,
        change: Callable[[Provider], tuple[ProviderSpec, SecretChange | None]],
        *,
        expected: Expected = WHATEVER,
    ) -> Provider:
        """Make a provider what `change` says of it; raises `Refused` (404, 409, 412) and `Invalid`."""
        async with self._database.within(place.tenant_id) as scope:
            before = found(await ProviderRows(scope, place).lock(provider_id))
            expected.check(provider_document(before))
            _check_own(before)
            spec, secret_change = change(before)
            has_secret = before.has_api_key if secret_change is None else secret_change.secret is not None
            self._check(spec, has_secret=has_secret)
            if before.has_api_key and secret_change is None and spec.base_url != before.spec.base_url:
                raise invalid("api_key", "must be given again when base_url changes")
            return await self.apply(scope, actor, before, spec, secret_change)

    async def apply(
        self, scope: Scope, actor: Actor, before: Provider, spec: ProviderSpec, secret_change: SecretChange | None
    ) -> Provider:
        """Change a locked provider; the spec is not checked."""
        rows = ProviderRows(scope, before.place)
        after = found(await rows.change(before.id, spec))
        was, becomes = dict[str, object](), dict[str, object]()
        if secret_change is not None:
            _, old = found(await rows.account(before.id))
            was, becomes = self._was(before, old), self._fingerprint(secret_change.secret)
            sealed = self.sealed(before.place, before.id, secret_change.secret)
            after = found(await rows.change_secret(before.id, sealed))
        detail = changes({**provider_document(before), **was}, {**provider_document(after), **becomes})
        await self.record(scope, actor, "change", after, detail)
        return after

    async def remove(
        self, actor: Actor, place: Place, provider_id: ProviderId, *, expected: Expected = WHATEVER
    ) -> None:
        """Remove a provider; raises `Refused` (404, 412)."""
        async with self._database.within(place.tenant_id) as scope:
            rows = ProviderRows(scope, place)
            before = found(await rows.lock(provider_id))
            expected.check(provider_document(before))
            _check_own(before)
            await rows.remove(provider_id)
            await self.record(scope, actor, "remove", before, {"before": provider_document(before)})

    def sealed(self, place: Place, provider_id: ProviderId, secret: str | None) -> bytes | None:
        """Seal a secret for its row."""
        if secret is None:
            return None
        row = provider_row_identity(place.tenant_id, place.project_id, provider_id)
        return seal(self._sealing, row, secret, self._acts.entropy(_NONCE_BYTES))

    def opened(self, place: Place, provider_id: ProviderId, sealed: bytes | None) -> str | None:
        """Open what `sealed` made for the same row; raises `CannotOpen`."""
        if sealed is None:
            return None
        return unseal(self._sealing, provider_row_identity(place.tenant_id, place.project_id, provider_id), sealed)

    def _was(self, before: Provider, sealed: bytes | None) -> dict[str, object]:
        try:
            return self._fingerprint(self.opened(before.place, before.id, sealed))
        except CannotOpen:  # What nobody can read any more can still be replaced.
            return {"api_key": "unreadable"}

    def _fingerprint(self, secret: str | None) -> dict[str, object]:
        """What the audit log holds of an API key."""
        return {"api_key": fingerprint(self._sealing, secret)}

    async def record(
        self, scope: Scope, actor: Actor, verb: str, provider: Provider, detail: dict[str, object]
    ) -> None:
        """Write the audit entry of an act on a provider."""
        target = ids.shown(ids.PROVIDER, provider.id)
        tenant_id = provider.place.tenant_id
        await self._acts.record(scope, actor, f"provider.{verb}", target, tenant_id=tenant_id, detail=detail)

    def _check(self, spec: ProviderSpec, *, has_secret: bool) -> None:
        if spec.kind is ProviderKind.ECHO:
            if has_secret:
                raise invalid("api_key", "must be absent: an echo provider is part of this server")
            return
        try:
            self._guard.check_url(spec.base_url)
        except OutboundRefused as refused:
            raise invalid("base_url", f"is refused: {refused.reason}") from None


def _check_own(provider: Provider) -> None:
    if provider.from_environment:
        message = "This provider comes from the server's environment and can only be changed there."
        raise Refused(Code.CONFLICT, message)
