"""A collector of OpenTelemetry spans for tests: OTLP over HTTP, as the specification has it, on a loopback port."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self, final

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS: Final = {2: "server", 3: "client"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A span as it arrived. Ids are in hex, `parent` empty for none; times in nanoseconds; `failed`: its status."""

    name: str
    kind: str
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    failed: bool
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]


@final
class Collector:
    """Takes spans while `takes`; refuses them with 400 otherwise; and answers nothing while `stalled` is set."""

    def __init__(self) -> None:
        self.takes = True
        self.stalled = threading.Event()
        self.bodies: list[bytes] = []
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                while collector.stalled.is_set():
                    threading.Event().wait(0.02)
                if collector.takes:
                    collector.paths.add(self.path)
                    collector.bodies.append(body)
                self.send_response(200 if collector.takes else 400)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self.url: Final = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stalled.clear()
        self._server.shutdown()
        self._server.server_close()

    @property
    def spans(self) -> list[Seen]:
        """Everything that was taken, in the order in which it came."""
        return [span for body in [*self.bodies] for span in _spans(ExportTraceServiceRequest.FromString(body))]

    def of(self, request_id: str) -> tuple[Seen, Seen | None] | None:
        """The span of a request and that of its call to a model; None if they have not come."""
        spans = self.spans
        for span in spans:
            if span.attributes.get("bailiwick.request.id") == request_id:
                return span, next((call for call in spans if call.parent == span.id), None)
        return None


def _spans(request: Any) -> list[Seen]:
    return [
        Seen(
            name=span.name,
            kind=KINDS[span.kind],
            trace=span.trace_id.hex(),
            id=span.span_id.hex(),
            parent=span.parent_span_id.hex(),
            began=span.start_time_unix_nano,
            ended=span.end_time_unix_nano,
            failed=span.status.code == 2,
            attributes=_attributes(span.attributes),
            resource=_attributes(resource.resource.attributes),
        )
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


def _attributes(found: Any) -> dict[str, Any]:
    return {each.key: getattr(each.value, each.value.WhichOneof("value")) for each in found}
