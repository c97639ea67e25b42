"""A client for one keep-alive connection, whose ends and cuts a test has in its hands."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, final

_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_DONE: Final = b"data: [DONE]"


@final
@dataclass(slots=True, kw_only=True)
class Answer:
    """What became of one call; times are `time.monotonic()`. `status` is None if no head arrived."""

    number: int
    began: float
    ended: float = 0.0
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    complete: bool = False
    trouble: str = ""

    @property
    def good(self) -> bool:
        """Whether it is what was asked for, to its end."""
        return self.status == 200 and self.complete and (not self._streamed or _DONE in self.body)

    @property
    def broken_off(self) -> str | None:
        """The code of the error event that a stream ended in."""
        last = self.body.rstrip().rpartition(b"data: ")[2]
        if self.status != 200 or not self.complete or not last.startswith(b'{"error"'):
            return None
        return str(json.loads(last)["error"]["code"])

    @property
    def cut(self) -> bool:
        """Whether the connection broke before the answer's end."""
        return not self.complete

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.began

    @property
    def code(self) -> str | None:
        """The error's code, if it is an error in our form."""
        with suppress(ValueError, KeyError, TypeError):
            code: str = json.loads(self.body)["error"]["code"]
            return code
        return None

    @property
    def _streamed(self) -> bool:
        return self.headers.get("content-type", "").startswith("text/event-stream")

    def told(self) -> str:
        """It in one line, for a failed assertion."""
        return f"call {self.number}: {self.status} {self.headers.get('retry-after')} {self.trouble} {self.body[:200]!r}"


@final
class Client:
    """One connection at a time, opened when needed."""

    def __init__(self, port: int, key: str) -> None:
        self._port = port
        self._key = key
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def call(self, number: int, model: str, *, stream: bool, patience: float = 60.0) -> Answer:
        """Make a call to its end, whatever that is; never raises."""
        answer = Answer(number=number, began=time.monotonic())
        try:
            async with asyncio.timeout(patience):
                async for _ in self.pieces(answer, model, stream=stream):
                    pass
        except TimeoutError:
            answer.trouble = "it hung"
            self.close()
        except (OSError, EOFError) as error:
            answer.trouble = type(error).__name__
            self.close()
        answer.ended = time.monotonic()
        if answer.headers.get("connection") == "close":
            self.close()
        return answer

    async def pieces(self, answer: Answer, model: str, *, stream: bool) -> AsyncIterator[bytes]:
        """Make a call and yield its content as it comes; raises OSError or EOFError when the connection breaks."""
        await self.send(answer.number, model, stream=stream)
        async for piece in self._content(answer):
            yield piece

    async def rest(self, number: int) -> Answer:
        """Take the answer to what was sent, to its end, whatever that is; never raises."""
        answer = Answer(number=number, began=time.monotonic())
        try:
            async for _ in self._content(answer):
                pass
        except (OSError, EOFError) as error:
            answer.trouble = type(error).__name__
        return answer

    async def _content(self, answer: Answer) -> AsyncIterator[bytes]:
        await self.head(answer)
        reader = self._reader
        assert reader is not None
        if answer.headers.get("transfer-encoding") == "chunked":
            while size := int(await reader.readuntil(b"\r\n"), 16):
                piece = (await reader.readexactly(size + 2))[:-2]
                answer.body += piece
                yield piece
            await reader.readexactly(2)
        else:
            answer.body = await reader.readexactly(int(answer.headers["content-length"]))
            yield answer.body
        answer.complete = True

    async def send(self, number: int, model: str, *, stream: bool) -> None:
        """Send a call whose number stands in its message, which the provider sees, and in its ledger row."""
        body = json.dumps(
            {"model": model, "stream": stream, "messages": [{"role": "user", "content": f"call-{number}"}]}
        ).encode()
        await self.post(number, "/v1/chat/completions", body, "application/json")

    async def post(self, number: int, path: str, body: bytes, content_type: str) -> None:
        """Send a call of any kind; its number stands in its ledger row."""
        if self._reader is None or self._writer is None or self._writer.is_closing() or self._reader.at_eof():
            self.close()
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        head = (
            f"POST {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {self._key}\r\n"
            f"content-type: {content_type}\r\nx-end-user-id: user-{number % 100}\r\nx-session-id: call-{number}\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        ).encode()
        self._writer.write(head + body)
        await self._writer.drain()

    async def head(self, answer: Answer) -> None:
        """Read an answer's head."""
        assert self._reader is not None
        head = await self._reader.readuntil(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        answer.status = int(status.split(" ")[1])
        answer.headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    def stop_reading(self) -> None:
        """Take nothing more from the connection."""
        if self._writer is not None:
            transport = self._writer.transport
            assert isinstance(transport, asyncio.ReadTransport)
            transport.pause_reading()

    def close(self) -> None:
        """Close the connection (FIN)."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None

    def reset(self) -> None:
        """Close it as a dead machine's kernel would (RST)."""
        if self._writer is not None:
            sock: socket.socket = self._writer.get_extra_info("socket")
            with suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self._writer.transport.abort()
        self._reader = self._writer = None
