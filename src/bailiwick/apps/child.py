"""What every child process of `serve` does: read its settings, heed its parent, and end with it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
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
    """Read the one line that the parent wrote; raises `msgspec.MsgspecError` when it is none of ours.

    Ends this process if the parent ended before.
    """
    # Without a buffer, which would keep what the parent has written after it.
    with open(sys.stdin.fileno(), "rb", buffering=0, closefd=False) as parent:
        line = parent.readline()
    if not line:
        sys.exit(_NOTHING_WORKS)
    return msgspec.json.decode(line, type=kind)


def say_ready() -> None:
    """Tell the parent that requests are accepted."""
    _say("ready")


def heed_parent(told: Callable[[bytes], None] = lambda _: None) -> None:
    """When the pipe from the parent ends, end as if it had said so, and in any case soon.

    Lines that it writes before are given to `told`, and the parent told that they were heeded.
    """
    loop = asyncio.get_running_loop()
    unfinished = b""

    def hear() -> None:
        nonlocal unfinished
        if heard := os.read(sys.stdin.fileno(), 4096):
            *lines, unfinished = (unfinished + heard).split(b"\n")
            for line in lines:
                told(line)
                _say("heeded")
            return
        loop.remove_reader(sys.stdin.fileno())
        loop.call_later(_ORPHAN_SECONDS, os._exit, _NOTHING_WORKS)
        loop.call_later(_ORPHAN_PATIENCE, os.kill, os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGTERM)

    loop.add_reader(sys.stdin.fileno(), hear)


def _say(word: str) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


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
