"""An installation whose spans go to a collector."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.serving import SETTINGS, Site, opened
from tests.telemetry.collector import Collector


@pytest.fixture(scope="package")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        yield running


@pytest.fixture(scope="package")
def running_traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site with spans, told to pass traces on to providers."""
    settings = {
        **SETTINGS,
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        "OTEL_SERVICE_NAME": "a-gateway",
        "OTEL_RESOURCE_ATTRIBUTES": "deployment.environment.name=test",
        "BAILIWICK_TRACE_PROVIDERS": "on",
    }
    with opened(tmp_path_factory.mktemp("traced") / "data", settings) as site:
        yield site


@pytest.fixture
def traced(running_traced: Site) -> Site:
    """The same, with a provider that knows nothing of other tests."""
    running_traced.upstream.clear()
    return running_traced
