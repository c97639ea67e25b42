"""What a system must offer to be measured, and the question that proves it is the right one."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Protocol

from bench.calls import USERS, Call, Kind
from bench.errors import BenchError
from bench.mock import ANSWER, EVENTS

if TYPE_CHECKING:
    from collections.abc import Callable


class Loadable(Protocol):
    """What one measurement needs of a system."""

    @property
    def name(self) -> str:
        """The short name, as `--only` takes it."""
        ...

    @property
    def worker_marker(self) -> str | None:
        """What the command line of the process that carries the calls holds; None: all of it."""
        ...

    @property
    def pid(self) -> int | None:
        """The root of the process tree; None for the direct call."""
        ...

    def call(self, kind: Kind) -> Call:
        """Return the call that this system is asked to carry."""
        ...

    def recorded(self) -> int | None:
        """Return how many calls the system has on record; None if it keeps no record."""
        ...


class System(Loadable, Protocol):
    """A gateway under measurement, or the direct call that it is compared with."""

    @property
    def title(self) -> str:
        """The name and version shown in the tables."""
        ...

    def start(self) -> None:
        """Start and set up; raise `BenchError` if the system cannot take part."""
        ...

    def stop(self) -> None:
        """Stop the whole tree."""
        ...


def ask(call: Call) -> tuple[int, bytes]:
    """Send `call` once and return status and body, whatever the status."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{call.port}{call.path}",
        data=call.body(),
        headers=dict(call.all_headers()) | {"X-End-User-Id": f"user-{USERS:04d}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310 - loopback
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def answers(call: Callable[[Kind], Call]) -> bool:
    """Whether a first small call is answered with 200; for waiting until a system is ready."""
    try:
        return ask(call(Kind.SMALL))[0] == 200
    except OSError:
        return False


def require_right_answers(system: System) -> None:
    """Ask for one of each kind and raise `BenchError` unless the provider's answers come back."""
    for kind in Kind:
        status, body = ask(system.call(kind))
        if status != 200 or not _is_right(kind, body):
            shown = body[:400].decode(errors="replace")
            message = f"{system.name}: wrong answer to a {kind} call, status {status}: {shown}"
            raise BenchError(message)


def _is_right(kind: Kind, body: bytes) -> bool:
    if kind is Kind.STREAM:
        # One peer folds the first and last chunks into others, so a few may be missing.
        return body.count(b"data: ") >= EVENTS - 4 and b"[DONE]" in body
    try:
        return bool(json.loads(body)["choices"][0]["message"]["content"] == ANSWER)
    except (ValueError, KeyError, IndexError, TypeError):
        return False
