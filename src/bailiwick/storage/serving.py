"""Reads, as a tenant, what serves one of its projects: its own providers, its tenant's, and the platform's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, final

from bailiwick.domain.agents import AgentSpec, ListedAgent, agent_spec
from bailiwick.domain.ids import AgentId, ProjectId, ProviderId, TenantId
from bailiwick.domain.models import Offer, ProviderKind
from bailiwick.domain.pricing import Price, Rate, rate_from_usd
from bailiwick.storage.scope import Database, Row
from bailiwick.storage.sql import load

_SQL: Final = load("serving")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class StoredOffer:
    """A provider as stored. `secret` is sealed for the row; a `guarded` address may not lead inside.

    `windows` are how many tokens its models read at once, where that was said.
    """

    offer: Offer
    provider_id: ProviderId
    base_url: str
    secret: bytes | None
    tenant_id: TenantId | None
    project_id: ProjectId | None
    guarded: bool
    prices: Mapping[str, Price]
    windows: Mapping[str, int]


@final
class ServingLookup:
    """Reads as the gateway's role, within one tenant."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find(
        self, tenant_id: TenantId, project_id: ProjectId
    ) -> tuple[list[StoredOffer], dict[str, tuple[str, ...]], list[ListedAgent]]:
        """The project's providers, nearest first, its aliases and its enabled agents. Raises `Unavailable`."""
        params = {"tenant": tenant_id, "project": project_id}
        async with self._database.reading(tenant_id) as scope:
            rows = await scope.fetch_all(_SQL["offers"], params)
            project = await scope.fetch_one(_SQL["aliases"], params)
            agents = await scope.fetch_all(_SQL["agents"], params)
        aliases = {} if project is None else project["aliases"]
        return (
            [_offer(row) for row in rows],
            {name: tuple(targets) for name, targets in aliases.items()},
            [_listed(row) for row in agents],
        )

    async def find_agent(
        self, tenant_id: TenantId, project_id: ProjectId, agent_id: AgentId, version: int
    ) -> AgentSpec | None:
        """What a version of a project's agent says; None if there is none. Raises `Unavailable`."""
        params = {"tenant": tenant_id, "project": project_id, "agent": agent_id, "version": version}
        async with self._database.reading(tenant_id) as scope:
            row = await scope.fetch_one(_SQL["agent"], params)
        return None if row is None else agent_spec(**row["spec"])


def _listed(row: Row) -> ListedAgent:
    return ListedAgent(id=AgentId(row["id"]), name=row["name"], model=row["model"], version=row["version"])


def _offer(row: Row) -> StoredOffer:
    prices = {
        model: Price(
            input=Rate(base=rate_from_usd(Decimal(price["input_usd_per_million"]))),
            output=Rate(base=rate_from_usd(Decimal(price["output_usd_per_million"]))),
        )
        for model, price in row["prices"].items()
    }
    return StoredOffer(
        offer=Offer(
            id=ProviderId(row["id"]),
            name=row["name"],
            kind=ProviderKind(row["kind"]),
            models=None if row["models"] is None else tuple(row["models"]),
            shared=row["tenant_id"] is None,
        ),
        provider_id=ProviderId(row["id"]),
        base_url=row["base_url"],
        secret=None if row["secret"] is None else bytes(row["secret"]),
        tenant_id=row["tenant_id"],
        project_id=row["project_id"],
        guarded=not row["from_environment"],
        prices=prices,
        windows={model: price["context_window"] for model, price in row["prices"].items() if "context_window" in price},
    )
