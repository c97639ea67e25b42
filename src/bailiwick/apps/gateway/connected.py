"""Who is connected to one server, and how long they may keep it waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

import msgspec

from bailiwick.apps.gateway.exchange import Application
from bailiwick.apps.gateway.heads import KnownHeads

if TYPE_CHECKING:
    from bailiwick.apps.gateway.connection import Connection


@final
class Patience(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may keep us waiting for, in seconds.

    For a `head` to arrive, the first one from the very beginning; for the rest of a request that was answered before
    (`linger`); for an answer to be taken (`reader`); for the next request (`idle`).
    """

    head: float
    linger: float
    reader: float
    idle: float


@final
class Connected:
    """Who is connected to one server, and what they asked that is being answered."""

    def __init__(self, application: Application, patience: Patience, *, new_id: Callable[[], str]) -> None:
        """`new_id` names the errors that are answered before the application is asked."""
        self.loop: Final = asyncio.get_running_loop()
        self.application: Final = application
        self.patience: Final = patience
        self.new_id: Final = new_id
        self.connections: Final[set[Connection]] = set()
        self.tasks: Final[set[asyncio.Task[None]]] = set()
        self.known: Final = KnownHeads()
