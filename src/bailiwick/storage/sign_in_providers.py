"""OpenID providers by which people sign in, and who they are there. The providers are the installation's alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final, final

from psycopg.types.json import Jsonb

from bailiwick.domain import ids
from bailiwick.domain.ids import SignInProviderId, TenantId
from bailiwick.domain.operators import OperatorRole, Person
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.sign_in_providers import SignInProvider, SignInProviderSpec, SignInRule
from bailiwick.storage.operators import person_of
from bailiwick.storage.scope import Database, Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("sign_in_providers")
Stored = tuple[SignInProvider, bytes | None]
"""A provider with its sealed secret."""


@final
class SignInProviderRows:
    """Providers, in a scope of `Database.operating()`; they may be read in one of `reading(None)` too."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    async def list(self, page: PageRequest) -> Page[SignInProvider]:
        """A page of providers."""
        rows = await self._scope.fetch_all(
            _SQL["list_sign_in_providers"], {"after": page.after, "limit": page.limit + 1}
        )
        return Page.of([_provider(row)[0] for row in rows], page.limit)

    async def find(self, provider_id: SignInProviderId) -> Stored | None:
        """One provider."""
        return await self._one("find_sign_in_provider", {"id": provider_id})

    async def lock(self, provider_id: SignInProviderId) -> Stored | None:
        """One provider as it is and stays until the end of the transaction."""
        return await self._one("lock_sign_in_provider", {"id": provider_id})

    async def add(self, provider: SignInProvider, sealed: bytes | None) -> Stored | None:
        """Add a provider; None if there is one of the same issuer."""
        values = {**_values(provider.spec, sealed), "issuer": provider.spec.issuer, "id": provider.id}
        return await self._one("add_sign_in_provider", {**values, "at": provider.created_at, "by": provider.created_by})

    async def change(
        self, provider_id: SignInProviderId, spec: SignInProviderSpec, sealed: bytes | None
    ) -> Stored | None:
        """Make a provider what `spec` says, but for its issuer."""
        return await self._one("change_sign_in_provider", {**_values(spec, sealed), "id": provider_id})

    async def remove(self, provider_id: SignInProviderId) -> bool:
        """Remove a provider; False if there was none."""
        return await self._scope.execute(_SQL["remove_sign_in_provider"], {"id": provider_id}) > 0

    async def _one(self, query: str, values: Mapping[str, object]) -> Stored | None:
        row = await self._scope.fetch_one(_SQL[query], values)
        return None if row is None else _provider(row)


async def find_identity(database: Database, issuer: str, subject: str) -> Person | None:
    """Whose an identity at a provider is, whatever their state. Raises `Unavailable`."""
    async with database.reading(None) as scope:
        row = await scope.fetch_one(_SQL["look_up_identity"], {"issuer": issuer, "subject": subject})
    return None if row is None else person_of(row)


async def add_identity(scope: Scope, person: Person, issuer: str, subject: str, at: datetime) -> None:
    """Know a person by their identity at a provider."""
    values = {"issuer": issuer, "subject": subject, "tenant": person.tenant_id, "operator": person.id, "at": at}
    await scope.execute(_SQL["add_identity"], values)


async def finish_sign_in(scope: Scope, digest: bytes, *, at: datetime, expires_at: datetime) -> bool:
    """Note that a sign-in is finished; False if it was before."""
    await scope.execute(_SQL["forget_finished_sign_ins"], {"at": at})
    return await scope.execute(_SQL["finish_sign_in"], {"digest": digest, "expires_at": expires_at}) > 0


def _values(spec: SignInProviderSpec, sealed: bytes | None) -> dict[str, object]:
    return {
        "name": spec.name,
        "client_id": spec.client_id,
        "client_secret": sealed,
        "scopes": list(spec.scopes),
        "rules": Jsonb([_written(rule) for rule in spec.rules]),
    }


def _written(rule: SignInRule) -> dict[str, str | None]:
    """A rule as it is stored. Evolution: names are added, and read as absent where they are not there."""
    return {
        "email_domain": rule.email_domain,
        "claim": rule.claim,
        "value": rule.value,
        "role": rule.role.value,
        "tenant_id": None if rule.tenant_id is None else ids.shown(ids.TENANT, rule.tenant_id),
    }


def _rules(stored: Sequence[Mapping[str, Any]]) -> tuple[SignInRule, ...]:
    def tenant(text: str | None) -> TenantId | None:
        found = None if text is None else ids.parsed(ids.TENANT, text)
        return None if found is None else TenantId(found)

    return tuple(
        SignInRule(
            email_domain=rule["email_domain"],
            claim=rule["claim"],
            value=rule["value"],
            role=OperatorRole(rule["role"]),
            tenant_id=tenant(rule["tenant_id"]),
        )
        for rule in stored
    )


def _provider(row: Row) -> Stored:
    sealed = None if row["client_secret"] is None else bytes(row["client_secret"])
    spec = SignInProviderSpec(
        name=row["name"],
        issuer=row["issuer"],
        client_id=row["client_id"],
        scopes=tuple(row["scopes"]),
        rules=_rules(row["rules"]),
    )
    provider = SignInProvider(
        id=SignInProviderId(row["id"]),
        spec=spec,
        has_secret=sealed is not None,
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
    return provider, sealed
