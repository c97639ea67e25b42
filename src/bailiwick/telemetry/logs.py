"""Logs: one JSON object a line on standard error, with a time, a level, the process and what happened.

No prompt, no answer, no header and no secret is ever given to a log. Of an unexpected error the type and the places in
our code are told; its message only if it is our own, since a driver's may quote the values it was given.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any, Final, TextIO, cast, final

import structlog

from bailiwick.domain.errors import BailiwickError

LEVELS: Final = ("debug", "info", "warning", "error")
_DEEPEST: Final = 30


@final
class _Forgiving:
    """A stream on which nothing fails: a full disk, or nobody at the other end, is no reason to fail a call."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()


@final
class Log:
    """Writes the log of one process."""

    def __init__(self, stream: TextIO, *, process: str, level: str, now: Callable[[], datetime]) -> None:
        """`level` is one of `LEVELS`; `now` is the wall clock, in UTC."""

        def stamp(_logger: object, _method: str, event: Any) -> Any:
            return {"time": now().isoformat(timespec="milliseconds"), "process": process, **event}

        self._logger = structlog.wrap_logger(
            structlog.WriteLogger(cast("TextIO", _Forgiving(stream))),
            processors=[structlog.processors.add_log_level, stamp, structlog.processors.JSONRenderer()],
            wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        )

    def event(self, what: str, **facts: object) -> None:
        """Tell of something that is as it should be."""
        self._logger.info(what, **facts)

    def warning(self, what: str, **facts: object) -> None:
        """Tell of something that somebody may want to mend."""
        self._logger.warning(what, **facts)

    def failure(self, request_id: str | None, error: BaseException) -> None:
        """Tell of an error that nobody expected."""
        frames = traceback.extract_tb(error.__traceback__)[-_DEEPEST:]
        self._logger.error(
            "unexpected error",
            request_id=request_id,
            error=f"{type(error).__module__}.{type(error).__qualname__}",
            message=str(error) if isinstance(error, BailiwickError) else None,
            cause=None if error.__cause__ is None else type(error.__cause__).__qualname__,
            places=[f"{frame.filename.rpartition('bailiwick/')[2]}:{frame.lineno} {frame.name}" for frame in frames],
        )
