"""The history of prices: every version that a call was charged by, written before the first such call is opened."""

from __future__ import annotations

from typing import Final, final

import msgspec

from bailiwick.domain.ids import TenantId
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.paging import Page
from bailiwick.domain.price_versions import FREE_VERSION, KeptVersion, PriceVersion, Quote
from bailiwick.domain.pricing import price_of
from bailiwick.storage.ledger_connection import LedgerConnection
from bailiwick.storage.scope import Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("price_history")
# Of how many versions it is remembered that they are written; what is forgotten is written again, and changes nothing.
_KEPT: Final = 100_000


@final
class PriceHistory:
    """What one process has met of it. Noting a price twice costs a look; writing is left to whoever opens calls."""

    def __init__(self) -> None:
        self._written: set[int] = set()
        self._unwritten: dict[int, PriceVersion] = {}

    def note(self, version: PriceVersion) -> None:
        """Have a version written before any call is opened from now on."""
        if version.id not in self._written:
            self._unwritten[version.id] = version

    async def write(self, connection: LedgerConnection) -> None:
        """Write what is not written yet; raises what the database says, and then it is still to be written."""
        if not self._unwritten:
            return
        versions = tuple(self._unwritten.values())
        await connection.execute(_SQL["add_price_versions"], msgspec.json.encode([_row(each) for each in versions]))
        if len(self._written) >= _KEPT:
            self._written.clear()
        for each in versions:
            self._written.add(each.id)
            self._unwritten.pop(each.id, None)


async def find_version(scope: Scope, tenant_id: TenantId, version: int) -> KeptVersion | None:
    """A version that a tenant's calls were charged by; None if there is none. `scope` reads as that tenant."""
    if version == FREE_VERSION.id:
        return FREE_VERSION
    row = await scope.fetch_one(_SQL["find_price_version"], {"tenant": tenant_id, "version": version})
    return None if row is None else _kept(row)


async def list_versions(scope: Scope, tenant_id: TenantId, *, after: int, limit: int) -> Page[KeptVersion]:
    """A page of a tenant's versions, those of a greater number than `after`. `scope` reads as that tenant."""
    values = {"tenant": tenant_id, "after": after, "limit": limit + 1}
    return Page.of([_kept(row) for row in await scope.fetch_all(_SQL["list_price_versions"], values)], limit)


def _kept(row: Row) -> KeptVersion:
    price = price_of(row["rates"], row["id"])
    quote = Quote(kind=ProviderKind(row["kind"]), model=row["model"], source=row["source"], price=price)
    return KeptVersion(id=row["id"], quote=quote, since=row["since"])


def _row(version: PriceVersion) -> dict[str, object]:
    quote = version.quote
    return {
        "id": version.id,
        "tenant_id": version.tenant_id,
        "kind": quote.kind.value,
        "model": quote.model,
        "source": quote.source,
        "rates": quote.price.rates(),
    }
