"""The clock, randomness and environment of a program that uses the client. The rest of it gets them from here."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ambient:
    """What a client takes from its surroundings; a test gives its own.

    `wall` is Unix time in seconds, `monotonic` seconds of a clock that is never set, `jitter` a number from 0 to 1,
    `sleep` and `pause` wait for so many seconds.
    """

    environment: Mapping[str, str]
    wall: Callable[[], float]
    monotonic: Callable[[], float]
    jitter: Callable[[], float]
    sleep: Callable[[float], None]
    pause: Callable[[float], Awaitable[None]]


AMBIENT: Final = Ambient(
    environment=os.environ,
    wall=time.time,
    monotonic=time.monotonic,
    jitter=random.random,
    sleep=time.sleep,
    pause=asyncio.sleep,
)
