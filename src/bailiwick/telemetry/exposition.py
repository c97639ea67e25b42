"""Metrics in Prometheus' text form, written when they are asked for.

`FAMILIES` is the whole list, beside the `process_*` metrics of the operating system (on Linux); every one stands in
`docs/reference/metrics.md`, and a test holds that. Names and labels are a contract: they change by addition only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from typing import Final, NamedTuple, final

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector, CollectorRegistry

from bailiwick.domain.models import ProviderKind
from bailiwick.domain.usage import Outcome
from bailiwick.telemetry.metrics import Histogram, Metrics

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4.encode()
_MS: Final = 1_000
_US: Final = 1_000_000
_NANO: Final = 1_000_000_000


@final
class Standing(NamedTuple):
    """How things stand at this moment, as the parts of the process know it themselves."""

    connections: int
    """To providers and to the control process, those that are being made included."""
    idle_connections: int
    database_pools: Mapping[str, tuple[int, int, int]]
    """By name: connections, those of them that are idle, and who waits for one."""
    settlements_waiting: int
    limit_buckets: int
    queue_calls: int
    queue_waits_ms: Mapping[str, Histogram]
    """By how the wait ended."""
    open_circuits: Mapping[ProviderKind, int]
    circuit_openings: Mapping[ProviderKind, int]
    database_up: bool
    spans_sent: int
    spans_dropped: int


Labels = tuple[str, ...]
Sample = tuple[Labels, float]
Distribution = tuple[Labels, Histogram, int]


@final
class Numbers(NamedTuple):
    """A family of numbers: a counter's only grow, and its name ends in `_total`; a gauge's go up and down."""

    kind: type[CounterMetricFamily | GaugeMetricFamily]
    name: str
    labels: Labels
    help: str
    samples: Callable[[Metrics, Standing], Iterable[Sample]]

    def read(self, metrics: Metrics, standing: Standing) -> Metric:
        """The family as it is now."""
        family = self.kind(self.name, self.help, labels=self.labels)
        for labels, value in self.samples(metrics, standing):
            family.add_metric(labels, value)
        return family


_counter: Final = partial(Numbers, CounterMetricFamily)
_gauge: Final = partial(Numbers, GaugeMetricFamily)


@final
class Distributed(NamedTuple):
    """A family of histograms; a sample says how many of its units make one of the family's."""

    name: str
    labels: Labels
    help: str
    samples: Callable[[Metrics, Standing], Iterable[Distribution]]

    def read(self, metrics: Metrics, standing: Standing) -> Metric:
        """The family as it is now."""
        family = HistogramMetricFamily(self.name, self.help, labels=self.labels)
        for labels, histogram, scale in self.samples(metrics, standing):
            bounds = [*(str(bound / scale) for bound in histogram.bounds), "+Inf"]
            buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
            family.add_metric(labels, buckets, histogram.total / scale)
        return family


def _answers(metrics: Metrics, _: Standing) -> Iterator[Sample]:
    for (door, status), count in metrics.answers.items():
        yield (door, f"{status}xx" if status else "none"), count


def _outcomes(metrics: Metrics, _: Standing) -> Iterator[Sample]:
    for (door, kind), spent in metrics.spent.items():
        for outcome in Outcome:
            if count := spent.outcomes[outcome]:
                yield (door, kind.value, outcome.name.lower()), count


def _tokens(metrics: Metrics, _: Standing) -> Iterator[Sample]:
    for (door, kind), spent in metrics.spent.items():
        counts = {
            "input": spent.read,
            "output": spent.wrote,
            "cached": spent.cached,
            "cache_write": spent.cache_write,
            "reasoning": spent.reasoning,
            "audio": spent.audio,
        }
        for token, count in counts.items():
            if count:
                yield (door, kind.value, token), count


def _connections(_: Metrics, standing: Standing) -> Iterator[Sample]:
    yield ("busy",), standing.connections - standing.idle_connections
    yield ("idle",), standing.idle_connections


def _pools(_: Metrics, standing: Standing) -> Iterator[Sample]:
    for pool, (size, idle, _waiting) in standing.database_pools.items():
        yield (pool, "busy"), size - idle
        yield (pool, "idle"), idle


