"""Each row of the ledger comes to its own cost again, by its tokens of each kind and the price that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from bailiwick.domain.pricing import price_of
from bailiwick.domain.usage import TokenUsage
from tests.apps.gateway.budgets import a_budget
from tests.serving import ASK, MODEL, Caller, Site, error_of, until
from tests.upstream import Behaviour, Upstream, scripts
from tests.upstream.payloads import encoded

OWN: Final = {"gpt-own": {"input_usd_per_million": "1.000000001", "output_usd_per_million": "0.3"}}
# What a provider reports, of each kind of token; 1-hour writes are reported by another form.
REPORTS: Final[tuple[dict[str, object], ...]] = (
    {},
    {"prompt_tokens_details": {"cached_tokens": 401}},
    {"prompt_tokens_details": {"cached_tokens": 200, "cache_write_tokens": 301}},
    {"completion_tokens_details": {"reasoning_tokens": 77}},
    {"prompt_tokens_details": {"audio_tokens": 303}, "completion_tokens_details": {"audio_tokens": 33}},
    {"prompt_tokens_details": {"image_tokens": 205}, "completion_tokens_details": {"image_tokens": 31}},
)
TALL: Final = {"input_tokens": 200_100, "output_tokens": 90, "cache_read_input_tokens": 17,
               "cache_creation_input_tokens": 400, "cache_creation": {"ephemeral_1h_input_tokens": 150}}  # fmt: skip


def again(site: Site, row: Mapping[str, Any]) -> int | None:
    """What a row costs by the version that it names, None if it names none."""
    if row["price"] is None:
        return None
    if row["price"] == 0:
        return 0
    query = "SELECT rates FROM bailiwick.price_versions WHERE id = %s"
    kept = site.database.execute(query, (row["price"],)).fetchone()
    assert kept is not None, "a row names a version that nobody kept"
    usage = TokenUsage(**{kind: row[kind] or 0 for kind in TokenUsage._fields})
    return price_of(kept["rates"], row["price"]).cost(usage)


def assert_each_comes_to_its_cost(caller: Caller, calls: int) -> None:
    until(lambda: len(caller.rows) == calls)
    for row in caller.rows:
        assert (row["cost_nano"], row["price"]) == (again(caller.site, row), row["price"]), row


def report(model: str, upstream: Upstream, said: Mapping[str, object]) -> None:
    usage = {"prompt_tokens": 1003, "completion_tokens": 101, **said}
    upstream.on(model, Behaviour(usage=usage))


def test_rows_of_every_kind_of_token_come_to_their_cost_again(site: Site, upstream: Upstream) -> None:
    caller = site.project(provider={"prices": OWN}, aliases={"fast": ["up/broken", "up/gpt-realtime"]})
    upstream.on("broken", scripts.error(500))
    calls = 0
    for model in ("gpt-realtime", "gpt-image-1.5", "gpt-own", MODEL):
        for said in REPORTS:
            report(model, upstream, said)
            assert caller.chat(model=model).status_code == 200
            calls += 1
    for model in ("fast", "echo"):
        assert caller.chat(model=model).status_code == 200
        calls += 1
    upstream.on(MODEL, scripts.error(500))
    assert error_of(caller.chat()) == (500, "provider_error")
    assert_each_comes_to_its_cost(caller, calls + 1)
    kinds = {kind for row in caller.rows for kind in TokenUsage._fields if row[kind]}
    assert kinds == set(TokenUsage._fields) - {"cache_write_1h_tokens"}


def test_what_was_written_to_a_cache_for_an_hour_comes_to_its_cost_again(site: Site, upstream: Upstream) -> None:
    caller = site.project(provider={"base_url": None})
    site.admin.provider(caller.id, name="claudes", kind="anthropic", base_url=upstream.base_url)
    answer = {"id": "m", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": [],
              "stop_reason": "end_turn", "stop_sequence": None}  # fmt: skip
    ask = {"model": "claude-sonnet-4-5", "max_tokens": 9, "messages": ASK}
    for size in (200_100, 40):
        upstream.on("/v1/messages", Behaviour(body=encoded({**answer, "usage": {**TALL, "input_tokens": size}})))
        assert caller.ask("POST", "/v1/messages", json=ask).status_code == 200
    assert_each_comes_to_its_cost(caller, 2)
    assert [row["cache_write_1h_tokens"] for row in caller.rows] == [150, 150]


def test_rows_before_and_after_a_change_of_price_keep_their_own(site: Site) -> None:
    caller = site.project(provider={"prices": {MODEL: {"input_usd_per_million": 1, "output_usd_per_million": 1}}})
    (provider,) = site.admin.request("GET", f"/projects/{caller.id}/providers").json()["data"]
    assert caller.chat().status_code == 200
    prices = {MODEL: {"input_usd_per_million": "7", "output_usd_per_million": "7"}}
    site.admin.change(f"/projects/{caller.id}/providers/{provider['id']}", {"prices": prices})
    until(lambda: caller.chat().status_code == 200 and caller.rows[-1]["cost_nano"] == 18 * 7000)
    assert caller.rows[0]["cost_nano"] == 18 * 1000
    assert_each_comes_to_its_cost(caller, len(caller.rows))
    assert len({row["price"] for row in caller.rows}) == 2


def test_calls_under_budgets_name_their_version_too(site: Site, upstream: Upstream) -> None:
    caller = site.project(aliases={"fast": ["up/broken-4o", MODEL]}, provider={"prices": {
        "broken-4o": {"input_usd_per_million": "2", "output_usd_per_million": "2"},
    }})  # fmt: skip
    a_budget(caller, 10**12)
    upstream.on("broken-4o", scripts.error(500))
    for model in (MODEL, "fast", "echo"):
        assert caller.chat(model=model).status_code == 200
    assert_each_comes_to_its_cost(caller, 3)
    assert [row["model"] for row in caller.rows] == [MODEL, MODEL, "echo"]
    assert [row["price"] == 0 for row in caller.rows] == [False, False, True]


def test_a_call_to_a_model_without_a_price_names_none(site: Site) -> None:
    caller = site.project()
    assert caller.chat(model="nobody-knows").status_code == 200
    row = caller.row()
    assert (row["cost_nano"], row["price"]) == (None, None)
