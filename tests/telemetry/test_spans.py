"""Spans of a running installation, as a collector gets them."""

from __future__ import annotations

import time
from typing import Any, Final

import pytest

from bailiwick.services.doors import DOORS
from bailiwick.telemetry.traces import OPERATIONS
from tests.apps.gateway.doors.cases import BY_PATH, CASES, project
from tests.architecture.markdown import DOCS, code, table
from tests.patience import process_lag
from tests.serving import ASK, MODEL, Site, until
from tests.telemetry.collector import Collector, Seen
from tests.upstream import Behaviour

CHAT: Final = "/v1/chat/completions"
TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT: Final = "00f067aa0ba902b7"


def spans_of(collector: Collector, answer: Any) -> tuple[Seen, Seen]:
    """The two spans of a call that went to a provider."""
    request_id = answer.headers["x-request-id"]
    until(lambda: (found := collector.of(request_id)) is not None and found[1] is not None)
    server, call = collector.of(request_id) or (None, None)
    assert server is not None
    assert call is not None
    return server, call


def request_span(collector: Collector, answer: Any) -> Seen:
    """The span of a request that went to nobody."""
    request_id = answer.headers["x-request-id"]
    until(lambda: collector.of(request_id) is not None)
    server, call = collector.of(request_id) or (None, None)
    assert server is not None
    assert call is None
    return server


def test_every_door_has_an_operation() -> None:
    assert set(OPERATIONS) == {f"/v1{door.path}" for door in DOORS}


