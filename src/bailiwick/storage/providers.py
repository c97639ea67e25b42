"""Model providers in the database: a project's, a tenant's, and (by the operator's role) the platform's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final, final

from psycopg.errors import UniqueViolation
from psycopg.types.json import Jsonb

from bailiwick.domain.ids import ProjectId, ProviderId, TenantId
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.providers import PLATFORM, Place, PriceOverride, Provider, ProviderSpec
from bailiwick.storage.conflicts import provider_name_taken
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("providers")


async def platform(scope: Scope) -> tuple[tuple[Provider, bytes | None], ...]:
    """The platform's providers with their sealed secrets, in an operator's scope, kept as they are until its end."""
    rows = await scope.fetch_all(_SQL["platform_providers"])
    return tuple((_provider(row), None if row["secret"] is None else bytes(row["secret"])) for row in rows)


@final
class ProviderRows:
    """The providers of one place; every query also says whose."""

    def __init__(self, scope: Scope, place: Place) -> None:
        """`scope` is the tenant's, or an operator's for the platform."""
        self._scope = scope
        self._place = {"tenant": place.tenant_id, "project": place.project_id}

    async def find(self, provider_id: ProviderId) -> Provider | None:
        """One provider; None if there is none of this id in this place."""
        return await self._one("find_provider", {"provider": provider_id})

    async def account(self, provider_id: ProviderId) -> tuple[Provider, bytes | None] | None:
        """One provider with its sealed secret."""
        row = await self._scope.fetch_one(_SQL["account"], {**self._place, "provider": provider_id})
        return None if row is None else (_provider(row), None if row["secret"] is None else bytes(row["secret"]))

    async def lock(self, provider_id: ProviderId) -> Provider | None:
        """One provider as it is and stays until the end of the transaction."""
        return await self._one("lock_provider", {"provider": provider_id})

    async def list(self, page: PageRequest) -> Page[Provider]:
        """A page of providers of this place alone."""
        values = {**self._place, "after": page.after, "limit": page.limit + 1}
        rows = await self._scope.fetch_all(_SQL["list_providers"], values)
        return Page.of([_provider(row) for row in rows], page.limit)

    async def add(
        self,
        provider_id: ProviderId,
        spec: ProviderSpec,
        sealed: bytes | None,
        *,
        created_at: datetime,
        created_by: str,
        from_environment: bool = False,
    ) -> Provider:
        """Add a provider; raises `Refused` (409) if the name is taken in this place."""
        values = {
            **_settable(spec),
            "provider": provider_id,
            "secret": sealed,
            "from_environment": from_environment,
            "created_at": created_at,
            "created_by": created_by,
        }
        added = await self._one("add_provider", values)
        if added is None:
            raise provider_name_taken()
        return added

    async def change(self, provider_id: ProviderId, spec: ProviderSpec) -> Provider | None:
        """Make a provider what `spec` says; raises `Refused` (409) if the name is taken in this place."""
        try:
            return await self._one("change_provider", {"provider": provider_id, **_settable(spec)})
        except UniqueViolation:
            raise provider_name_taken() from None

    async def change_secret(self, provider_id: ProviderId, sealed: bytes | None) -> Provider | None:
        """Set or remove the sealed secret."""
        return await self._one("change_secret", {"provider": provider_id, "secret": sealed})

    async def remove(self, provider_id: ProviderId) -> bool:
        """Remove a provider; False if there was none."""
        return await self._scope.execute(_SQL["remove_provider"], {**self._place, "provider": provider_id}) > 0

    async def _one(self, query: str, values: Mapping[str, object]) -> Provider | None:
        row = await self._scope.fetch_one(_SQL[query], {**self._place, **values})
        return None if row is None else _provider(row)


def _settable(spec: ProviderSpec) -> dict[str, object]:
    prices = {model: price.document() for model, price in spec.prices.items()}
    return {
        "name": spec.name,
        "kind": spec.kind.value,
        "base_url": spec.base_url,
        "models": None if spec.models is None else list(spec.models),
        "prices": Jsonb(prices),
    }


def _spec(row: Row) -> ProviderSpec:
    return ProviderSpec(
        name=row["name"],
        kind=ProviderKind(row["kind"]),
        base_url=row["base_url"],
        models=None if row["models"] is None else tuple(row["models"]),
        prices={
            model: PriceOverride(
                input_usd_per_million=price["input_usd_per_million"],
                output_usd_per_million=price["output_usd_per_million"],
                context_window=price.get("context_window"),
            )
            for model, price in row["prices"].items()
        },
    )


def _whose(row: Row) -> Place:
    if row["tenant_id"] is None:
        return PLATFORM
    project_id = None if row["project_id"] is None else ProjectId(row["project_id"])
    return Place(tenant_id=TenantId(row["tenant_id"]), project_id=project_id)


def _provider(row: Row) -> Provider:
    return Provider(
        id=ProviderId(row["id"]),
        place=_whose(row),
        spec=_spec(row),
        has_api_key=row["has_secret"],
        from_environment=row["from_environment"],
        created_at=row["created_at"],
        created_by=row["created_by"],
    )
