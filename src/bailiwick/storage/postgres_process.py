"""A child process that cannot outlive this one.

Guarantees:
- it gets SIGINT (PostgreSQL: fast shutdown) when this process ends, kill -9 included. On Linux
  the kernel sends it. It does so when the *thread* that forked ends, so a start from any other
  thread than the main one, and every start elsewhere than on Linux, is tied by a watchdog
  instead: a shell that waits for its pipe from us to close;
- it is a direct child, so its end is known and never mistaken;
- it has a session of its own, so Ctrl-C on the terminal reaches only this process, which decides
  in which order things stop; and nothing of our environment, so no secret in it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, final

from bailiwick.storage.postgres_account import Account

ENVIRONMENT: Final = {"LC_ALL": "C", "TZ": "UTC", "PATH": "/usr/bin:/bin"}

_PR_SET_PDEATHSIG: Final = 1
_WATCHDOG: Final = 'trap "" HUP INT TERM QUIT; read -r _; kill -INT "$1"'


@final
class TiedProcess:
    """A direct child of this process that is told to shut down when this process ends."""

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        account: Account | None,
        output: int,
        pass_fds: tuple[int, ...] = (),
    ) -> None:
        """Start `command` as `account` with its output to the descriptor `output`."""
        tie = end_with_parent(signal.SIGINT)
        self._watchdog: subprocess.Popen[bytes] | None = None
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=ENVIRONMENT,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            pass_fds=pass_fds,
            start_new_session=True,
            umask=0o077,
            # Runs between fork and exec, in the main thread only (see `end_with_parent`), and
            # takes no lock and imports nothing: safe beside other threads.
            preexec_fn=tie,  # noqa: PLW1509
        )
        if tie is None:
            try:
                self._watchdog = self._watched_by_pipe(account)
            except BaseException:
                self._process.kill()
                self._process.wait()
                raise

    @property
    def pid(self) -> int:
        """The process id, also after its end."""
        return self._process.pid

    def poll(self) -> int | None:
        """Return the exit status, or `None` while it lives."""
        status = self._process.poll()
        if status is not None:
            self._untie()
        return status

    def wait(self, seconds: float) -> bool:
        """Wait for its end; say whether it has ended."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self.poll() is not None

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if it still lives."""
        self._process.send_signal(number)

    def _watched_by_pipe(self, account: Account | None) -> subprocess.Popen[bytes]:
        """Start the watchdog. Only this process holds the pipe's writing end."""
        return subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "postgres-watchdog", str(self.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            env=ENVIRONMENT,
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
            start_new_session=True,
        )

    def _untie(self) -> None:
        """End the watchdog before its pipe closes: the number it would signal is free again."""
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.wait()
            if self._watchdog.stdin is not None:
                self._watchdog.stdin.close()
            self._watchdog = None


def end_with_parent(number: signal.Signals) -> Callable[[], None] | None:
    """Return what a child runs before exec to be sent `number` when this process ends.

    `None` where the kernel cannot promise that: not on Linux, or not in the main thread.
    """
    if sys.platform != "linux" or threading.current_thread() is not threading.main_thread():
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    parent = os.getpid()

    def tie() -> None:
        if prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "PR_SET_PDEATHSIG")
        if os.getppid() != parent:  # it ended between fork and prctl: the signal will not come
            os.kill(os.getpid(), signal.SIGKILL)

    return tie
