"""Which provider serves a name, and which names a key may use."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import pytest

from tests.serving import MODEL, Caller, Site, error_of, until
from tests.upstream import Upstream

Add = Callable[..., None]


def name_of(what: str) -> str:
    """A name that no other test uses."""
    return f"{what}-{secrets.token_hex(4)}"


@pytest.fixture
def platform(site: Site) -> Iterator[Add]:
    """Adds providers of the platform, gone after the test. They list their models: others would serve every test."""
    made: list[str] = []

    def add(name: str, key: str, models: list[str]) -> None:
        body = {"name": name, "kind": "openai", "base_url": site.upstream.base_url, "api_key": key, "models": models}
        made.append(site.admin.make("/providers", body)["id"])

    yield add
    for provider in made:
        assert site.admin.request("DELETE", f"/providers/{provider}").status_code == 204


def add_to(site: Site, place: str, name: str, key: str, **fields: object) -> None:
    body = {"name": name, "kind": "openai", "base_url": site.upstream.base_url, "api_key": key, **fields}
    site.admin.make(f"{place}/providers", body)


def served_by(upstream: Upstream, caller: Caller, model: str) -> str:
    """The key of the account that a model's call went to."""
    upstream.clear()
    assert caller.chat(model=model).status_code == 200
    (record,) = upstream.requests
    return str(record.header("authorization")).removeprefix("Bearer ")


def test_the_nearest_provider_serves(site: Site, upstream: Upstream, platform: Add) -> None:
    model, tenant = name_of("model"), site.admin.tenant()["id"]
    own, sibling = (site.project(tenant_id=tenant, provider={"base_url": None}) for _ in range(2))
    stranger = site.project(tenant_id=site.admin.tenant()["id"], provider={"base_url": None})
    platform(name_of("far"), "of-the-platform", [model])
    callers = (own, sibling, stranger)
    assert [served_by(upstream, caller, model) for caller in callers] == ["of-the-platform"] * 3
    add_to(site, f"/tenants/{tenant}", "near", "of-the-tenant", models=[model])
    until(lambda: served_by(upstream, own, model) == "of-the-tenant", patience=1.0)
    assert [served_by(upstream, caller, model) for caller in callers] == ["of-the-tenant"] * 2 + ["of-the-platform"]
    add_to(site, f"/projects/{own.id}", "nearest", "of-the-project", models=[model])
    until(lambda: served_by(upstream, own, model) == "of-the-project", patience=1.0)
    accounts = ["of-the-project", "of-the-tenant", "of-the-platform"]
    assert [served_by(upstream, caller, model) for caller in callers] == accounts


def test_the_oldest_of_equally_near_providers_serves(site: Site, upstream: Upstream) -> None:
    caller = site.project(provider={"base_url": None})
    for name in ("zz-first", "aa-second"):
        add_to(site, f"/projects/{caller.id}", name, name, models=[MODEL])
    assert served_by(upstream, caller, MODEL) == "zz-first"
    assert served_by(upstream, caller, f"aa-second/{MODEL}") == "aa-second"


def test_a_provider_that_lists_a_model_comes_before_one_that_takes_any(site: Site, upstream: Upstream) -> None:
    caller = site.project(provider={"base_url": None})
    add_to(site, f"/projects/{caller.id}", "any", "any")
    add_to(site, f"/projects/{caller.id}", "listing", "listing", models=["one"])
    assert served_by(upstream, caller, "one") == "listing"
    assert served_by(upstream, caller, "two") == "any"
    assert served_by(upstream, caller, "no/such/provider") == "any"
    assert upstream.requests[0].json["model"] == "no/such/provider"


def test_nobody_is_guessed_between_two_that_take_any(site: Site, upstream: Upstream) -> None:
    caller = site.project(provider={"base_url": None})
    add_to(site, f"/projects/{caller.id}", "one", "one")
    add_to(site, f"/projects/{caller.id}", "two", "two")
    assert error_of(caller.chat(model="something")) == (404, "model_not_found")
    assert served_by(upstream, caller, "gpt-something") == "one"
    assert served_by(upstream, caller, "two/something") == "two"


def test_a_provider_that_lists_models_serves_no_other(site: Site) -> None:
    caller = site.project(provider={"models": [MODEL]})
    for model in ("gpt-4o", "up/gpt-4o", "absent/gpt-4o-mini", f"up/up/{MODEL}", f"UP/{MODEL}", MODEL.upper(),
                  f" {MODEL}", f"{MODEL} ", "up/", "/", f"/{MODEL}", "echo/x", "ECHO", "agent/x"):  # fmt: skip
        answer = caller.chat(model=model)
        assert error_of(answer) == (404, "model_not_found"), model
        assert answer.json()["error"]["param"] == "model"
    caller.assert_untouched()


