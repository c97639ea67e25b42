"""Watches calls in flight: for clients that went away, and for callers whose right to go on was taken away.

A call whose client is gone is ended at once, or, where that is asked for, when it is done; one whose caller may not go
on ends with the error that says so.

Most calls are over before anybody could hang up, so nothing is done for a call in its first tenth of a second; then a
task waits for the disconnect that the server reports. One timer serves all calls. Guarantees: a call whose client is
gone is cancelled within about 0.2 s; one that goes on all the same, at most `HEARD_OUT_SECONDS` later; and of every
call that was there before a change it is asked whether it may go on, within 0.2 s of the process' knowing of it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from functools import partial
from typing import Any, Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused

# ASGI messages: the values depend on the message's type.
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]

HEARD_OUT_SECONDS: Final = 600.0
_SWEEP_SECONDS: Final = 0.1
_AT_ONCE: Final = 100
# What ends a call that was admitted. A credential that runs out lets what it began come to its end, and so does one of
# which only something was taken.
_ENDING: Final = frozenset(
    {
        Code.INVALID_CREDENTIALS,
        Code.REVOKED_CREDENTIALS,
        Code.TENANT_SUSPENDED,
        Code.PROJECT_SUSPENDED,
        Code.NOT_A_MEMBER,
        Code.USER_BLOCKED,
    }
)


@final
class Watched(msgspec.Struct, eq=False):
    """One call in flight.

    `gone`: its client is. `goes_on`: that is no reason to end it. `ending`: its last bytes are on their way.
    `may_go_on` raises `Refused` if the caller may no longer, which is kept in `refused`; `known` is how things stood
    when that was asked last. `task` and `receive` are there until the call is `over`.
    """

    task: asyncio.Task[Any] | None
    receive: Receive | None
    began: float
    known: object
    watcher: asyncio.Task[None] | None = None
    gone: bool = False
    goes_on: bool = False
    ending: bool = False
    over: bool = False
    may_go_on: Callable[[], Awaitable[object]] | None = None
    refused: Refused | None = None

    def leave(self) -> None:
        """The call is answered: what its client does now is no concern of it."""
        self.over = True
        if self.watcher is not None:
            self.watcher.cancel()
            # What a cancelled task keeps of its end leads back to here: only the garbage collector would find them.
            self.watcher = None
        # This outlives the call by a tenth of a second, in which hundreds of others come: it keeps nothing of it.
        self.task = self.receive = self.may_go_on = None

    def cancel(self) -> None:
        """End the call, if it goes on."""
        if self.task is not None:
            self.task.cancel()


@final
class Watch:
    """Watches the calls of one event loop."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        heard_out: float = HEARD_OUT_SECONDS,
        standing: Callable[[], object] = lambda: None,
    ) -> None:
        """`loop` is the one that all calls run on; `heard_out` is how long a call may go on without its client.

        `standing` says how things stand, as a value that is another one after every change that calls depend on, and
        None while nobody knows.
        """
        self._standing = standing
        self._known = standing()
        self._asking: asyncio.Task[None] | None = None
        self._loop = loop
        self._heard_out = heard_out
        self._time = loop.time
        self._young: deque[Watched] = deque()
        self._watched: set[Watched] = set()

    @property
    def size(self) -> int:
        """How many calls are kept in mind, at most a tenth of a second longer than they last."""
        return len(self._young) + len(self._watched)

    def enter(self, receive: Receive, task: asyncio.Task[Any] | None = None) -> Watched:
        """Watch the call of `task`, the current one if that is not known; its request has been read to its end."""
        task = task or asyncio.current_task(self._loop)  # Finding the loop would be a system call.
        if task is None:
            message = "a call is carried out in a task"
            raise RuntimeError(message)
        watched = Watched(task, receive, self._time(), self._known)
        self._young.append(watched)
        return watched

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            now = self._time()
            self._look_for_changes()
            while self._young and self._young[0].began <= now - _SWEEP_SECONDS:
                watched = self._young.popleft()
                if not watched.over:
                    self._watched.add(watched)
                    watched.watcher = self._loop.create_task(_await_disconnect(watched, self._heard_out))
                    # Not in the task itself: one that is cancelled before its first step never runs.
                    watched.watcher.add_done_callback(partial(self._forget, watched))

    def _look_for_changes(self) -> None:
        standing = self._standing()
        if standing is None or (self._asking is not None and not self._asking.done()):
            return
        if standing != self._known:
            self._known = standing
        stale = [watched for watched in self._watched if watched.known is not self._known]
        if stale:
            self._asking = self._loop.create_task(self._ask(stale, self._known))

    async def _ask(self, calls: list[Watched], known: object) -> None:
        """Ask of each whether it may go on, a few at a time: there may be thousands."""
        for number, watched in enumerate(calls):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            if watched.over or watched.may_go_on is None:
                continue
            try:
                await watched.may_go_on()
            except Refused as refused:
                if refused.code is Code.UNAVAILABLE:
                    continue  # It is asked again.
                if refused.code in _ENDING and not watched.over:
                    watched.refused = refused
                    watched.cancel()
            watched.known = known

    def _forget(self, watched: Watched, _watcher: asyncio.Task[None]) -> None:
        self._watched.discard(watched)


async def _await_disconnect(watched: Watched, heard_out: float) -> None:
    receive = watched.receive
    while receive is not None and (await receive())["type"] != "http.disconnect":
        pass
    # A server reports the same when an answer is complete.
    if watched.ending:
        return
    watched.gone = True
    if watched.goes_on:
        await asyncio.sleep(heard_out)
    watched.cancel()
