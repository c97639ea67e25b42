"""Notices clients that went away or stopped reading, and ends their calls.

Most calls are over before anybody could hang up, so nothing is done for a call in its first tenth of a second; then a
task waits for the disconnect that the server reports. One timer serves all calls. Guarantees: a call whose client is
gone is cancelled within about 0.2 s; a client that reads nothing for `SLOW_READER_SECONDS` is cut.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final, final

# ASGI messages: the values depend on the message's type.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

SLOW_READER_SECONDS: Final = 60.0
_SWEEP_SECONDS: Final = 0.1


@final
class Watched:
    """One call in flight.

    `gone`: it was cancelled because of its client. `ending`: its last bytes are on their way. `sending_since`: when the
    client was last asked to take bytes that it has not taken yet.
    """

    __slots__ = ("began", "ending", "gone", "over", "receive", "sending_since", "task", "watcher")

    def __init__(self, task: asyncio.Task[Any], receive: Receive, began: float) -> None:
        self.task = task
        self.receive = receive
        self.began = began
        self.sending_since: float | None = None
        self.watcher: asyncio.Task[None] | None = None
        self.gone = False
        self.ending = False
        self.over = False

    def cut(self) -> None:
        """End the call; its client is gone or as good as gone."""
        if not self.over and not self.gone:
            self.gone = True
            self.task.cancel()

    def leave(self) -> None:
        """The call is answered: what its client does now is no concern of it."""
        self.over = True
        if self.watcher is not None:
            self.watcher.cancel()


@final
class Watch:
    """Watches the calls of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """`loop` is the one that all calls run on."""
        self._loop = loop
        self.time = loop.time
        self._young: deque[Watched] = deque()
        self._watched: set[Watched] = set()

    @property
    def size(self) -> int:
        """How many calls are kept in mind, at most a tenth of a second longer than they last."""
        return len(self._young) + len(self._watched)

    def enter(self, receive: Receive) -> Watched:
        """Watch the current task's call, whose request has been read to its end."""
        task = asyncio.current_task(self._loop)  # Finding the loop would be a system call.
        if task is None:
            message = "a call is carried out in a task"
            raise RuntimeError(message)
        watched = Watched(task, receive, self.time())
        self._young.append(watched)
        return watched

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self.time()
            while self._young and self._young[0].began <= now - _SWEEP_SECONDS:
                watched = self._young.popleft()
                if not watched.over:
                    self._watched.add(watched)
                    watched.watcher = self._loop.create_task(_await_disconnect(watched))
                    # Not in the task itself: one that is cancelled before its first step never runs.
                    watched.watcher.add_done_callback(partial(self._forget, watched))
            for watched in self._watched:
                if watched.sending_since is not None and now - watched.sending_since > SLOW_READER_SECONDS:
                    watched.cut()

    def _forget(self, watched: Watched, _watcher: asyncio.Task[None]) -> None:
        self._watched.discard(watched)


async def _await_disconnect(watched: Watched) -> None:
    while (await watched.receive())["type"] != "http.disconnect":
        pass
    # A server reports the same when an answer is complete.
    if not watched.ending:
        watched.cut()
