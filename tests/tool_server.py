"""A real tool server, made with the official SDK, that remembers what it was asked: for tests."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Final, final

import httpx2
import uvicorn
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.mcpserver import Context, MCPServer
from pydantic import BaseModel

STATELESS: Final = "2026-07-28"
HANDSHAKE: Final = "legacy"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ToolServer:
    """One that runs: where it is, and the headers of whatever it was asked."""

    url: str
    seen: list[dict[str, str]] = field(default_factory=list)
    called: list[str] = field(default_factory=list)


class Name(BaseModel):
    """What the server asks the client for."""

    name: str


def _made(called: list[str]) -> MCPServer[Any]:
    server: MCPServer[Any] = MCPServer("tools")

    @server.tool()
    def search(query: str) -> str:
        called.append("search")
        return f"found {query}"

    @server.tool()
    def delete_all() -> str:
        called.append("delete_all")
        return "gone"

    @server.tool()
    async def slowly(context: Context[Any]) -> str:
        called.append("slowly")
        for step in range(3):
            await context.report_progress(step, 3)
        return "done"

    @server.tool()
    async def asks_back(context: Context[Any]) -> str:
        called.append("asks_back")
        said = await context.elicit("Who are you?", Name)
        return f"you are {said.data.name}" if said.action == "accept" else said.action

    @server.prompt()
    def greeting(name: str) -> str:
        return f"Say hello to {name}"

    @server.resource("file:///notes.txt")
    def notes() -> str:
        return "my notes"

    @server.resource("file:///secret.txt")
    def secret() -> str:
        return "a secret"

    return server


@contextmanager
def running(*, stateless: bool = False, json_response: bool = False) -> Iterator[ToolServer]:
    """A server in a thread of its own."""
    called: list[str] = []
    seen: list[dict[str, str]] = []
    app = _made(called).streamable_http_app(stateless_http=stateless, json_response=json_response)

    async def noting(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            seen.append({"method": scope["method"], **{k.decode(): v.decode() for k, v in scope["headers"]}})
        await app(scope, receive, send)

    config = uvicorn.Config(
        noting, host="127.0.0.1", port=0, log_level="critical", lifespan="on", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield ToolServer(url=f"http://127.0.0.1:{port}/mcp", seen=seen, called=called)
    finally:
        server.should_exit = True
        thread.join(5)


@asynccontextmanager
async def client(
    url: str, bearer: str, *, mode: str = STATELESS, options: Mapping[str, Any] | None = None, **headers: str
) -> AsyncGenerator[Client]:
    """The SDK's client of a server, speaking one revision."""
    given = {"authorization": f"Bearer {bearer}", **headers}
    async with (
        httpx2.AsyncClient(headers=given, timeout=10) as http,
        Client(streamable_http_client(url, http_client=http), mode=mode, **(options or {})) as made,
    ):
        yield made
