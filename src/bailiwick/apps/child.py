"""What every child process of `serve` does: read its settings, and end with its parent."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, TypeVar

import msgspec

Settings = TypeVar("Settings", bound=msgspec.Struct)

# Without its parent a process has no database either: it has this long to answer what it can, the last part of it to
# cut short what is left.
_ORPHAN_SECONDS: Final = 5.0
_ORPHAN_PATIENCE: Final = 3.0
_NOTHING_WORKS: Final = 70


def read_settings(kind: type[Settings]) -> Settings:
    """Read the one line that the parent wrote; raises `msgspec.MsgspecError` when it is none of ours."""
    return msgspec.json.decode(sys.stdin.buffer.readline(), type=kind)


def say_ready() -> None:
    """Tell the parent that requests are accepted."""
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def end_with_parent() -> None:
    """When the pipe from the parent ends, end as if it had said so, and in any case soon."""
    loop = asyncio.get_running_loop()

    def parent_is_gone() -> None:
        if os.read(sys.stdin.fileno(), 4096):
            return
        loop.remove_reader(sys.stdin.fileno())
        loop.call_later(_ORPHAN_SECONDS, os._exit, _NOTHING_WORKS)
        loop.call_later(_ORPHAN_PATIENCE, os.kill, os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin.fileno(), parent_is_gone)


@asynccontextmanager
async def background(work: Coroutine[Any, Any, None]) -> AsyncGenerator[None]:
    """Run `work` beside the block, and end it with the block."""
    task = asyncio.get_running_loop().create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