def test_the_model_of_a_foreign_provider_and_one_that_nobody_has_are_answered_alike(site: Site) -> None:
    foreign = site.project(tenant_id=site.admin.tenant()["id"], provider={"name": "theirs", "models": ["secret-model"]},
                           aliases={"secret-alias": ["theirs/secret-model"]})  # fmt: skip
    assert foreign.chat(model="theirs/secret-model").status_code == 200
    caller = site.project(tenant_id=site.admin.tenant()["id"], provider={"models": [MODEL]})
    for name in ("secret-model", "theirs/secret-model", "secret-alias"):
        unknown = name.replace("secret", "absent").replace("theirs", "nobody")
        told = [caller.chat(model=model).text.replace(model, "M") for model in (name, unknown)]
        assert told[0] == told[1]


def test_an_alias_is_another_name_within_its_project(site: Site, upstream: Upstream) -> None:
    caller = site.project(aliases={"fast": [f"up/{MODEL}"], "free": ["echo"], "gpt-4o": [MODEL], "gone": ["up2/x"]})
    assert served_by(upstream, caller, "fast")
    assert upstream.requests[0].json["model"] == MODEL
    assert served_by(upstream, caller, "gpt-4o")
    assert upstream.requests[0].json["model"] == MODEL
    assert caller.chat(model="free").json()["model"] == "echo"
    assert [row["model"] for row in caller.rows] == [MODEL, MODEL, "echo"]
    other = site.project(provider={"models": [MODEL]})
    assert error_of(other.chat(model="fast")) == (404, "model_not_found")


GLOBS = [
    (["gpt-4o"], {"gpt-4o": 200, "up/gpt-4o": 200, "gpt-4o-mini": 403, "best": 200, "echo": 403}),
    (["gpt-4o*"], {"gpt-4o": 200, "gpt-4o-mini": 200, "up/gpt-4o-mini": 200, "o3": 403, "echo": 403}),
    (["up/*"], {"gpt-4o": 200, "o3": 200, "best": 200, "echo": 403}),
    (["best"], {"best": 200, "gpt-4o": 403, "up/gpt-4o": 403}),
    (["echo"], {"echo": 200, "echo/echo": 200, "gpt-4o": 403}),
    (["*"], {"gpt-4o": 200, "echo": 200, "best": 200}),
    ([], {"gpt-4o": 403, "echo": 403, "best": 403}),
    (["GPT-4O"], {"gpt-4o": 403}),
    (["gpt-4?"], {"gpt-4o": 200, "gpt-4o-mini": 403}),
    (["gpt-[!4]*"], {"gpt-4o": 403}),
    (["*/gpt-4o"], {"gpt-4o": 200, "up/gpt-4o": 200, "gpt-4o-mini": 403}),
]


@pytest.mark.parametrize(("globs", "expected"), GLOBS)
def test_a_key_is_confined_to_its_models_by_whatever_name(
    site: Site, upstream: Upstream, globs: list[str], expected: dict[str, int]
) -> None:
    caller = site.project(
        key={"models": globs},
        provider={"models": ["gpt-4o", "gpt-4o-mini", "o3"]},
        aliases={"best": ["up/gpt-4o"]},
    )
    for model, status in expected.items():
        upstream.clear()
        answer = caller.chat(model=model)
        assert answer.status_code == status, model
        if status == 403:
            assert error_of(answer) == (403, "model_not_allowed")
            assert upstream.requests == []
    listed = {model["id"] for model in caller.ask("GET", "/v1/models").json()["data"]}
    assert {model for model in expected if "/" not in model and expected[model] == 200} <= listed
    assert not listed & {model for model in expected if expected[model] == 403}


@pytest.mark.parametrize(
    "trick", ["x/gpt-4o", "gpt-4o/x", "gpt-4o ", "Gpt-4o", "gpt-4o\u200b", "up//gpt-4o", "./gpt-4o"]
)
def test_no_spelling_reaches_a_model_that_the_key_does_not_name(site: Site, upstream: Upstream, trick: str) -> None:
    """The provider takes any name, so what is asked for is what the pattern must match."""
    caller = site.project(key={"models": ["gpt-4o"]})
    answer = caller.chat(model=trick)
    assert error_of(answer) in {(403, "model_not_allowed"), (400, "invalid_request")}
    caller.assert_untouched()


def test_what_a_call_costs_follows_the_providers_prices(site: Site) -> None:
    prices = {"mine": {"input_usd_per_million": "2.5", "output_usd_per_million": "10"}}
    caller = site.project(provider={"prices": prices})
    for model in ("mine", MODEL, "unknown-model"):
        assert caller.chat(model=model).status_code == 200
    costs = [row["cost_nano"] for row in caller.rows]
    assert costs == [11 * 2500 + 7 * 10_000, 11 * 150 + 7 * 600, None]
