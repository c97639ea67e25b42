"""Spans for OpenTelemetry: one for each request of the data plane and, below it, one for its call to a model.

Names and attributes are those of OpenTelemetry's semantic conventions (HTTP; generative AI); what is ours begins with
`bailiwick.`. All of them are in `docs/reference/traces.md`. Guarantees: no prompt, no answer, no secret and no end
user's name is in a span; a call never waits for one; a client's `traceparent` (W3C Trace Context) is where its trace
goes on, and a malformed one is as none.

This module needs the packages of `bailiwick[otel]`; it is imported only where spans are wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.metadata import version
from typing import Final, final

from opentelemetry.context import Context
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.util.types import AttributeValue

from bailiwick.domain.ids import AGENT, PROJECT, TENANT, AgentId, shown
from bailiwick.domain.metering import OpenCall, Settlement
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.usage import Outcome
from bailiwick.telemetry.observer import Observation
from bailiwick.telemetry.span_queue import ROOM, SpanQueue

OPERATIONS: Final = {
    "/v1/chat/completions": "chat",
    "/v1/responses": "chat",
    "/v1/messages": "chat",
    "/v1/messages/count_tokens": "count_tokens",
    "/v1/completions": "text_completion",
    "/v1/embeddings": "embeddings",
    "/v1/moderations": "moderation",
    "/v1/images/generations": "image_generation",
    "/v1/audio/transcriptions": "transcription",
    "/v1/audio/speech": "speech",
}
"""By door. Where the conventions have no name for what a door does, it is ours."""
PROVIDERS: Final = {
    ProviderKind.OPENAI: "openai",
    ProviderKind.ANTHROPIC: "anthropic",
    ProviderKind.GEMINI: "gcp.gemini",
    ProviderKind.ECHO: "echo",
    ProviderKind.MCP: "mcp",
}
_TRACEPARENT: Final = "traceparent"
_W3C: Final = TraceContextTextMapPropagator()
_SERVER_ERROR: Final = 500
_FAILED: Final = Status(StatusCode.ERROR)
_S: Final = 1000
_USD: Final = 1_000_000_000


@final
class Spans:
    """Makes the spans of one process."""

    def __init__(
        self, exporter: SpanExporter, *, to_providers: bool, on_change: Callable[[bool], None], room: int = ROOM
    ) -> None:
        """`to_providers`: providers get a `traceparent`, too. `room` and `on_change` are the queue's.

        Resource, sampler and limits are what the environment's `OTEL_*` variables say.
        """
        self.queue: Final = SpanQueue(exporter, on_change=on_change, room=room)
        ours = {"service.name": "bailiwick", "service.version": version("bailiwick")}
        resource = Resource.create(ours).merge(OTELResourceDetector().detect())
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.add_span_processor(self.queue)
        self._tracer = provider.get_tracer("bailiwick", version("bailiwick"))
        self._to_providers = to_providers

    def begin(self, seen: Observation, method: str, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """A request has come to a door, with a method that this door takes."""
        sent = [value for name, value in headers if name == b"traceparent"]
        parent = Context()
        if len(sent) == 1:
            parent = _W3C.extract({_TRACEPARENT: sent[0].decode("latin-1")}, parent)
        seen.span = self._tracer.start_span(
            f"{method} {seen.door}",
            parent,
            SpanKind.SERVER,
            {"http.request.method": method, "http.route": seen.door, "bailiwick.request.id": f"req_{seen.id}"},
        )

    def opened(self, seen: Observation, call: OpenCall, kind: ProviderKind) -> None:
        """The request's call is open, and goes to its provider."""
        if seen.span is None:
            return
        operation = OPERATIONS[seen.door]
        agent = {"gen_ai.agent.name": seen.agent} if seen.agent is not None else {}
        if call.agent_id is not None:
            agent["gen_ai.agent.id"] = shown(AGENT, AgentId(call.agent_id))
        seen.call_span = self._tracer.start_span(
            f"{operation} {call.model}",
            set_span_in_context(seen.span, Context()),
            SpanKind.CLIENT,
            {
                "gen_ai.operation.name": operation,
                "gen_ai.provider.name": PROVIDERS[kind],
                "gen_ai.request.model": call.model,
                "gen_ai.request.stream": call.streamed,
                **agent,
            },
        )
        if self._to_providers:
            carrier: dict[str, str] = {}
            _W3C.inject(carrier, set_span_in_context(seen.call_span, Context()))
            seen.for_provider = f"traceparent: {carrier[_TRACEPARENT]}\r\n".encode()

    @staticmethod
    def settled(seen: Observation, kind: ProviderKind, settlement: Settlement) -> None:
        """The call is over."""
        span = seen.call_span
        if span is None:
            return
        usage = settlement.usage
        facts: dict[str, AttributeValue] = {
            "gen_ai.provider.name": PROVIDERS[kind],
            "gen_ai.usage.input_tokens": usage.input_tokens,
            "gen_ai.usage.output_tokens": usage.output_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning_tokens,
            "bailiwick.usage.source": settlement.source.name.lower(),
        }
        if settlement.cost_nano is not None:
            facts["bailiwick.cost.usd"] = settlement.cost_nano / _USD
        if settlement.status is not None:
            facts["http.response.status_code"] = settlement.status
        if settlement.call.streamed and settlement.first_byte_ms is not None:
            facts["gen_ai.response.time_to_first_chunk"] = settlement.first_byte_ms / _S
        if settlement.outcome is not Outcome.COMPLETED:
            facts["error.type"] = settlement.outcome.name.lower()
            span.set_status(_FAILED)
        span.set_attributes(facts)
        span.end()

    @staticmethod
    def ended(seen: Observation) -> None:
        """The request is answered, or its client is gone."""
        span = seen.span
        if span is None:
            return
        if seen.status:
            span.set_attribute("http.response.status_code", seen.status)
        if seen.grant is not None:
            span.set_attribute("bailiwick.tenant.id", shown(TENANT, seen.grant.tenant_id))
            span.set_attribute("bailiwick.project.id", shown(PROJECT, seen.grant.project_id))
        if seen.code is not None:
            span.set_attribute("error.type", seen.code.value)
            # A refusal is no failure of the server's (conventions for HTTP spans).
            if seen.status >= _SERVER_ERROR:
                span.set_status(_FAILED)
        span.end()
