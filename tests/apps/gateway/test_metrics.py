"""`/metrics`: who may read it, and that it counts what happened."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from bailiwick.domain.circuit import FAILURES
from tests.apps.gateway.doors.cases import BY_PATH, CASES, project
from tests.apps.gateway.wire import exchange, request
from tests.architecture.markdown import DOCS, code, table
from tests.serving import ASK, METRICS_READER, MODEL, STRANGER, TRUSTED_PROXY, Site, until
from tests.upstream import Behaviour, Upstream, scripts

CHAT: Final = "/v1/chat/completions"
Samples = Mapping[tuple[str, tuple[tuple[str, str], ...]], float]


def read(site: Site) -> str:
    answer = site.ask("GET", "/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


def samples(site: Site) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(read(site))
        for sample in family.samples
    }


def value(found: Samples, name: str, **labels: str) -> float:
    return found.get((name, tuple(sorted(labels.items()))), 0.0)


def grew(before: Samples, after: Samples, name: str, **labels: str) -> float:
    return value(after, name, **labels) - value(before, name, **labels)


def asked_from(site: Site, source: str, *headers: tuple[bytes, bytes], path: str = "/metrics") -> tuple[int, bytes]:
    answer = exchange(site.installation.port, request(path, headers), source=source)
    return answer.status, answer.body


def test_every_family_that_is_written_is_documented_and_the_other_way_round(site: Site) -> None:
    written = {line.split()[2] for line in read(site).splitlines() if line.startswith("# TYPE ")}
    page = DOCS / "reference" / "metrics.md"
    documented = {code(row[0]) for first in ("metric", "process metric") for row in table(page, first)}
    assert written == documented


@pytest.mark.parametrize("path", CASES)
def test_a_call_at_any_door_is_counted_with_what_it_used(site: Site, upstream: Upstream, path: str) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", case.behaviour)
    kind = "anthropic" if "messages" in path else "openai"
    of = {"door": f"/v1{path}", "provider": kind}
    before = samples(site)
    assert case.ask(door, caller).status_code == 200
    after = samples(site)
    assert grew(before, after, "bailiwick_responses_total", door=f"/v1{path}", status="2xx") == 1
    assert grew(before, after, "bailiwick_calls_total", outcome="completed", **of) == 1
    tokens = [grew(before, after, "bailiwick_tokens_total", kind=kind, **of) for kind in ("input", "output")]
    assert tuple(tokens) == case.counted
    for histogram in ("bailiwick_call_duration_seconds", "bailiwick_call_first_byte_seconds"):
        assert grew(before, after, f"{histogram}_count", **of) == 1
    for step in ("open", "settle"):
        assert grew(before, after, "bailiwick_ledger_batch_rows_sum", step=step) >= 1
        assert grew(before, after, "bailiwick_ledger_batch_duration_seconds_sum", step=step) > 0
    until(lambda: value(samples(site), "bailiwick_open_calls", door=f"/v1{path}") == 0)


def test_the_parts_of_tokens_and_the_cost_are_counted(site: Site, upstream: Upstream) -> None:
    prices = {"a-model": {"input_usd_per_million": "1000000", "output_usd_per_million": "1000000"}}
    caller = project(site, BY_PATH["/responses"], provider={"prices": prices})
    upstream.on("/v1/responses", CASES["/responses"].behaviour)
    of = {"door": "/v1/responses", "provider": "openai"}
    before = samples(site)
    assert CASES["/responses"].ask(BY_PATH["/responses"], caller).status_code == 200
    after = samples(site)
    assert grew(before, after, "bailiwick_tokens_total", kind="cached", **of) == 4
    assert grew(before, after, "bailiwick_tokens_total", kind="reasoning", **of) == 2
    row = caller.row()
    assert row["cost_nano"] > 0
    assert grew(before, after, "bailiwick_cost_usd_total", **of) == pytest.approx(row["cost_nano"] / 1e9)


def test_refusals_are_counted_by_code_and_reach_no_other_count(site: Site) -> None:
    caller = site.project(limits={"key": {"requests": 1, "per": "1h"}})
    caller.chat(model="echo")
    before = samples(site)
    assert [caller.chat(model="echo").status_code for _ in range(3)] == [429] * 3
    assert caller.chat(model="agent").status_code == 404
    assert site.ask("POST", CHAT, json={}).status_code == 401
    after = samples(site)
    codes = ("rate_limited", "model_not_found", "missing_credentials")
    assert [grew(before, after, "bailiwick_refusals_total", code=code) for code in codes] == [3, 1, 1]
    assert grew(before, after, "bailiwick_responses_total", door=CHAT, status="4xx") == 5
    assert grew(before, after, "bailiwick_calls_total", door=CHAT, provider="echo", outcome="completed") == 0


@pytest.mark.parametrize(
    ("behaviour", "outcome", "status"),
    [(Behaviour(status=500, body=b"{}"), "provider_error", "5xx"), (Behaviour(delay=5), "provider_timeout", "5xx")],
)
def test_failures_of_a_provider_are_counted_by_outcome(
    site: Site, upstream: Upstream, behaviour: Behaviour, outcome: str, status: str
) -> None:
    caller = site.project()
    upstream.on(CHAT, behaviour)
    before = samples(site)
    assert caller.chat().status_code >= 500
    after = samples(site)
    assert grew(before, after, "bailiwick_calls_total", door=CHAT, provider="openai", outcome=outcome) == 1
    assert grew(before, after, "bailiwick_responses_total", door=CHAT, status=status) == 1


def test_a_call_is_in_flight_until_it_is_settled_also_when_its_client_hangs_up(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    upstream.on(CHAT, Behaviour(chunks=100, gap=0.2))
    before = samples(site)
    with caller.site.http.stream(
        "POST", CHAT, headers=caller.bearer, json={"model": MODEL, "messages": ASK, "stream": True}
    ) as answer:
        next(answer.iter_bytes())
        during = samples(site)
        assert grew(before, during, "bailiwick_open_calls", door=CHAT) == 1
        assert value(during, "bailiwick_upstream_connections", state="busy") >= 1
    until(lambda: grew(before, samples(site), "bailiwick_open_calls", door=CHAT) == 0)
    of = {"door": CHAT, "provider": "openai", "outcome": "client_gone"}
    assert grew(before, samples(site), "bailiwick_calls_total", **of) == 1


def test_a_client_that_is_gone_before_an_answer_is_counted_as_none(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    upstream.on(CHAT, Behaviour(delay=0.9))
    before = samples(site)
    asking = threading.Thread(target=_hang_up, args=(site, caller.key))
    asking.start()
    until(lambda: grew(before, samples(site), "bailiwick_responses_total", door=CHAT, status="none") == 1)
    asking.join()


def _hang_up(site: Site, key: str) -> None:
    import socket  # noqa: PLC0415

    body = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
    raw = request(CHAT, [(b"authorization", b"Bearer " + key.encode())], method="POST", body=body)
    with socket.create_connection(("127.0.0.1", site.installation.port)) as connection:
        connection.sendall(raw)
        until(lambda: site.upstream.count > 0)


def test_addresses_that_do_not_exist_make_no_series_of_their_own(site: Site) -> None:
    site.ask("GET", "/v1/nothing")
    before = samples(site)
    for path in ("/v1/nothing-1", "/x/y", "/p/slug/v1/zzz", "/metricsx", "/healthz/x", "/", "/v1/%7Bevil%22%0A"):
        assert site.ask("GET", path).status_code == 404
    after = samples(site)
    assert grew(before, after, "bailiwick_responses_total", door="other", status="4xx") == 7
    assert {key for key in after if key not in before} == set()


def test_a_project_in_the_address_is_no_label(site: Site) -> None:
    caller = site.project()
    before = samples(site)
    assert caller.ask("GET", f"/p/{caller.project['slug']}/v1/me").status_code == 200
    assert grew(before, samples(site), "bailiwick_responses_total", door="/v1/me", status="2xx") == 1


def test_what_the_control_process_answers_is_counted_by_its_two_addresses(site: Site) -> None:
    before = samples(site)
    site.ask("GET", "/admin/v1/tenants/absent")
    site.ask("GET", "/admin/v1/whatever")
    site.ask("GET", "/dashboard/x")
    after = samples(site)
    assert grew(before, after, "bailiwick_responses_total", door="/admin", status="4xx") == 2
    assert grew(before, after, "bailiwick_responses_total", door="/dashboard", status="4xx") == 1


def test_machines_addresses_are_counted_as_themselves(site: Site) -> None:
    before = samples(site)
    site.ask("GET", "/healthz")
    site.ask("GET", "/readyz")
    after = samples(site)
    for door in ("/healthz", "/readyz", "/metrics"):
        assert grew(before, after, "bailiwick_responses_total", door=door, status="2xx") == 1


def test_other_methods_are_refused(site: Site) -> None:
    answer = site.ask("POST", "/metrics")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


FORWARDED: Final = [
    (b"x-forwarded-for", b"127.0.0.1"),
    (b"X-Forwarded-For", b""),
    (b"forwarded", b"for=127.0.0.1"),
    (b"x-real-ip", b"127.0.0.1"),
    (b"via", b"1.1 proxy"),
]


@pytest.mark.parametrize("header", FORWARDED)
def test_what_comes_by_a_proxy_that_nobody_told_of_finds_nothing_there(site: Site, header: tuple[bytes, bytes]) -> None:
    absent = asked_from(site, STRANGER, header, path="/metrics-of-nobody")
    assert absent[0] == 404
    assert asked_from(site, STRANGER, header) == absent


@pytest.mark.parametrize("header", FORWARDED[2:])
def test_a_trusted_proxy_that_names_its_client_in_no_header_that_is_read_finds_nothing_there(
    site: Site, header: tuple[bytes, bytes]
) -> None:
    assert asked_from(site, TRUSTED_PROXY, header)[0] == 404
    assert asked_from(site, TRUSTED_PROXY)[0] == 200


@pytest.mark.parametrize("client", [b"203.0.113.9", b"2001:db8:8::1", b"nonsense", b"127.0.0.1, 203.0.113.9"])
def test_to_whoever_may_not_read_there_is_nothing_there(site: Site, client: bytes) -> None:
    header = (b"x-forwarded-for", client)
    absent = asked_from(site, TRUSTED_PROXY, header, path="/metrics-of-nobody")
    assert absent[0] == 404
    assert asked_from(site, TRUSTED_PROXY, header) == absent


@pytest.mark.parametrize("client", [b"127.0.0.1", b"::1", METRICS_READER.encode(), b"2001:db8:7::5"])
def test_this_machine_and_the_networks_that_are_named_may_read(site: Site, client: bytes) -> None:
    assert asked_from(site, TRUSTED_PROXY, (b"x-forwarded-for", client))[0] == 200
    assert asked_from(site, STRANGER)[0] == 200


def test_no_key_opens_it(site: Site) -> None:
    keys: list[Any] = [site.installation.keys["admin_key"], site.project().key]
    for key in keys:
        headers = [(b"x-forwarded-for", b"203.0.113.9"), (b"authorization", b"Bearer " + key.encode())]
        assert asked_from(site, TRUSTED_PROXY, *headers)[0] == 404


def test_a_provider_that_is_left_alone_is_counted_until_it_answers(site: Site, upstream: Upstream) -> None:
    caller = site.project()
    upstream.on(MODEL, scripts.error(500))
    before = samples(site)
    for _ in range(FAILURES):
        assert caller.chat().status_code == 500
    during = samples(site)
    assert grew(before, during, "bailiwick_open_circuits", provider="openai") == 1
    assert grew(before, during, "bailiwick_circuit_openings_total", provider="openai") == 1
    upstream.on(MODEL, Behaviour())
    until(lambda: caller.chat().status_code == 200, patience=8)
    after = samples(site)
    assert grew(before, after, "bailiwick_open_circuits", provider="openai") == 0
    assert grew(before, after, "bailiwick_circuit_openings_total", provider="openai") == 1


def test_a_call_that_waits_for_its_turn_is_counted_while_it_waits_and_after(site: Site) -> None:
    caller = site.project(limits={"key": {"requests": 1, "per": "1s", "overflow": "queue", "max_wait": "5s"}})
    before = samples(site)
    assert caller.chat(model="echo").status_code == 200
    waiting = threading.Thread(target=caller.chat, kwargs={"model": "echo"})
    waiting.start()
    until(lambda: grew(before, samples(site), "bailiwick_queue_calls") == 1)
    waiting.join()
    after = samples(site)
    assert grew(before, after, "bailiwick_queue_calls") == 0
    assert grew(before, after, "bailiwick_queue_wait_seconds_count", end="admitted") == 1
    assert 0 < grew(before, after, "bailiwick_queue_wait_seconds_sum", end="admitted") <= 1.5
