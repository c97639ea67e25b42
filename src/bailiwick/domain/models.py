"""Which provider serves a model's name.

A name is `provider/name`, an alias of the project, or bare. Bare: a provider that lists it, else the provider whose
kind has that family (`gpt-*`, `claude-*`, …) and lists nothing, else the only provider that lists nothing, which
accepts any name. The project's providers come before the tenant's and the platform's, then the oldest; of several
with one name, only the first goes by it. A first segment that names no provider belongs to the model's name. `echo`
always exists, `agent` never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, final

from bailiwick.domain.ids import ProviderId

ECHO: Final = "echo"
RESERVED_NAMES: Final = frozenset({"agent", ECHO})


class ProviderKind(StrEnum):
    """The providers that we know how to speak to."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"
    GEMINI = "gemini"
    ECHO = "echo"
    MCP = "mcp"
    """No model: a project's tool server. Operators set none of this kind up as a provider."""

    # Enum's own is a Python function, and every call asks for it.
    __hash__ = str.__hash__


_FAMILIES: Final[tuple[tuple[str, ProviderKind], ...]] = (
    ("gpt-", ProviderKind.OPENAI),
    ("chatgpt-", ProviderKind.OPENAI),
    ("o1", ProviderKind.OPENAI),
    ("o3", ProviderKind.OPENAI),
    ("o4", ProviderKind.OPENAI),
    ("text-embedding-", ProviderKind.OPENAI),
    ("claude-", ProviderKind.ANTHROPIC),
    ("gemini-", ProviderKind.GEMINI),
)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One provider as a project sees it. `models` None: it lists nothing. `shared`: it is the platform's."""

    id: ProviderId | None
    name: str
    kind: ProviderKind
    models: tuple[str, ...] | None = field(hash=False)
    shared: bool
    listed: frozenset[str] = field(init=False, repr=False, compare=False)
    """The same models, to look one up: there may be a thousand."""

    def __post_init__(self) -> None:
        """Derive what is looked up."""
        object.__setattr__(self, "listed", frozenset(self.models or ()))

    def accepts(self, model: str) -> bool:
        """Whether this provider could serve a model of this name when asked for by its own name."""
        return self.models is None or model in self.listed


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What a name came to: the provider, and the model's name as that provider knows it.

    `names` are those by which a permission may speak of it.
    """

    offer: Offer
    model: str
    names: tuple[str, ...]


ECHO_OFFER: Final = Offer(id=None, name=ECHO, kind=ProviderKind.ECHO, models=(ECHO,), shared=True)


@final
class Catalogue:
    """A project's providers, in order of precedence, and its aliases."""

    __slots__ = ("_aliases", "_listing", "_named", "_offers", "_open")

    def __init__(self, offers: Sequence[Offer], aliases: Mapping[str, Sequence[str]]) -> None:
        """`offers`: project before tenant before platform, then the oldest."""
        self._offers = tuple(offers)
        self._aliases = aliases
        self._open = tuple(offer for offer in offers if offer.models is None)
        self._named: dict[str, Offer] = {}
        self._listing: dict[str, Offer] = {}
        for offer in offers:
            self._named.setdefault(offer.name, offer)
            for model in offer.models or ():
                self._listing.setdefault(model, offer)

    def routes(self, name: str) -> tuple[Route, ...]:
        """Find who serves `name`, in the order in which they are to be asked: each once, empty if nobody does."""
        targets = self._aliases.get(name)
        found = dict.fromkeys(map(self._find, targets or (name,)))
        return tuple(self._route(name if targets else None, *way) for way in found if way is not None)

    def _route(self, alias: str | None, offer: Offer, model: str) -> Route:
        # A provider behind another of its name has only its models' own names.
        full = f"{offer.name}/{model}"
        names = [full] if self._find(full) == (offer, model) else []
        if not self._means_another(model, (offer, model)):
            names.append(model)
        if alias is not None:
            names.append(alias)
        return Route(offer=offer, model=model, names=tuple(names))

    def listed(self) -> Iterator[str]:
        """Every name that can be told to a client: aliases, listed models (bare where that suffices), `echo`."""
        seen: set[str] = set()
        for name in (*self._aliases, *self._listed_models(), ECHO):
            if name not in seen:
                seen.add(name)
                yield name

    def _listed_models(self) -> Iterator[str]:
        for offer in self._offers:
            for model in offer.models or ():
                routes = self.routes(model)
                bare = bool(routes) and routes[0].offer is offer and routes[0].model == model
                full = f"{offer.name}/{model}"
                if bare or self._find(full) == (offer, model):
                    yield model if bare else full

    def _find(self, name: str) -> tuple[Offer, str] | None:
        """The provider that serves a name which is no alias, and the model's name there."""
        first, slash, rest = name.partition("/")
        if first in RESERVED_NAMES:
            return (ECHO_OFFER, ECHO) if name in {ECHO, f"{ECHO}/{ECHO}"} else None
        # The nearest alone: a name must not lead to another's account because one's own does not have the model.
        named = self._named.get(first)
        if slash and rest and named is not None:
            return (named, rest) if named.accepts(rest) else None
        offer = self._bare(name)
        return None if offer is None else (offer, name)

    def _means_another(self, model: str, found: tuple[Offer, str]) -> bool:
        """Whether a model's own name, taken as a request, names another: then no permission for it is one for this.

        A key for `openai/*` may not reach `router/openai/gpt-4o`, nor a key for an alias a model with the same name.
        """
        if targets := self._aliases.get(model):
            return self._find(targets[0]) != found
        first, slash, _ = model.partition("/")
        if first in RESERVED_NAMES:
            return found[0] is not ECHO_OFFER
        return bool(slash) and first in self._named

    def _bare(self, model: str) -> Offer | None:
        if (listing := self._listing.get(model)) is not None:
            return listing
        family = next((kind for prefix, kind in _FAMILIES if model.startswith(prefix)), None)
        if family is not None:
            for offer in self._open:
                if offer.kind is family:
                    return offer
        return self._open[0] if len(self._open) == 1 else None
