"""Windows of time that budgets count in; pure.

A day, a week (from Monday) and a month are those of a place on earth, without end or reset: a moment belongs to exactly
one of them, whatever clocks there do. A window begins with the first second at which the local date is its first day or
later: where midnight is skipped, with the second after the gap; where it comes twice, with the first.

A rolling window is counted in 60 slices of its length, and the one that is under way: what is spent counts for at least
the whole length, and at most a sixtieth longer, so that no stretch of that length ever holds more than the limit.

Everything follows from the time given, so a clock that goes back leads to the window that was.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from functools import lru_cache
from importlib.resources import files
from typing import Final, NamedTuple, assert_never, final
from zoneinfo import ZoneInfo

from bailiwick.domain.durations import DAY, MINUTE, format_duration, parse_duration

SLICES: Final = 60
SHORTEST: Final = MINUTE
LONGEST: Final = 366 * DAY
_US: Final = 1_000
_SECOND_US: Final = 1_000_000
_KEPT: Final = 4_096


class Period(StrEnum):
    """The windows that calendars have; weeks are those of ISO 8601."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"


@final
class Span(NamedTuple):
    """Where a call that opens at some moment is counted, and what counts against it then.

    It is counted in `slice`; what was counted in `first` … `slice` has not been given back. `frees_us` is the Unix time
    in microseconds from which what is counted now counts no more, None for never.
    """

    slice: int
    first: int
    frees_us: int | None