@pytest.mark.parametrize("path", CASES)
def test_a_call_at_any_door_is_two_spans(traced: Site, collector: Collector, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(traced, door)
    traced.upstream.on(f"/v1{path}", case.behaviour)
    before = time.time_ns()
    answer = case.ask(door, caller)
    server, call = spans_of(collector, answer)
    assert (server.name, server.kind, server.parent, server.failed) == (f"POST /v1{path}", "server", "", False)
    assert server.attributes == {
        "http.request.method": "POST",
        "http.route": f"/v1{path}",
        "http.response.status_code": 200,
        "bailiwick.request.id": answer.headers["x-request-id"],
        "bailiwick.tenant.id": caller.project["tenant_id"],
        "bailiwick.project.id": caller.id,
    }
    operation = OPERATIONS[f"/v1{path}"]
    assert (call.name, call.kind, call.trace, call.failed) == (f"{operation} a-model", "client", server.trace, False)
    row = caller.row()
    expected = {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": "anthropic" if "messages" in path else "openai",
        "gen_ai.request.model": "a-model",
        "gen_ai.request.stream": False,
        "gen_ai.usage.input_tokens": case.counted[0],
        "gen_ai.usage.output_tokens": case.counted[1],
        "gen_ai.usage.cache_read.input_tokens": row["cached_tokens"],
        "gen_ai.usage.reasoning.output_tokens": row["reasoning_tokens"],
        "bailiwick.usage.source": ("reported", "estimated", "nothing")[case.source],
        "http.response.status_code": 200,
    }
    assert {name: call.attributes[name] for name in expected} == expected
    assert before <= server.began <= call.began < call.ended <= server.ended + 1_000_000 <= time.time_ns() + 1_000_000


def test_the_service_is_named_as_the_environment_says(traced: Site, collector: Collector) -> None:
    server, _ = spans_of(collector, traced.project().chat(model="echo"))
    assert server.resource["service.name"] == "a-gateway"
    assert server.resource["service.version"] == "0.1.0"
    assert server.resource["deployment.environment.name"] == "test"
    assert collector.paths == {"/v1/traces"}


def test_a_stream_says_when_it_began_and_what_it_cost(traced: Site, collector: Collector) -> None:
    prices = {MODEL: {"input_usd_per_million": "1000000", "output_usd_per_million": "1000000"}}
    caller = traced.project(provider={"prices": prices})
    _, call = spans_of(collector, caller.chat(stream=True))
    assert call.attributes["gen_ai.request.stream"] is True
    assert 0 <= call.attributes["gen_ai.response.time_to_first_chunk"] < 1
    assert call.attributes["bailiwick.cost.usd"] == pytest.approx(caller.row()["cost_nano"] / 1e9)


def test_a_call_as_an_agent_names_it(traced: Site, collector: Collector) -> None:
    caller = traced.project()
    agent = traced.admin.make(f"/projects/{caller.id}/agents", {"name": "support", "model": "echo"})
    until(lambda: caller.chat(model="agent/support").status_code == 200)
    _, call = spans_of(collector, caller.chat(model="agent/support"))
    named = {name: value for name, value in call.attributes.items() if name.startswith("gen_ai.agent.")}
    assert named == {"gen_ai.agent.id": agent["id"], "gen_ai.agent.name": "support"}
    _, plain = spans_of(collector, caller.chat(model="echo"))
    assert not [name for name in plain.attributes if name.startswith("gen_ai.agent.")]


def test_a_callers_trace_goes_on(traced: Site, collector: Collector) -> None:
    answer = traced.project().chat(model="echo", headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    server, call = spans_of(collector, answer)
    assert (server.trace, server.parent, call.trace, call.parent) == (TRACE, PARENT, TRACE, server.id)


@pytest.mark.parametrize(
    "sent",
    [
        [f"00-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01"],
        [""],
        [f"00-{TRACE}-{PARENT}"],
        [f"00-{TRACE.upper()}-{PARENT}-01"],
        [f"ff-{TRACE}-{PARENT}-01"],
        [f"00-{'0' * 32}-{PARENT}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        ["é" * 100],
        ["0" * 20_000],
    ],
)
def test_a_traceparent_that_is_none_begins_a_trace_of_its_own(
    traced: Site, collector: Collector, sent: list[str]
) -> None:
    caller = traced.project()
    headers = [("traceparent", value.encode("latin-1")) for value in sent]
    answer = caller.chat(model="echo", headers=headers)
    assert answer.status_code == 200
    server, _ = spans_of(collector, answer)
    assert server.parent == ""
    assert server.trace != TRACE


def test_what_the_caller_does_not_sample_is_not_sent(traced: Site, collector: Collector) -> None:
    caller = traced.project()
    unsampled = caller.chat(model="echo", headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
    spans_of(collector, caller.chat(model="echo"))
    assert collector.of(unsampled.headers["x-request-id"]) is None


def test_the_provider_learns_of_the_trace_where_that_is_wanted(traced: Site, collector: Collector) -> None:
    answer = traced.project().chat()
    _, call = spans_of(collector, answer)
    (seen,) = traced.upstream.requests
    # Sampled, and of random ids or not (W3C Trace Context, level 2).
    assert seen.header("traceparent") in {f"00-{call.trace}-{call.id}-{flags}" for flags in ("01", "03")}


def test_a_provider_learns_of_no_trace_otherwise(site: Site) -> None:
    site.project().chat(headers={"traceparent": f"00-{TRACE}-{PARENT}-01"})
    (seen,) = site.upstream.requests
    assert seen.header("traceparent") is None


@pytest.mark.parametrize(
    ("behaviour", "outcome", "status"),
    [
        (Behaviour(status=500, body=b"{}"), "provider_error", 500),
        (Behaviour(delay=3), "provider_timeout", 504),
        (Behaviour(body=b"garbage"), "provider_error", 502),
    ],
)
def test_a_failure_of_the_provider_is_one_of_both_spans(
    traced: Site, collector: Collector, behaviour: Behaviour, outcome: str, status: int
) -> None:
    caller = traced.project()
    traced.upstream.on(CHAT, behaviour)
    answer = caller.chat()
    assert answer.status_code == status
    server, call = spans_of(collector, answer)
    assert (call.failed, call.attributes["error.type"]) == (True, outcome)
    assert (server.failed, server.attributes["http.response.status_code"]) == (True, status)


def test_a_refusal_is_a_span_without_a_call_and_no_failure(traced: Site, collector: Collector) -> None:
    caller = traced.project()
    refused = request_span(collector, caller.chat(model="agent"))
    assert (refused.failed, refused.attributes["error.type"]) == (False, "model_not_found")
    assert refused.attributes["bailiwick.project.id"] == caller.id
    unknown = request_span(collector, traced.ask("POST", CHAT, json={}))
    assert unknown.attributes["error.type"] == "missing_credentials"
    assert "bailiwick.tenant.id" not in unknown.attributes


def test_a_client_that_hangs_up_ends_its_spans(traced: Site, collector: Collector) -> None:
    caller = traced.project()
    traced.upstream.on(CHAT, Behaviour(chunks=100, gap=0.2))
    body = {"model": MODEL, "messages": ASK, "stream": True}
    with traced.http.stream("POST", CHAT, headers=caller.bearer, json=body) as answer:
        next(answer.iter_bytes())
    server, call = spans_of(collector, answer)
    assert call.attributes["error.type"] == "client_gone"
    assert server.attributes["http.response.status_code"] == 200


def test_machines_addresses_and_those_that_do_not_exist_make_no_spans(traced: Site, collector: Collector) -> None:
    asked = [traced.ask("GET", path) for path in ("/healthz", "/metrics", "/v1/nothing", "/admin/v1/tenants")]
    spans_of(collector, traced.project().chat(model="echo"))
    assert [collector.of(answer.headers["x-request-id"]) for answer in asked] == [None] * 4


def test_every_attribute_is_documented_and_the_other_way_round(traced: Site, collector: Collector) -> None:
    prices = {MODEL: {"input_usd_per_million": "1", "output_usd_per_million": "1"}}
    caller = traced.project(provider={"prices": prices})
    found: dict[str, set[str]] = {"server": set(), "client": set()}
    traced.upstream.on(CHAT, Behaviour(), Behaviour(status=500, body=b"{}"))
    for _ in range(2):
        for span in spans_of(collector, caller.chat(stream=True)):
            found[span.kind] |= set(span.attributes)
    traced.admin.make(f"/projects/{caller.id}/agents", {"name": "support", "model": "echo"})
    until(lambda: caller.chat(model="agent/support").status_code == 200)
    for span in spans_of(collector, caller.chat(model="agent/support")):
        found[span.kind] |= set(span.attributes)
    documented: dict[str, set[str]] = {"server": set(), "client": set()}
    for name, kinds, _ in table(DOCS / "reference" / "traces.md", "attribute"):
        for kind in kinds.split(", "):
            documented[kind].add(code(name))
    assert documented == found


def test_a_collector_that_is_away_keeps_no_call_waiting_and_what_it_misses_is_counted(
    traced: Site, collector: Collector
) -> None:
    caller = traced.project()
    collector.takes = False
    try:
        dropped = counted(traced, "dropped")
        for _ in range(5):
            with process_lag() as lag:
                began = time.monotonic()
                assert caller.chat(model="echo").status_code == 200
                assert time.monotonic() - began < 1 + lag.seconds
        until(lambda: counted(traced, "dropped") >= dropped + 10)
    finally:
        collector.takes = True
    sent = counted(traced, "sent")
    spans_of(collector, caller.chat(model="echo"))
    until(lambda: counted(traced, "sent") >= sent + 2)
    until(lambda: "the collector takes spans again" in traced.installation.log)
    told = [line for line in traced.installation.log.splitlines() if "collector" in line]
    assert len([line for line in told if "does not take" in line]) == 1
    assert len([line for line in told if "takes spans again" in line]) == 1


def counted(site: Site, result: str) -> float:
    line = f'bailiwick_spans_total{{result="{result}"}} '
    (found,) = [each for each in site.ask("GET", "/metrics").text.splitlines() if each.startswith(line)]
    return float(found.removeprefix(line))
