"""Which provider serves a name: the contract's rules, one line of a table each."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.ids import ProviderId
from bailiwick.domain.models import Catalogue, Offer, ProviderKind, Route

OPENAI, ANTHROPIC, GEMINI, ECHO, _ = ProviderKind


def offer(name: str, *models: str, kind: ProviderKind = OPENAI, shared: bool = False, number: int = 1) -> Offer:
    """A provider; without models it lists nothing and takes any name."""
    return Offer(id=ProviderId(UUID(int=number)), name=name, kind=kind, models=tuple(models) or None, shared=shared)


def served(route: Route | None) -> str | None:
    """Who serves, and what it is asked for."""
    return None if route is None else f"{route.offer.name}:{route.model}"


def resolved(name: str, *offers: Offer, aliases: Mapping[str, Sequence[str]] | None = None) -> str | None:
    return served(next(iter(Catalogue(offers, aliases or {}).routes(name)), None))


UP, OTHER = offer("up"), offer("other", number=2)
CLAUDE = offer("claude-account", kind=ANTHROPIC, number=3)
GOOGLE = offer("google", kind=GEMINI, number=4)
LISTING = offer("listing", "small", "up/large", "gpt-4o", number=5)


@pytest.mark.parametrize(
    ("name", "offers", "expected"),
    [
        # provider/name
        ("up/any", [UP, OTHER], "up:any"),
        ("other/any", [UP, OTHER], "other:any"),
        ("up/a/b", [UP, OTHER], "up:a/b"),
        ("listing/small", [UP, LISTING], "listing:small"),
        ("listing/unlisted", [UP, LISTING], None),
        ("up/", [UP, OTHER], None),
        ("/small", [UP, OTHER], None),
        ("UP/any", [UP, OTHER], None),
        # two providers of one name: the nearer one alone
        ("up/small", [offer("up", "small", number=8), UP], "up:small"),
        ("up/large", [offer("up", "small", number=8), UP], None),
        ("large", [offer("up", "small", number=8), UP], "up:large"),
        # a first segment that names no provider belongs to the model's name
        ("meta/llama", [UP], "up:meta/llama"),
        ("up/large", [LISTING], "listing:up/large"),
        ("up/large", [LISTING, UP], "up:large"),
        # bare: a provider that lists it
        ("small", [UP, LISTING], "listing:small"),
        ("gpt-4o", [UP, LISTING], "listing:gpt-4o"),
        ("small", [offer("first", "small"), LISTING], "first:small"),
        # bare: the provider whose kind has that family
        ("gpt-4o", [CLAUDE, UP, GOOGLE], "up:gpt-4o"),
        ("claude-sonnet-5", [UP, CLAUDE, GOOGLE], "claude-account:claude-sonnet-5"),
        ("gemini-3-pro", [UP, CLAUDE, GOOGLE], "google:gemini-3-pro"),
        ("o3-mini", [CLAUDE, UP], "up:o3-mini"),
        ("o1", [CLAUDE, UP], "up:o1"),
        ("o4-mini", [CLAUDE, UP], "up:o4-mini"),
        ("chatgpt-4o-latest", [CLAUDE, UP], "up:chatgpt-4o-latest"),
        ("gpt-4o", [UP, OTHER], "up:gpt-4o"),
        ("gpt-4o", [offer("listed", "gpt-5"), CLAUDE, UP], "up:gpt-4o"),
        ("GPT-4o", [CLAUDE, UP], None),
        # bare: the only provider that lists nothing
        ("llama", [UP], "up:llama"),
        ("llama", [LISTING, UP], "up:llama"),
        ("claude-sonnet-5", [UP], "up:claude-sonnet-5"),
        ("llama", [UP, OTHER], None),
        ("gpt-4o", [CLAUDE, GOOGLE], None),
        # nobody
        ("llama", [], None),
        ("llama", [LISTING], None),
        ("", [LISTING], None),
        # reserved names
        ("echo", [], "echo:echo"),
        ("echo/echo", [], "echo:echo"),
        ("echo", [UP], "echo:echo"),
        ("echo", [offer("listing", "echo")], "echo:echo"),
        ("echo/other", [UP], None),
        ("agent", [UP], None),
        ("agent/support", [UP], None),
        ("up/echo", [UP], "up:echo"),
    ],
)
def test_a_name_is_served_as_the_contract_says(name: str, offers: list[Offer], expected: str | None) -> None:
    assert resolved(name, *offers) == expected


@pytest.mark.parametrize(
    ("name", "aliases", "expected"),
    [
        ("fast", {"fast": ["up/small"]}, "up:small"),
        ("fast", {"fast": ["up/small", "other/small"]}, "up:small"),
        ("fast", {"fast": ["echo"]}, "echo:echo"),
        ("gpt-4o", {"gpt-4o": ["other/gpt-4o"]}, "other:gpt-4o"),
        ("up/small", {"up/small": ["other/large"]}, "other:large"),
        ("fast", {"fast": ["nobody-lists-this"]}, None),
        ("fast", {"fast": ["faster"], "faster": ["up/x"]}, None),
        ("fast", {"fast": ["fast"]}, None),
        ("Fast", {"fast": ["up/small"]}, None),
    ],
)
def test_an_alias_stands_for_its_first_model_and_for_no_other_alias(
    name: str, aliases: dict[str, list[str]], expected: str | None
) -> None:
    assert resolved(name, UP, OTHER, aliases=aliases) == expected


@pytest.mark.parametrize(
    ("name", "names"),
    [
        ("gpt-4o", {"up/gpt-4o", "gpt-4o"}),
        ("up/gpt-4o", {"up/gpt-4o", "gpt-4o"}),
        ("fast", {"other/small", "small", "fast"}),
        ("echo", {"echo/echo", "echo"}),
        # Each of these looks like a request for something else.
        ("up/other/gpt-4o", {"up/other/gpt-4o"}),
        ("up/fast", {"up/fast"}),
        ("up/vendor/large", {"up/vendor/large", "vendor/large"}),
        ("other/same", {"other/same", "same"}),
    ],
)
def test_a_permission_may_speak_of_a_route_by_these_names(name: str, names: set[str]) -> None:
    (route,) = Catalogue([UP, OTHER], {"fast": ["other/small"], "same": ["other/same"]}).routes(name)
    assert set(route.names) == names


def test_what_is_listed_is_listed_once_and_bare_where_that_suffices() -> None:
    offers = [UP, offer("near", "small", "large"), offer("far", "small", "up/x", "echo", number=2)]
    catalogue = Catalogue(offers, {"fast": ["near/small"]})
    assert list(catalogue.listed()) == ["fast", "small", "large", "far/small", "far/up/x", "far/echo", "echo"]


NAMES = st.sampled_from(["a", "b", "up", "gpt-4o", "claude-x", "a/b", "up/a", "b/a/c", "echo", "agent", "echo/echo"])
OFFERS = st.lists(
    st.builds(
        lambda name, models, kind, number: offer(name, *models, kind=kind, number=number),
        st.sampled_from(["up", "a", "b", "c"]),
        st.lists(NAMES, max_size=3, unique=True),
        st.sampled_from([OPENAI, ANTHROPIC]),
        st.integers(1, 9),
    ),
    max_size=4,
)
ALIASES = st.dictionaries(st.sampled_from(["a", "fast", "up/a"]), st.lists(NAMES, min_size=1, max_size=3), max_size=2)


def test_an_alias_leads_to_each_of_its_models_once_in_order() -> None:
    aliases = {"fast": ["up/small", "nobody/x", "other/small", "small", "gpt-4o"]}
    routes = Catalogue([LISTING, UP, OTHER], aliases | {"fast": [*aliases["fast"], "other/small"]}).routes("fast")
    assert [served(route) for route in routes] == ["up:small", "other:small", "listing:small", "listing:gpt-4o"]


@given(OFFERS, ALIASES)
def test_every_listed_name_can_be_asked_for(offers: list[Offer], aliases: dict[str, list[str]]) -> None:
    catalogue = Catalogue(offers, aliases)
    for name in catalogue.listed():
        assert catalogue.routes(name) or name in aliases


@given(OFFERS, ALIASES, NAMES)
def test_a_route_leads_only_to_a_provider_that_takes_the_model(
    offers: list[Offer], aliases: dict[str, list[str]], name: str
) -> None:
    for route in Catalogue(offers, aliases).routes(name):
        assert route.offer.accepts(route.model)
        # A permission for a name is for the nearest provider of that name.
        nearest = next((offer for offer in offers if offer.name == route.offer.name), route.offer)
        assert (f"{route.offer.name}/{route.model}" in route.names) == (nearest == route.offer)


def seconds_to_list(models: int) -> float:
    """What a process works to tell all names of a provider, and where they lead."""
    catalogue = Catalogue([offer("up", *(f"model-{number}" for number in range(models)))], {})
    began = time.process_time()
    assert sum(len(catalogue.routes(name)) for name in catalogue.listed()) == models + 1
    return time.process_time() - began


def test_ten_times_the_models_are_ten_times_the_work_and_not_a_hundred_times() -> None:
    seconds_to_list(100)
    few, many = (min(seconds_to_list(models) for _ in range(3)) for models in (300, 3000))
    assert many < 30 * few
