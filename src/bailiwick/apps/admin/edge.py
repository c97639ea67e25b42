"""The outermost layer of the control plane: every response has an id of our own, and no error of ours shows.

One line of log a request, without address parameters, headers or bodies.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import final
from uuid import UUID

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bailiwick.apps.admin.problems import unexpected
from bailiwick.telemetry.logs import Log


@final
class Edge:
    """ASGI middleware that decides nothing: it names requests, reports what happened, and hides what went wrong."""

    def __init__(self, app: ASGIApp, *, new_id: Callable[[], UUID], monotonic: Callable[[], float], log: Log) -> None:
        """`new_id` makes UUIDv7s; `monotonic` is in seconds."""
        self._app = app
        self._new_id = new_id
        self._monotonic = monotonic
        self._log = log

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._monotonic()
        request_id = f"req_{self._new_id().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        status: int | None = None

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["x-request-id"] = request_id
                # Only the dashboard's own files say otherwise.
                headers.setdefault("cache-control", "no-store")
            await send(message)

        try:
            await self._app(scope, receive, send_named)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client must not see it
            self._log.failure(request_id, error)
            if status is None:
                await unexpected()(scope, receive, send_named)
        route = getattr(scope.get("route"), "path", None)
        actor = getattr(scope["state"].get("actor"), "name", None)
        took = round((self._monotonic() - began) * 1000, 1)
        self._log.event(
            "request",
            request_id=request_id,
            method=scope["method"],
            route=route,
            status=status,
            milliseconds=took,
            operator=actor,
            trouble=scope["state"].get("trouble"),
        )
