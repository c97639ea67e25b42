"""What a project can call: its providers with their accounts and prices, which of them serves a name, its agents."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, final

from bailiwick.domain.agent_calls import CalledAgent
from bailiwick.domain.agents import ListedAgent
from bailiwick.domain.durations import DAY
from bailiwick.domain.ids import AgentId, ProjectId, ProviderId, TenantId
from bailiwick.domain.models import Catalogue, Offer, ProviderKind, Route
from bailiwick.domain.price_versions import OVERRIDE, PriceVersion, Quote, version_of
from bailiwick.domain.pricing import FREE, Price
from bailiwick.providers.provider import ModelProvider
from bailiwick.services.circuits import CircuitKey
from bailiwick.services.remembered import Remembered
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.serving import ServingLookup, StoredOffer

_PROJECTS_KEPT: Final = 5_000
_NAMES_KEPT: Final = 500
# Each may have as much text as its operator wrote.
_AGENTS_KEPT: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Connect = Callable[[StoredOffer | None], ModelProvider]
ListPrice = Callable[[ProviderKind, str, datetime], Quote | None]
ListWindow = Callable[[ProviderKind, str], int | None]
NotePrice = Callable[[PriceVersion], None]


@final
@dataclass(frozen=True, slots=True)
class PriceList:
    """What models cost and read at once where their provider's operator does not say.

    `note` is told of every price, an operator's own too, before the first call is charged at it.
    """

    price: ListPrice
    window: ListWindow
    note: NotePrice


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A model as it is really served: the route to it, who speaks to it, its price (None: unknown), its circuit.

    `window` is how many tokens it reads at once, None for unknown.
    """

    route: Route
    provider: ModelProvider
    price: Price | None
    circuit: CircuitKey
    window: int | None = None


@final
class ProjectModels:
    """One project's models, as they stood at one epoch."""

    def __init__(
        self,
        tenant_id: TenantId,
        catalogue: Catalogue,
        providers: Mapping[ProviderId | None, ModelProvider],
        overrides: Mapping[ProviderId | None, Mapping[str, Price]],
        windows: Mapping[ProviderId | None, Mapping[str, int]],
        prices: PriceList,
        agents: Sequence[ListedAgent] = (),
    ) -> None:
        self._tenant_id = tenant_id
        self.agents = tuple(agents)
        self._called = {name: agent for agent in agents for name in agent.names}
        self._catalogue = catalogue
        self._providers = providers
        self._overrides = overrides
        self._windows = windows
        self._prices = prices
        self._served: dict[tuple[str, int], tuple[Served, ...]] = {}
        self._listed: tuple[tuple[str, tuple[Route, ...]], ...] | None = None

    def resolve(self, name: str, today: int) -> tuple[Served, ...]:
        """Who serves `name`, in the order in which they are to be asked; empty if nobody does.

        `today`, in days since the epoch, is when prices are asked for.
        """
        key = (name, today)
        if key not in self._served:
            # Names come from callers: what is kept of them is bounded.
            if len(self._served) >= _NAMES_KEPT:
                self._served.clear()
            self._served[key] = tuple(self._serve(route, today) for route in self._catalogue.routes(name))
        return self._served[key]

    def agent(self, name: str) -> ListedAgent | None:
        """The agent of this name or id; None if there is none that can be called as."""
        return self._called.get(name)

    def listed(self) -> Sequence[tuple[str, tuple[Route, ...]]]:
        """Every name that can be told to a client, and where it leads: found out once, since there may be thousands."""
        if self._listed is None:
            self._listed = tuple((name, self._catalogue.routes(name)) for name in self._catalogue.listed())
        return self._listed

    def _serve(self, route: Route, today: int) -> Served:
        offer = route.offer
        return Served(
            route=route,
            provider=self._providers[offer.id],
            price=self._price(offer, route.model, today),
            circuit=CircuitKey(self._tenant_id, offer.id, route.model, offer.kind),
            window=self._windows.get(offer.id, {}).get(route.model) or self._prices.window(offer.kind, route.model),
        )

    def _price(self, offer: Offer, model: str, today: int) -> Price | None:
        """What calls are charged, once it is noted which version of it that is; None if nobody knows."""
        own = self._overrides.get(offer.id, {}).get(model)
        if own is None:
            quote = self._prices.price(offer.kind, model, _EPOCH + timedelta(days=today))
        else:
            quote = Quote(kind=offer.kind, model=model, source=OVERRIDE, price=own)
        if quote is None or quote.price is FREE:
            return None if quote is None else quote.price
        version = version_of(self._tenant_id, quote)
        self._prices.note(version)
        return version.quote.price


@final
class Serving:
    """Finds a project's models, and keeps them while nothing changes."""

    def __init__(
        self,
        lookup: ServingLookup,
        epoch: Epoch,
        *,
        connect: Connect,
        prices: PriceList,
        now_ns: Callable[[], int],
    ) -> None:
        """`connect` makes the speaker for a stored provider, for None the built-in echo; `now_ns` is Unix time."""
        self._lookup = lookup
        self._connect = connect
        self._prices = prices
        self._now_ns = now_ns
        self._agents: Remembered[tuple[TenantId, ProjectId, AgentId, int], CalledAgent | None] = Remembered(
            self._read_agent, epoch, capacity=_AGENTS_KEPT
        )
        self._projects: Remembered[tuple[TenantId, ProjectId], ProjectModels] = Remembered(
            self._read, epoch, capacity=_PROJECTS_KEPT
        )

    async def of(self, tenant_id: TenantId, project_id: ProjectId) -> ProjectModels:
        """The models of a project; raises `Unavailable`."""
        return await self._projects.get((tenant_id, project_id))

    def still_of(self, models: ProjectModels, tenant_id: TenantId, project_id: ProjectId) -> bool:
        """Whether these are a project's models, and may be believed."""
        return self._projects.at_hand((tenant_id, project_id)) is models

    async def agent(self, tenant_id: TenantId, project_id: ProjectId, listed: ListedAgent) -> CalledAgent | None:
        """What an agent of a project says; None if it was removed a moment ago. Raises `Unavailable`."""
        return await self._agents.get((tenant_id, project_id, listed.id, listed.version))

    def today(self) -> int:
        """The day, in days since the epoch, UTC."""
        return self._now_ns() // DAY

    async def _read_agent(self, key: tuple[TenantId, ProjectId, AgentId, int]) -> CalledAgent | None:
        spec = await self._lookup.find_agent(*key)
        return None if spec is None else CalledAgent(key[2], key[3], spec)

    async def _read(self, key: tuple[TenantId, ProjectId]) -> ProjectModels:
        stored, aliases, agents = await self._lookup.find(*key)
        offers: list[Offer] = []
        providers: dict[ProviderId | None, ModelProvider] = {None: self._connect(None)}
        overrides: dict[ProviderId | None, Mapping[str, Price]] = {}
        windows: dict[ProviderId | None, Mapping[str, int]] = {}
        for entry in stored:
            offers.append(entry.offer)
            providers[entry.offer.id] = self._connect(entry)
            overrides[entry.offer.id] = entry.prices
            windows[entry.offer.id] = entry.windows
        return ProjectModels(
            key[0],
            Catalogue(offers, aliases),
            providers,
            overrides,
            windows,
            self._prices,
            agents,
        )