FAMILIES: Final[tuple[Numbers | Distributed, ...]] = (
    _counter(
        "bailiwick_responses_total", ("door", "status"), "Answers, by address and class of status.", _answers
    ),
    _counter(
        "bailiwick_refusals_total", ("code",), "Answers that are errors, by code.",
        lambda metrics, _: (((code.value,), count) for code, count in metrics.refusals.items() if count),
    ),
    _counter(
        "bailiwick_calls_total", ("door", "provider", "outcome"), "Calls that went to a provider and are settled.",
        _outcomes,
    ),
    _counter(
        "bailiwick_tokens_total", ("door", "provider", "kind"), "Tokens of settled calls; parts count in their whole.",
        _tokens,
    ),
    _counter(
        "bailiwick_cost_usd_total", ("door", "provider"), "Cost of settled calls with a known price, in US dollars.",
        lambda metrics, _: (
            ((door, kind.value), spent.cost_nano / _NANO) for (door, kind), spent in metrics.spent.items()
        ),
    ),
    Distributed(
        "bailiwick_call_duration_seconds", ("door", "provider"), "From the opening of a call to its settlement.",
        lambda metrics, _: (
            ((door, kind.value), spent.latency_ms, _MS) for (door, kind), spent in metrics.spent.items()
        ),
    ),
    Distributed(
        "bailiwick_call_first_byte_seconds", ("door", "provider"), "From the opening to an answer's first byte.",
        lambda metrics, _: (
            ((door, kind.value), spent.first_byte_ms, _MS) for (door, kind), spent in metrics.spent.items()
        ),
    ),
    _gauge(
        "bailiwick_open_calls", ("door",), "Calls that are open in the ledger.",
        lambda metrics, _: (((door,), count) for door, count in metrics.open_calls.items()),
    ),
    _counter(
        "bailiwick_tool_calls_blocked_total", ("door",), "Calls of tools that were taken out of answers.",
        lambda metrics, _: (((door,), count) for door, count in metrics.tool_calls_blocked.items()),
    ),
    _gauge(
        "bailiwick_upstream_connections", ("state",), "Connections to providers and to the control process.",
        _connections,
    ),
    Distributed(
        "bailiwick_ledger_batch_rows", ("step",), "Calls that the ledger wrote in one batch.",
        lambda metrics, _: (((step,), batches.size, 1) for step, batches in metrics.batches.items()),
    ),
    Distributed(
        "bailiwick_ledger_batch_duration_seconds", ("step",), "What a batch took to be durable.",
        lambda metrics, _: (((step,), batches.duration_us, _US) for step, batches in metrics.batches.items()),
    ),
    _gauge(
        "bailiwick_ledger_settlements_waiting", (), "Settlements that wait for the next batch.",
        lambda _, standing: (((), standing.settlements_waiting),),
    ),
    _gauge(
        "bailiwick_limit_buckets", (), "Buckets of rate limits that are held.",
        lambda _, standing: (((), standing.limit_buckets),),
    ),
    _gauge(
        "bailiwick_queue_calls", (), "Calls that wait for a rate limit to admit them.",
        lambda _, standing: (((), standing.queue_calls),),
    ),
    Distributed(
        "bailiwick_queue_wait_seconds", ("end",), "How long calls have waited for a rate limit, by how that ended.",
        lambda _, standing: (((end,), waits, _MS) for end, waits in standing.queue_waits_ms.items()),
    ),
    _gauge(
        "bailiwick_open_circuits", ("provider",), "Models of a provider that are left alone since they keep failing.",
        lambda _, standing: (((kind.value,), count) for kind, count in standing.open_circuits.items()),
    ),
    _counter(
        "bailiwick_circuit_openings_total", ("provider",), "How often a model of a provider came to be left alone.",
        lambda _, standing: (((kind.value,), count) for kind, count in standing.circuit_openings.items()),
    ),
    _gauge(
        "bailiwick_database_connections", ("pool", "state"), "Connections to the database for what is looked up.",
        _pools,
    ),
    _gauge(
        "bailiwick_database_waiting", ("pool",), "Calls that wait for such a connection.",
        lambda _, standing: (((pool,), waiting) for pool, (_, _, waiting) in standing.database_pools.items()),
    ),
    _gauge(
        "bailiwick_database_up", (), "1 while the database answers, else 0.",
        lambda _, standing: (((), standing.database_up),),
    ),
    Distributed(
        "bailiwick_event_loop_lag_seconds", (), "How late the event loop came back, asked four times a second.",
        lambda metrics, _: (((), metrics.lag_us, _US),),
    ),
    _counter(
        "bailiwick_refused_calls_dropped_total", (), "Refused calls that are not kept to be explained.",
        lambda metrics, _: (((), metrics.refused_calls_dropped),),
    ),
    _counter(
        "bailiwick_spans_total", ("result",), "OpenTelemetry spans.",
        lambda _, standing: ((("sent",), standing.spans_sent), (("dropped",), standing.spans_dropped)),
    ),
)  # fmt: skip


@final
class _Ours(Collector):
    def __init__(self, metrics: Metrics, standing: Callable[[], Standing]) -> None:
        self._metrics = metrics
        self._standing = standing

    def collect(self) -> Iterator[Metric]:
        standing = self._standing()
        for family in FAMILIES:
            yield family.read(self._metrics, standing)


@final
class Exposition:
    """Writes the metrics of one process."""

    def __init__(self, metrics: Metrics, standing: Callable[[], Standing]) -> None:
        """`standing` says how things stand at the moment of the question."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_Ours(metrics, standing))
        ProcessCollector(registry=self._registry)

    def write(self) -> bytes:
        """All of it, in the text form 0.0.4."""
        return generate_latest(self._registry)
