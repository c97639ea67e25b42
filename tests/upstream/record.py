"""What the stand-in saw of one request."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Record:
    """One request and what became of it; times are `time.monotonic()` seconds, None until it happens."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    """As they came: order, case and repetitions kept."""
    body: bytes
    """Without its transfer coding."""
    raw: bytes
    """Every byte of the request, as it came."""
    connection: int
    """Number of the connection, counted from 1 as they were accepted."""
    opened_at: float
    """When its connection was accepted."""
    received_at: float
    """When the request was complete."""
    first_byte_at: float | None = None
    """When the first byte of the answer was sent."""
    finished_at: float | None = None
    """When the answer was sent to its end; None for an answer that was cut, by either side."""
    closed_at: float | None = None
    """When the connection was closed, by either side."""
    chunks_sent: int = 0
    """Whole frames handed to the socket."""
    sent_at: list[float] = field(default_factory=list)
    """When each of them was."""
    peer_closed_early: bool = False
    """The peer went away before the answer was sent to its end."""

    def sent(self, frames: int) -> None:
        """Count frames that were handed to the socket."""
        self.chunks_sent += frames
        self.sent_at += [time.monotonic()] * frames

    def header(self, name: str) -> str | None:
        """Return the first header of that name, in any case."""
        wanted = name.lower()
        return next((value for key, value in self.headers if key.lower() == wanted), None)

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return json.loads(self.body)

    @property
    def model(self) -> str | None:
        """The model that the body names, if it is JSON and names one."""
        try:
            content = json.loads(self.body)
        except ValueError:
            return None
        model = content.get("model") if isinstance(content, dict) else None
        return model if isinstance(model, str) else None
