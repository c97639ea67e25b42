"""How counts are written: histograms add up, units are Prometheus' own, and only what was counted is there."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from prometheus_client.parser import text_string_to_metric_families

from bailiwick.domain.errors import Code
from bailiwick.domain.metering import OpenCall, Settlement
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.usage import Outcome, TokenUsage, UsageSource
from bailiwick.telemetry.exposition import Exposition, Standing
from bailiwick.telemetry.metrics import CALL_MS, Histogram, Metrics

WAITS: Final = Histogram(CALL_MS)
WAITS.observe(1500)
STANDING: Final = Standing(
    connections=7,
    idle_connections=3,
    database_pools={"gateway": (8, 2, 5)},
    settlements_waiting=11,
    limit_buckets=13,
    queue_calls=23,
    queue_waits_ms={"admitted": WAITS, "left": Histogram(CALL_MS)},
    open_circuits={ProviderKind.OPENAI: 2, ProviderKind.ECHO: 0},
    circuit_openings={ProviderKind.OPENAI: 29},
    database_up=False,
    spans_sent=17,
    spans_dropped=19,
)
NOBODY: Final = UUID(int=1)
CALL: Final = OpenCall(
    id="0" * 32, tenant_id=NOBODY, project_id=NOBODY, key_id=NOBODY, uid="a-user", sid="a-session", provider="up",
    model="a-model", streamed=False, opened_us=0, input_estimate=0, cost_estimate_nano=None,
)  # fmt: skip


def settlement(latency_ms: int, first_byte_ms: int | None) -> Settlement:
    return Settlement(
        call=CALL, outcome=Outcome.COMPLETED, usage=TokenUsage(10, 20, 3, 4, 5, 1, 2), source=UsageSource.REPORTED,
        cost_nano=1_500_000_000, latency_ms=latency_ms, first_byte_ms=first_byte_ms, status=200,
    )  # fmt: skip


def written(metrics: Metrics, standing: Standing = STANDING) -> dict[str, float]:
    text = Exposition(metrics, lambda: standing).write().decode()
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith("bailiwick_")
    }


def test_how_things_stand_is_asked_for_when_it_is_written() -> None:
    found = written(Metrics())
    assert found["bailiwick_upstream_connections['busy']"] == 4
    assert found["bailiwick_upstream_connections['idle']"] == 3
    assert found["bailiwick_database_connections['busy', 'gateway']"] == 6
    assert found["bailiwick_database_connections['gateway', 'idle']"] == 2
    assert found["bailiwick_database_waiting['gateway']"] == 5
    assert found["bailiwick_ledger_settlements_waiting[]"] == 11
    assert found["bailiwick_limit_buckets[]"] == 13
    assert found["bailiwick_queue_calls[]"] == 23
    assert found["bailiwick_queue_wait_seconds_sum['admitted']"] == 1.5
    assert found["bailiwick_queue_wait_seconds_bucket['1.0', 'admitted']"] == 0
    assert found["bailiwick_queue_wait_seconds_bucket['2.5', 'admitted']"] == 1
    assert found["bailiwick_queue_wait_seconds_count['left']"] == 0
    assert found["bailiwick_open_circuits['openai']"] == 2
    assert found["bailiwick_open_circuits['echo']"] == 0
    assert found["bailiwick_circuit_openings_total['openai']"] == 29
    assert found["bailiwick_database_up[]"] == 0
    assert found["bailiwick_spans_total['sent']"] == 17
    assert found["bailiwick_spans_total['dropped']"] == 19
    assert written(Metrics(), STANDING._replace(database_up=True))["bailiwick_database_up[]"] == 1


def test_settled_calls_are_summed_by_door_and_kind_of_provider() -> None:
    metrics = Metrics()
    for kind in (ProviderKind.OPENAI, ProviderKind.OPENAI, ProviderKind.GEMINI):
        metrics.opened("/v1/x")
        metrics.settled("/v1/x", kind, settlement(100, 40))
    metrics.opened("/v1/x")
    found = written(metrics)
    assert found["bailiwick_open_calls['/v1/x']"] == 1
    assert found["bailiwick_calls_total['/v1/x', 'completed', 'openai']"] == 2
    assert found["bailiwick_cost_usd_total['/v1/x', 'openai']"] == 3
    tokens = {"input": 20, "output": 40, "cached": 6, "cache_write": 8, "reasoning": 10, "audio": 6}
    for kind, count in tokens.items():
        assert found[f"bailiwick_tokens_total{sorted(['/v1/x', 'openai', kind])}"] == count
    assert found["bailiwick_calls_total['/v1/x', 'completed', 'gemini']"] == 1


def test_a_histogram_counts_what_is_at_most_its_bound_in_seconds() -> None:
    metrics = Metrics()
    for latency, first_byte in ((5, None), (6, 5), (600_000, 1), (600_001, 0)):
        metrics.opened("/v1/x")
        metrics.settled("/v1/x", ProviderKind.ECHO, settlement(latency, first_byte))
    found = written(metrics)
    name = "bailiwick_call_duration_seconds"
    bounds = {"0.005": 1, "0.01": 2, "300.0": 2, "600.0": 3, "+Inf": 4}
    assert {bound: found[f"{name}_bucket{sorted(['/v1/x', 'echo', bound])}"] for bound in bounds} == bounds
    assert found[f"{name}_count['/v1/x', 'echo']"] == 4
    assert found[f"{name}_sum['/v1/x', 'echo']"] == 1200.012
    assert found["bailiwick_call_first_byte_seconds_count['/v1/x', 'echo']"] == 3


def test_the_ledgers_batches_are_counted_by_step() -> None:
    metrics = Metrics()
    metrics.wrote_batch("open", 500, 0.0021)
    metrics.wrote_batch("settle", 1, 7.0)
    found = written(metrics)
    assert found["bailiwick_ledger_batch_rows_bucket['200.0', 'open']"] == 0
    assert found["bailiwick_ledger_batch_rows_bucket['500.0', 'open']"] == 1
    assert found["bailiwick_ledger_batch_duration_seconds_bucket['0.001', 'open']"] == 0
    assert found["bailiwick_ledger_batch_duration_seconds_bucket['0.0025', 'open']"] == 1
    assert found["bailiwick_ledger_batch_duration_seconds_sum['open']"] == 0.0021
    assert found["bailiwick_ledger_batch_duration_seconds_bucket['5.0', 'settle']"] == 0
    assert found["bailiwick_ledger_batch_duration_seconds_bucket['+Inf', 'settle']"] == 1


def test_a_loop_that_was_early_was_not_late() -> None:
    metrics = Metrics()
    metrics.late(-0.001)
    metrics.late(0.03)
    found = written(metrics)
    assert found["bailiwick_event_loop_lag_seconds_sum[]"] == 0.03
    assert found["bailiwick_event_loop_lag_seconds_bucket['0.001']"] == 1
    assert found["bailiwick_event_loop_lag_seconds_bucket['0.025']"] == 1
    assert found["bailiwick_event_loop_lag_seconds_bucket['0.05']"] == 2


def test_answers_are_counted_by_class_of_status() -> None:
    metrics = Metrics()
    for status, code in ((200, None), (299, None), (404, Code.NOT_FOUND), (503, Code.UNAVAILABLE), (0, None)):
        metrics.answered("/v1/x", status, code)
    found = written(metrics)
    classes = {"2xx": 2, "4xx": 1, "5xx": 1, "none": 1}
    assert {name: found[f"bailiwick_responses_total['/v1/x', '{name}']"] for name in classes} == classes
    assert found["bailiwick_refusals_total['not_found']"] == 1
    assert "bailiwick_refusals_total['rate_limited']" not in found
