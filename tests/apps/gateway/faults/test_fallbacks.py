"""An alias with fallbacks: who is asked, in which order, for whom, and what the row says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.apps.gateway.doors.cases import CASES
from tests.serving import ASK, Caller, Site, error_of, events_of
from tests.upstream import Behaviour, Ending, Upstream, Usage, scripts

BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
PRICES = {
    "first": {"input_usd_per_million": "1", "output_usd_per_million": "1"},
    "second": {"input_usd_per_million": "100", "output_usd_per_million": "100"},
}


@pytest.fixture
def other() -> Iterator[Upstream]:
    """A second provider."""
    with Upstream() as upstream:
        yield upstream


def project(site: Site, other: Upstream, **fields: Any) -> Caller:
    """A project whose `fast` is the model `first` of one provider, then `second` of another."""
    aliases = fields.pop("aliases", {"fast": ["up/first", "spare/second"]})
    kind = fields.pop("spare", "openai")
    caller = site.project(aliases=aliases, provider={"prices": PRICES, **fields.pop("provider", {})}, **fields)
    site.admin.provider(caller.id, name="spare", base_url=other.base_url, prices=PRICES, kind=kind)
    return caller


def fast(caller: Caller, **fields: object) -> Any:
    return caller.chat(model="fast", **fields)


def served(caller: Caller) -> tuple[str, str]:
    """Who served the one call, as its row says."""
    row = caller.row()
    return row["provider"], row["model"]


@BOTH
@pytest.mark.parametrize(
    "trouble",
    [
        scripts.reset(), scripts.close(), scripts.stall(), scripts.not_http(), scripts.redirect("http://x/"),
        scripts.error(500), scripts.error(529), scripts.error(429), scripts.error(401), scripts.error(404),
    ],
    ids=["reset", "closed", "silence", "no HTTP", "redirect", "500", "529", "429", "401", "404"],
)  # fmt: skip
def test_the_next_one_is_asked_when_no_answer_begins(
    site: Site, upstream: Upstream, other: Upstream, trouble: Behaviour, stream: bool
) -> None:
    caller = project(site, other)
    upstream.on("first", trouble)
    other.on("second", Behaviour(usage=Usage(prompt=10, completion=10)))
    answer = fast(caller, stream=stream)
    assert answer.status_code == 200, answer.text
    assert not stream or events_of(answer.content)[-1] == "[DONE]"
    assert [record.model for record in (*upstream.requests, *other.requests)] == ["first", "second"]
    row = caller.row()
    assert (row["provider"], row["model"], row["status"]) == ("spare", "second", 200)
    assert (row["outcome"], row["usage_source"]) == (Outcome.COMPLETED, UsageSource.REPORTED)
    assert row["cost_nano"] == 20 * 100_000


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_that_is_wrong_goes_to_nobody_else(
    site: Site, upstream: Upstream, other: Upstream, status: int
) -> None:
    caller = project(site, other)
    upstream.on("first", scripts.error(status, "Because."))
    assert error_of(fast(caller)) == (status, "provider_error")
    assert other.requests == []
    assert served(caller) == ("up", "first")


@pytest.mark.parametrize(
    "trouble",
    [scripts.garbage(), scripts.error_in_200(), scripts.truncated_json(), scripts.reset(0.5), Behaviour(status=204)],
    ids=["garbage", "error in 200", "half", "reset", "204"],
)
def test_nobody_else_is_asked_once_an_answer_has_begun(
    site: Site, upstream: Upstream, other: Upstream, trouble: Behaviour
) -> None:
    caller = project(site, other)
    upstream.on("first", trouble)
    assert error_of(fast(caller)) == (502, "provider_error")
    assert other.requests == []
    assert served(caller) == ("up", "first")


def test_a_stream_that_broke_after_its_head_goes_to_nobody_else(
    site: Site, upstream: Upstream, other: Upstream
) -> None:
    caller = project(site, other)
    upstream.on("first", Behaviour(gap=0.02, ending=Ending.RESET, after=2))
    assert "error" in events_of(fast(caller, stream=True).content)[-1]
    assert other.requests == []


def test_the_last_refusal_is_what_the_client_is_told(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other)
    upstream.on("first", scripts.error(503, "first"))
    other.on("second", scripts.error(429, "second", retry_after=9))
    answer = fast(caller)
    assert error_of(answer) == (429, "provider_error")
    assert (answer.json()["error"]["message"], answer.headers["retry-after"]) == ("second", "9")
    row = caller.row()
    assert (row["provider"], row["model"], row["status"]) == ("spare", "second", 429)
    assert (row["outcome"], row["usage_source"]) == (Outcome.PROVIDER_ERROR, UsageSource.NOTHING)


def test_the_row_says_nothing_of_a_status_that_another_provider_gave(
    site: Site, upstream: Upstream, other: Upstream
) -> None:
    caller = project(site, other)
    upstream.on("first", scripts.error(503))
    other.on("second", scripts.reset())
    assert error_of(fast(caller)) == (502, "provider_error")
    assert caller.row()["status"] is None


def test_a_provider_that_may_be_at_work_is_asked_by_no_other_model(
    site: Site, upstream: Upstream, other: Upstream
) -> None:
    caller = project(site, other, aliases={"fast": ["up/first", "up/third", "spare/second"]})
    upstream.on("first", scripts.reset())
    assert fast(caller).status_code == 200
    assert [record.model for record in upstream.requests] == ["first"]
    assert served(caller) == ("spare", "second")


def test_a_provider_that_refused_may_be_asked_by_another_model(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other, aliases={"fast": ["up/first", "up/third"]})
    upstream.on("first", scripts.error(503))
    assert fast(caller).status_code == 200
    assert served(caller) == ("up", "third")


def test_a_key_reaches_no_fallback_that_it_may_not_call(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other, key={"models": ["up/*"]})
    upstream.on("first", scripts.error(503))
    assert error_of(fast(caller)) == (503, "provider_error")
    assert other.requests == []


def test_a_key_that_may_call_the_fallback_alone_is_served_by_it(
    site: Site, upstream: Upstream, other: Upstream
) -> None:
    caller = project(site, other, key={"models": ["spare/*"]})
    assert fast(caller).status_code == 200
    assert upstream.requests == []
    assert served(caller) == ("spare", "second")


def test_a_key_for_the_alias_may_call_all_that_it_stands_for(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other, key={"models": ["fast"]})
    upstream.on("first", scripts.error(503))
    assert fast(caller).status_code == 200
    assert error_of(caller.chat(model="spare/second")) == (403, "model_not_allowed")


def test_a_key_that_may_call_none_of_them_is_refused(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other, key={"models": ["elsewhere/*"]})
    assert error_of(fast(caller)) == (403, "model_not_allowed")
    caller.assert_untouched()
    assert (upstream.requests, other.requests) == ([], [])


def test_who_has_no_such_door_is_passed_over(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other, spare="anthropic")
    case = CASES["/messages"]
    other.on("/v1/messages", case.behaviour)
    answer = caller.ask("POST", "/v1/messages", json={"model": "fast", **case.fields}, headers=case.headers)
    assert answer.status_code == 200
    assert (upstream.requests, len(other.requests)) == ([], 1)
    assert served(caller) == ("spare", "second")
    upstream.on("/v1/embeddings", scripts.error(503))
    assert caller.ask("POST", "/v1/embeddings", json={"model": "fast", "input": "x"}).status_code == 503
    assert len(other.requests) == 1


def test_the_built_in_echo_can_be_the_last_one(site: Site, upstream: Upstream, other: Upstream) -> None:
    caller = project(site, other, aliases={"fast": ["up/first", "echo"]})
    upstream.on("first", scripts.reset())
    assert "echo" in fast(caller).text
    assert served(caller) == ("echo", "echo")


def test_no_more_than_the_total_time_is_spent_on_all_of_them(site: Site, upstream: Upstream, other: Upstream) -> None:
    aliases = {"fast": [f"{name}/{name}" for name in ("up", "spare", "third", "fourth")]}
    caller = project(site, other, aliases=aliases)
    upstream.otherwise(scripts.stall())
    other.otherwise(scripts.stall())
    for name in ("third", "fourth"):
        site.admin.provider(caller.id, name=name, base_url=other.base_url)
    assert error_of(fast(caller)) == (504, "provider_timeout")
    assert caller.row()["latency_ms"] < 4_500
    assert len(upstream.requests) + len(other.requests) == 3


def test_a_fallback_is_asked_for_its_own_name_and_otherwise_the_same(
    site: Site, upstream: Upstream, other: Upstream
) -> None:
    caller = project(site, other)
    upstream.on("first", scripts.error(500))
    assert fast(caller, temperature=0.5, headers={"x-end-user-id": "u"}).status_code == 200
    (one,), (two,) = upstream.requests, other.requests
    assert one.json | {"model": "second"} == two.json
    assert two.json["messages"] == ASK
