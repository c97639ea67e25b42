"""A client's surroundings as a test wants them: a clock that moves only when it is told to or the client waits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, final

from bailiwick.client.ambient import Ambient

START: Final = 1_800_000_000.0


@final
class Surroundings:
    """Time and waiting. `waited` holds how long each wait was."""

    def __init__(self, environment: Mapping[str, str] | None = None, *, jitter: float = 0.0) -> None:
        self.wall = START
        self.monotonic = 5_000.0
        self.waited: list[float] = []
        self.ambient = Ambient(
            environment=environment or {},
            wall=lambda: self.wall,
            monotonic=lambda: self.monotonic,
            jitter=lambda: jitter,
            sleep=self._sleep,
            pause=self._pause,
        )

    def let_pass(self, seconds: float) -> None:
        """Both clocks go on."""
        self.wall += seconds
        self.monotonic += seconds

    def _sleep(self, seconds: float) -> None:
        self.waited.append(seconds)
        self.let_pass(seconds)

    async def _pause(self, seconds: float) -> None:
        self._sleep(seconds)
