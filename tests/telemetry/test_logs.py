"""The log: one event a line, in either form, and never more of an error than its type and its places."""

from __future__ import annotations

import io
import json
import logging
import sys
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Final

import pytest

from bailiwick.domain.errors import BailiwickError
from bailiwick.telemetry.logs import Log

SECRET: Final = "sk-a-secret-that-was-quoted"
EVIL: Final = 'two\nlines\r\n\x00\x1b[31m\x7f\x85\u2028 {"level": "error"}'


def log(stream: io.StringIO, form: str = "json", level: str = "debug") -> Log:
    return Log(stream, process="test", level=level, form=form, now=lambda: datetime(2026, 11, 21, tzinfo=UTC))


def raised(error: Exception, cause: Exception | None) -> Exception:
    """The error, as it is once it was raised."""
    try:
        raise error from cause
    except type(error) as caught:
        return caught


@pytest.fixture
def stream() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def libraries(stream: io.StringIO) -> Iterator[io.StringIO]:
    """Where libraries report to, while they do so to our log."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    hooks = sys.unraisablehook, threading.excepthook
    log(stream).take_over()
    yield stream
    sys.unraisablehook, threading.excepthook = hooks
    logging.captureWarnings(capture=False)
    root.handlers[:] = before
    root.setLevel(level)


def test_an_event_is_a_json_object_on_a_line(stream: io.StringIO) -> None:
    log(stream).event("it happened", number=7, nothing=None)
    assert json.loads(stream.getvalue()) == {
        "time": "2026-11-21T00:00:00.000+00:00", "level": "info", "process": "test", "event": "it happened",
        "number": 7, "nothing": None,
    }  # fmt: skip


def test_text_says_what_is_and_leaves_out_what_is_not(stream: io.StringIO) -> None:
    log(stream, "text").warning("it happened", number=7, nothing=None, plain="/v1/chat", spaced="a b", many=["x"])
    assert stream.getvalue() == (
        '2026-11-21T00:00:00.000+00:00 warning test it happened number=7 plain=/v1/chat spaced="a b" many=["x"]\n'
    )


@pytest.mark.parametrize("form", ["json", "text"])
def test_whatever_is_in_a_value_an_event_is_one_line_of_printable_characters(stream: io.StringIO, form: str) -> None:
    log(stream, form).event("it happened", value=EVIL, inside=[EVIL], message=ValueError(EVIL))
    (line,) = stream.getvalue().splitlines()
    assert line.isprintable()
    if form == "json":
        assert json.loads(line)["value"] == EVIL


@pytest.mark.parametrize(("level", "expected"), [("debug", 3), ("info", 3), ("warning", 2), ("error", 1)])
def test_what_is_below_the_level_is_not_written(stream: io.StringIO, level: str, expected: int) -> None:
    quiet = log(stream, level=level)
    quiet.event("a")
    quiet.warning("b")
    quiet.failure(None, ValueError())
    assert len(stream.getvalue().splitlines()) == expected
    assert quiet.tells_events == (expected == 3)


@pytest.mark.parametrize("form", ["json", "text"])
def test_of_an_unexpected_error_the_type_and_places_are_told_and_no_word_of_others(
    stream: io.StringIO, form: str
) -> None:
    log(stream, form).failure("req_1", raised(ValueError(SECRET), KeyError(SECRET)))
    told = stream.getvalue()
    assert SECRET not in told
    assert all(part in told for part in ("req_1", "builtins.ValueError", "KeyError", "test_logs.py:"))


def test_of_our_own_errors_the_message_is_told(stream: io.StringIO) -> None:
    log(stream).failure("req_1", BailiwickError("the words are ours"))
    assert json.loads(stream.getvalue())["message"] == "the words are ours"


def test_what_libraries_report_is_told_by_place_and_without_their_words(libraries: io.StringIO) -> None:
    logging.getLogger("some.library").warning("it quotes %s", SECRET)
    logging.getLogger("asyncio").error("never retrieved: %r", SECRET, exc_info=raised(RuntimeError(SECRET), None))
    warnings.simplefilter("always")
    warnings.warn(SECRET, UserWarning, stacklevel=1)
    logging.getLogger("some.library").info("and this is nothing")
    first, second, third = (json.loads(line) for line in libraries.getvalue().splitlines())
    assert (first["event"], first["library"], first["level"]) == (
        "a library reports trouble",
        "some.library",
        "warning",
    )
    assert first["place"].startswith("test_logs.py:")
    assert (second["library"], second["error"], second["level"]) == ("asyncio", "builtins.RuntimeError", "error")
    assert third["library"] == "py.warnings"
    assert SECRET not in libraries.getvalue()


def test_an_error_that_nobody_can_catch_is_told_without_its_words(libraries: io.StringIO) -> None:
    class Ends:
        def __del__(self) -> None:
            raise ValueError(SECRET)

    def fail() -> None:
        raise KeyError(SECRET)

    ended = Ends()
    del ended
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    told = [json.loads(line) for line in libraries.getvalue().splitlines()]
    assert [(line["event"], line["error"]) for line in told] == [
        ("unexpected error", "builtins.ValueError"),
        ("unexpected error", "builtins.KeyError"),
    ]
    assert SECRET not in libraries.getvalue()


def test_a_stream_that_cannot_be_written_is_no_reason_to_fail() -> None:
    class Full(io.StringIO):
        def write(self, _text: str) -> int:
            raise OSError("no space left")

    log(Full()).event("it happened")
