"""`/admin/v1/tenants/{id}/prices`: the versions of prices that a tenant's calls were charged by."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import pytest

from bailiwick.domain import ids
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.price_versions import Quote, version_of
from bailiwick.domain.pricing import Price, Rate
from tests.control import UNKNOWN, Control
from tests.database import TestDatabase

PRICE = Price(input=Rate(base=1_250_000_000, steps=((200_000, 2_500_000_000),)), output=Rate(base=10_000_000_000))


def keep(database: TestDatabase, tenant: dict[str, Any], *models: str) -> list[str]:
    """Versions of a tenant's prices, as they are shown, in their order."""
    tenant_id = ids.parsed(ids.TENANT, tenant["id"])
    assert isinstance(tenant_id, UUID)
    quotes = [Quote(kind=ProviderKind.GEMINI, model=model, source="override", price=PRICE) for model in models]
    versions = [version_of(tenant_id, quote) for quote in quotes]
    for version in versions:
        database.run(
            "INSERT INTO bailiwick.price_versions (tenant_id, id, kind, model, source, rates, since)"
            " VALUES (%s, %s, 'gemini', %s, 'override', %s, '2026-11-22T10:00:00Z')",
            tenant_id, version.id, version.quote.model, json.dumps(PRICE.rates()),
        )  # fmt: skip
    return sorted(f"{version.id:016x}" for version in versions)


async def test_versions_are_listed_with_their_rates(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant()
    (version,) = keep(database, tenant, "gemini-2.5-pro")
    keep(database, await control.tenant(), "another")
    assert await control.read(f"/tenants/{tenant['id']}/prices") == {
        "data": [
            {
                "version": version,
                "kind": "gemini",
                "model": "gemini-2.5-pro",
                "source": "override",
                "since": "2026-11-22T10:00:00Z",
                "rates": {
                    "input": {"usd_per_million": "1.25", "steps": [{"above": 200_000, "usd_per_million": "2.50"}]},
                    "output": {"usd_per_million": "10.00"},
                },
            }
        ],
        "has_more": False,
        "next": None,
    }


async def test_versions_come_in_pages(control: Control, database: TestDatabase) -> None:
    tenant = await control.tenant()
    versions = keep(database, tenant, *"abcde")
    seen, after = [], ""
    while True:
        page = await control.read(f"/tenants/{tenant['id']}/prices?limit=2{after}")
        seen += [version["version"] for version in page["data"]]
        if not page["has_more"]:
            break
        after = f"&after={page['next']}"
    assert seen == versions


@pytest.mark.parametrize("after", ["x", "1", "-000000000000001", "00000000000000FF", "ffffffffffffffff", "0" * 17])
async def test_a_page_that_begins_nowhere_is_told(control: Control, after: str) -> None:
    tenant = await control.tenant()
    wrong = await control.wrong_fields("GET", f"/tenants/{tenant['id']}/prices?after={after}", None)
    assert set(wrong) == {"after"}


async def test_of_an_unknown_tenant_there_are_none(control: Control) -> None:
    assert (await control.refused("GET", f"/tenants/{UNKNOWN['ten']}/prices"))[0] == 404
