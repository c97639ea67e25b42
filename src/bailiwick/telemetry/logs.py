"""Logs: one line an event on standard error, with a time, a level, the process and what happened; JSON, or text.

No prompt, no answer, no header and no secret is ever given to a log, nor what an application calls its end users. Of an
unexpected error the type and the places in our code are told; its message only if it is our own, since a driver's may
quote the values it was given. Of what libraries report only where it was said, for the same reason. An event is one
line, whatever is in it: line breaks and other control characters are escaped.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Final, TextIO, final

from bailiwick.domain.errors import BailiwickError

LEVELS: Final = ("debug", "info", "warning", "error")
_DEEPEST: Final = 30
# What stands in a line of text without quotes.
_PLAIN: Final = re.compile(r"[\w.:/+@-]+", re.ASCII)


@final
class Log:
    """Writes the log of one process."""

    def __init__(
        self, stream: TextIO, *, process: str, level: str, now: Callable[[], datetime], form: str = "json"
    ) -> None:
        """`level` is one of `LEVELS`, `form` `json` or `text`; `now` is the wall clock, in UTC."""
        self._stream = stream
        self._process = process
        self._now = now
        self._render = _json if form == "json" else _text
        self._lowest: int = getattr(logging, level.upper())
        self.tells_events: Final = self._lowest <= logging.INFO
        """Whether anything becomes of `event`: who has much to tell may ask before."""

    def event(self, what: str, **facts: object) -> None:
        """Tell of something that is as it should be."""
        self._tell(logging.INFO, what, facts)

    def warning(self, what: str, **facts: object) -> None:
        """Tell of something that somebody may want to mend."""
        self._tell(logging.WARNING, what, facts)

    def failure(self, request_id: str | None, error: BaseException) -> None:
        """Tell of an error that nobody expected."""
        facts: dict[str, object] = {
            "request_id": request_id,
            "error": _name(error),
            "message": str(error) if isinstance(error, BailiwickError) else None,
            "cause": None if error.__cause__ is None else type(error.__cause__).__qualname__,
            "places": _places(error.__traceback__),
        }
        self._tell(logging.ERROR, "unexpected error", facts)

    def take_over(self) -> None:
        """Be where all goes that libraries report, from warnings on, and all errors that nobody could catch."""
        logging.basicConfig(level=logging.WARNING, handlers=[_Reports(self)], force=True)
        # A database that is away is told of by who needs it; its pool would say so at every attempt to connect.
        logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
        logging.captureWarnings(capture=True)
        sys.unraisablehook = self._uncaught
        threading.excepthook = self._uncaught

    def reported(self, record: logging.LogRecord) -> None:
        """Tell that a library has something to report: where, and of which error, but none of its words."""
        error = record.exc_info[1] if record.exc_info else None
        facts: dict[str, object] = {
            "library": record.name,
            "place": f"{_file(record.pathname)}:{record.lineno} {record.funcName}",
            "error": None if error is None else _name(error),
            "places": None if error is None else _places(error.__traceback__),
        }
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        self._tell(level, "a library reports trouble", facts)

    def _uncaught(self, met: sys.UnraisableHookArgs | threading.ExceptHookArgs) -> None:
        if met.exc_value is not None:
            self.failure(None, met.exc_value)

    def _tell(self, level: int, what: str, facts: Mapping[str, object]) -> None:
        if level < self._lowest:
            return
        head = {"time": self._now().isoformat(timespec="milliseconds"), "process": self._process}
        event = {**head, **facts, "event": what, "level": logging.getLevelName(level).lower()}
        with suppress(OSError):  # A full disk, or nobody at the other end, is no reason to fail a call.
            self._stream.write(f"{self._render(event)}\n")
            self._stream.flush()


@final
class _Reports(logging.Handler):
    """Where Python's own logging ends."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        self._log.reported(record)


def _json(event: dict[str, object]) -> str:
    return json.dumps(event, default=repr)


def _text(event: dict[str, object]) -> str:
    """Write an event for people: time, level, process, what happened, and the facts that there are."""
    head = [str(event.pop(name)) for name in ("time", "level", "process", "event")]
    facts = [f"{name}={_value(value)}" for name, value in event.items() if value is not None]
    return " ".join([*head, *facts])


def _value(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value):
        return value
    return json.dumps(value, default=str)


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _file(path: str) -> str:
    """A file's name without the folders of this machine."""
    for folder in ("bailiwick/", "site-packages/"):
        if folder in path:
            return path.rpartition(folder)[2]
    return path.rpartition("/")[2]


def _places(trace: TracebackType | None) -> list[str]:
    frames = traceback.extract_tb(trace)[-_DEEPEST:]
    return [f"{_file(frame.filename)}:{frame.lineno} {frame.name}" for frame in frames]
