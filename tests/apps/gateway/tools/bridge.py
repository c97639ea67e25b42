"""Puts a credential before every request: for a client that has none to send, as the conformance suite."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx2
import uvicorn


@contextmanager
def bridged(url: str, bearer: str) -> Iterator[str]:
    """An address at which `url` answers whoever asks as the bearer, byte for byte."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        passing = asyncio.create_task(_passed(url, bearer, scope, body, send))
        gone = asyncio.create_task(_gone(receive))
        await asyncio.wait((passing, gone), return_when=asyncio.FIRST_COMPLETED)
        for task in (passing, gone):
            task.cancel()
            with suppress(asyncio.CancelledError, httpx2.HTTPError):
                await task

    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=0, log_level="critical", lifespan="off"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/mcp"
    finally:
        server.should_exit = server.force_exit = True
        thread.join(5)


async def _passed(url: str, bearer: str, scope: Any, body: bytes, send: Any) -> None:
    framing = (b"content-length", b"transfer-encoding", b"connection")
    given = [(name, value) for name, value in scope["headers"] if name not in framing]
    given.append((b"authorization", b"Bearer " + bearer.encode()))
    async with (
        httpx2.AsyncClient(timeout=30) as http,
        http.stream(scope["method"], url, headers=given, content=body or None) as answer,
    ):
        told = [(name.lower(), value) for name, value in answer.headers.raw if name.lower() not in framing[1:]]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": told})
        async for chunk in answer.aiter_raw():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


async def _gone(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
