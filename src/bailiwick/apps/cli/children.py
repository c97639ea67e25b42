"""The child processes of `serve`: started with their settings, watched, started again, and ended with it.

A child is a Python process of its own with nothing of the parent's memory. It reads one line of settings from a pipe
that then stays open: when the parent dies, however it dies, the pipe ends and so does the child. It is in a session of
its own, so that Ctrl-C reaches the parent only, which then says in which order all end.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import IO, Final, final

import msgspec

_READY: Final = b"ready\n"
_HEEDED: Final = b"heeded\n"
_SLOWEST_TO_HEED: Final = 5.0
_SLOWEST_START: Final = 30.0
# A child that dies again and again is started again after 0.1, 0.2, 0.4 … seconds, at most this.
_LONGEST_PAUSE: Final = 2.0
_HEALTHY_AFTER: Final = 10.0
_LOOK_SECONDS: Final = 0.02
# What a process that is hurried needs to tell its callers and to settle their calls.
_HURRIED_SECONDS: Final = 5.0


class ChildFailed(Exception):
    """A child did not become ready."""


@final
class Child:
    """One child process, and its successors."""

    def __init__(self, name: str, module: str, *, inherits: Sequence[int] = ()) -> None:
        """`module` is run with `-m`; `inherits` are file descriptors that it gets under the same numbers."""
        self.name = name
        self._module = module
        self._settings = b""
        self._inherits = tuple(inherits)
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = 0.0
        self._pause = 0.0
        self._again_at = 0.0
        self._ready = False

    @property
    def pid(self) -> int | None:
        """The process's id, None if there is none."""
        return None if self._process is None else self._process.pid

    def begin(self) -> None:
        """Start the process, which reads its modules while it waits for its settings."""
        # `-P` keeps the current folder off the path: a file there must not be imported in place of a library.
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=self._inherits,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if not _is_secret(name)},
        )
        self._started_at = time.monotonic()
        self._ready = False

    def start(self, settings: msgspec.Struct) -> None:
        """Give the process that was begun its settings; `await_ready` says when it serves."""
        self._settings = msgspec.json.encode(settings) + b"\n"
        self._hand_settings()

    def await_ready(self) -> None:
        """Wait until the child serves; raises `ChildFailed`."""
        process = self._running()
        output = process.stdout
        deadline = time.monotonic() + _SLOWEST_START
        with selectors.DefaultSelector() as selector:
            if output is None:
                raise ChildFailed(self.name)
            selector.register(output, selectors.EVENT_READ)
            while time.monotonic() < deadline:
                if selector.select(timeout=0.2):
                    if _read_line(output) != _READY:
                        break
                    self._ready = True
                    return
                if process.poll() is not None:
                    break
        message = f"the {self.name} process did not start; its log is above"
        raise ChildFailed(message)

    def tell(self, settings: msgspec.Struct, change: msgspec.Struct) -> bool:
        """Tell the process what has changed; returns whether it heeds it by now. Successors get `settings`."""
        self._settings = msgspec.json.encode(settings) + b"\n"
        process = self._running()
        if process.stdin is None or process.stdout is None or process.poll() is not None:
            return False
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(change) + b"\n")
            process.stdin.flush()
        heard = b""
        deadline = time.monotonic() + _SLOWEST_TO_HEED
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while time.monotonic() < deadline and process.poll() is None:
                if selector.select(timeout=0.2):
                    heard += _read_line(process.stdout)
                    if heard.endswith(_HEEDED):  # "ready" may come before it, of one that has just been started.
                        return True
        return False

    def succeed(self, settings: msgspec.Struct) -> None:
        """Start another process with other settings, and wait until it serves; the one before has ended."""
        self.begin()
        self.start(settings)
        self.await_ready()

    def keep_alive(self) -> str | None:
        """Start the process again if it has died; returns what to tell the operator, if anything. Never waits."""
        process = self._running()
        now = time.monotonic()
        status = process.poll()
        if status is None:
            if now - self._started_at > _HEALTHY_AFTER:
                self._pause = 0.0
            return None
        if self._again_at == 0.0:
            self._again_at = now + self._pause
            self._pause = min(max(self._pause * 2, 0.1), _LONGEST_PAUSE)
            self._close_pipes()
            return f"the {self.name} process ended with status {status} and is started again"
        if now >= self._again_at:
            self._again_at = 0.0
            try:
                self.begin()
            except OSError as error:
                return f"the {self.name} process cannot be started: {error.strerror}"
            self._hand_settings()
        return None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is somebody to get it."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def end(self, patience: float, hurried: Callable[[], bool]) -> None:
        """Ask the process to end, and end it after `patience` seconds; returns when it is gone.

        As soon as `hurried` says so it is asked once more, and then has a few seconds at most.
        """
        if self._process is None:
            return
        self.signal(signal.SIGTERM)
        asked_again = False
        until = time.monotonic() + patience
        while self._process.poll() is None and time.monotonic() < until:
            if hurried() and not asked_again:
                asked_again = True
                self.signal(signal.SIGTERM)
                until = min(until, time.monotonic() + _HURRIED_SECONDS)
            time.sleep(_LOOK_SECONDS)
        self.kill()

    def kill(self) -> None:
        """End the process at once, if there is one; returns when it is gone."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        self._close_pipes()
        self._process = None

    def _hand_settings(self) -> None:
        process = self._running()
        if process.stdin is not None:
            with suppress(BrokenPipeError):  # It has ended already; whoever waits for it is told.
                process.stdin.write(self._settings)
                process.stdin.flush()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            message = f"the {self.name} process was not started"
            raise ChildFailed(message)
        return self._process

    def _close_pipes(self) -> None:
        if self._process is not None:
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()


def _read_line(pipe: IO[bytes]) -> bytes:
    # Read as the kernel has it, not through a buffer that would hide from the selector what it took.
    return os.read(pipe.fileno(), 4096)


def _is_secret(name: str) -> bool:
    """Whether a child has no business with this variable: it is told what it needs."""
    return name.startswith("BAILIWICK_") or name.endswith(("_API_KEY", "_TOKEN", "_SECRET", "_PASSWORD"))