@final
@dataclass(frozen=True, slots=True)
class CalendarWindow:
    """Each day, week or month of a time zone, named as IANA does. A slice is a whole one: the second it begins with."""

    period: Period
    timezone: str = "UTC"
    _latest: list[Span] = field(init=False, repr=False, compare=False, default_factory=list)

    @property
    def said(self) -> str:
        """What the contract calls it."""
        return self.period

    @property
    def measure(self) -> str:
        """How long it is, in words of one kind."""
        return self.period

    def slices(self, opened_us: int) -> Span:
        """Where a call counts that opens at this Unix time in microseconds."""
        # Nearly all calls are in the window of the one before.
        for span in self._latest:
            if span.frees_us is not None and span.slice * _SECOND_US <= opened_us < span.frees_us:
                return span
        start, end = self._around(opened_us // _SECOND_US)
        span = Span(start, start, end * _SECOND_US)
        self._latest[:] = [span]
        return span

    def frees_us(self, slice_: int) -> int | None:
        """The Unix time in microseconds from which what was counted in `slice_` counts no more."""
        return self.slices(slice_ * _SECOND_US).frees_us

    def _around(self, second: int) -> tuple[int, int]:
        zone = _zone(self.timezone)
        day = self._floor(datetime.fromtimestamp(second, zone).date())
        start, after = _begin(day, zone), self._next(day)
        # Clocks that go back over midnight show the day before again, when the next has begun.
        while (end := _begin(after, zone)) <= second:
            start, after = end, self._next(after)
        return start, end

    def _floor(self, day: date) -> date:
        match self.period:
            case Period.DAY:
                return day
            case Period.WEEK:
                return day - timedelta(days=day.weekday())
            case Period.MONTH:
                return day.replace(day=1)
            case unknown:
                assert_never(unknown)

    def _next(self, day: date) -> date:
        match self.period:
            case Period.DAY:
                return day + timedelta(days=1)
            case Period.WEEK:
                return day + timedelta(days=7)
            case Period.MONTH:
                return (day + timedelta(days=31)).replace(day=1)
            case unknown:
                assert_never(unknown)


@final
@dataclass(frozen=True, slots=True)
class RollingWindow:
    """The last `length_us` microseconds, `said` in words. A slice is a sixtieth of that, numbered from 1970."""

    length_us: int
    said: str = field(default="", compare=False)

    @property
    def measure(self) -> str:
        """How long it is, in words of one kind."""
        return format_duration(self.length_us * _US)

    @property
    def timezone(self) -> str:
        """It is the same everywhere."""
        return "UTC"

    def slices(self, opened_us: int) -> Span:
        """Where a call counts that opens at this Unix time in microseconds."""
        slice_ = opened_us // self._width
        return Span(slice_, slice_ - SLICES, self.frees_us(slice_))

    def frees_us(self, slice_: int) -> int | None:
        """The Unix time in microseconds from which what was counted in `slice_` counts no more."""
        return (slice_ + SLICES + 1) * self._width

    @property
    def _width(self) -> int:
        """Rounded up, so that 60 of them are never shorter than the whole."""
        return -(-self.length_us // SLICES)


@final
@dataclass(frozen=True, slots=True)
class TotalWindow:
    """All time: what is spent never comes back."""

    @property
    def said(self) -> str:
        """What the contract calls it."""
        return "total"

    @property
    def measure(self) -> str:
        """How long it is, in words of one kind."""
        return "total"

    @property
    def timezone(self) -> str:
        """It is the same everywhere."""
        return "UTC"

    def slices(self, opened_us: int) -> Span:  # noqa: ARG002 - asked like the others
        """Where a call counts that opens at this Unix time in microseconds: always in the same one."""
        return Span(0, 0, None)

    def frees_us(self, slice_: int) -> int | None:  # noqa: ARG002 - asked like the others
        """Never."""
        return None


Window = CalendarWindow | RollingWindow | TotalWindow


class InvalidWindow(ValueError):
    """What is no window; `field` is `window` or `timezone`, `message` fit to be shown."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message


@lru_cache(maxsize=_KEPT)
def parse_window(said: str, timezone: str = "UTC") -> Window:
    """Read the contract's `window` and `timezone`; raises `InvalidWindow`. The same words give the same object."""
    if said in set(Period):
        if timezone not in timezones():
            raise InvalidWindow("timezone", 'must be the name of an IANA time zone, such as "Europe/Berlin"')
        return CalendarWindow(Period(said), timezone)
    window = TotalWindow() if said == "total" else RollingWindow(_length(said) // _US, said)
    if timezone != "UTC":
        raise InvalidWindow("timezone", 'is for windows "day", "week" and "month"')
    return window


@lru_cache(maxsize=1)
def timezones() -> frozenset[str]:
    """The names of all time zones that there are."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


def local_time(timezone: str, unix_us: int) -> datetime:
    """A moment as clocks show it in a time zone, to the second."""
    return datetime.fromtimestamp(unix_us // _SECOND_US, _zone(timezone))


def _length(said: str) -> int:
    try:
        length = parse_duration(said)
    except ValueError:
        message = 'must be "day", "week", "month", "total", or a length of time such as "24h"'
        raise InvalidWindow("window", message) from None
    if not SHORTEST <= length <= LONGEST:
        raise InvalidWindow("window", "must be from 1m to 366d")
    return length


@lru_cache(maxsize=_KEPT)
def _zone(name: str) -> tzinfo:
    """A time zone from the locked package: machines that disagreed about one would count in different windows."""
    if name == "UTC":
        return UTC
    with files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as data:
        return ZoneInfo.from_file(data, key=name)


def _begin(day: date, zone: tzinfo) -> int:
    """The first second, in Unix time, at which the local date is `day` or later."""
    midnight = datetime.combine(day, time(), zone)
    earlier, later = (int(midnight.replace(fold=fold).timestamp()) for fold in (0, 1))
    if earlier <= later:
        return earlier
    # It is skipped (PEP 495): read with the offset from after the gap it lies before, and the other way round.
    local = midnight.replace(tzinfo=None)
    seconds = range(later, earlier + 1)
    return seconds[
        bisect_left(
            seconds, True, key=lambda second: datetime.fromtimestamp(second, zone).replace(tzinfo=None) >= local
        )
    ]
