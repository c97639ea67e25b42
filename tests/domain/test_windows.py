"""Windows: every moment is in exactly one, whatever clocks do; and a rolling one never holds more than the limit."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bailiwick.domain.windows import CalendarWindow, InvalidWindow, Period, RollingWindow, TotalWindow, parse_window

S = 1_000_000
MS = 1_000
# Half-hour changes, changes at and around midnight, skipped days, offsets of a quarter of an hour.
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "America/Havana",
    "America/St_Johns", "Africa/Cairo", "Asia/Beirut", "America/Santiago", "Pacific/Apia", "Asia/Kathmandu",
    "America/Asuncion", "Asia/Tehran", "Pacific/Kwajalein", "Antarctica/Troll", "America/Toronto",
)  # fmt: skip
FROM, TO = int(datetime(1970, 2, 2, tzinfo=UTC).timestamp()), int(datetime(2060, 1, 1, tzinfo=UTC).timestamp())

calendars = st.builds(CalendarWindow, st.sampled_from(Period), st.sampled_from(ZONES))
moments = st.integers(FROM * S, TO * S)


def at(text: str, zone: str = "UTC", fold: int = 0) -> int:
    """A local time in microseconds of Unix time."""
    local = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(local.timestamp() * S)


def local_day(moment_us: int, zone: str) -> date:
    return datetime.fromtimestamp(moment_us / S, ZoneInfo(zone)).date()


@settings(max_examples=400)
@given(calendars, moments)
def test_every_moment_is_in_exactly_one_window_and_windows_leave_no_gap(window: CalendarWindow, moment: int) -> None:
    span = window.slices(moment)
    assert span.first == span.slice
    assert span.frees_us is not None
    start = span.slice * S
    assert start <= moment < span.frees_us
    for inside in (start, span.frees_us - 1, (start + span.frees_us) // 2):
        assert CalendarWindow(window.period, window.timezone).slices(inside) == span
    after = CalendarWindow(window.period, window.timezone).slices(span.frees_us)
    assert after.slice * S == span.frees_us
    before = CalendarWindow(window.period, window.timezone).slices(start - 1)
    assert before.frees_us == start


@settings(max_examples=400)
@given(calendars, moments)
def test_a_window_holds_its_own_days_and_no_day_after(window: CalendarWindow, moment: int) -> None:
    span = window.slices(moment)
    assert span.frees_us is not None
    first = local_day(span.slice * S, window.timezone)
    last = local_day(span.frees_us - S, window.timezone)
    after = local_day(span.frees_us, window.timezone)
    match window.period:
        case Period.DAY:
            assert first >= last
        case Period.WEEK:
            assert (first - timedelta(days=first.weekday())) >= last - timedelta(days=last.weekday())
        case Period.MONTH:
            assert (first.year, first.month) >= (last.year, last.month)
    assert after > first


@pytest.mark.parametrize("zone", [zone for zone in ZONES if zone != "UTC"])
def test_ten_years_of_days_follow_one_another_in_every_zone(zone: str) -> None:
    window = CalendarWindow(Period.DAY, zone)
    moment: int | None = at("2009-12-31T12:00", zone)
    seen = []
    while moment is not None and moment < at("2020-01-01T00:00", zone):
        seen.append(local_day(window.slices(moment).slice * S, zone))
        moment = window.slices(moment).frees_us
    days = [date(2009, 12, 31) + timedelta(days=number) for number in range(3653)]
    skipped = {date(2011, 12, 30)} if zone == "Pacific/Apia" else set()
    assert seen == [day for day in days if day not in skipped]


@pytest.mark.parametrize(
    ("window", "zone", "begins", "ends"),
    [
        ("day", "UTC", "2026-02-28T00:00+00:00", "2026-03-01T00:00+00:00"),
        ("day", "UTC", "2028-02-29T00:00+00:00", "2028-03-01T00:00+00:00"),
        ("month", "UTC", "2028-02-01T00:00+00:00", "2028-03-01T00:00+00:00"),
        ("month", "UTC", "2026-12-01T00:00+00:00", "2027-01-01T00:00+00:00"),
        ("week", "UTC", "2024-12-30T00:00+00:00", "2025-01-06T00:00+00:00"),
        # An hour is skipped, and comes twice.
        ("day", "Europe/Berlin", "2024-03-31T00:00+01:00", "2024-04-01T00:00+02:00"),
        ("day", "Europe/Berlin", "2024-10-27T00:00+02:00", "2024-10-28T00:00+01:00"),
        ("month", "Europe/Berlin", "2024-03-01T00:00+01:00", "2024-04-01T00:00+02:00"),
        # Half an hour.
        ("day", "Australia/Lord_Howe", "2024-10-06T00:00+10:30", "2024-10-07T00:00+11:00"),
        ("day", "Australia/Lord_Howe", "2024-04-07T00:00+11:00", "2024-04-08T00:00+10:30"),
        # Midnight is skipped.
        ("day", "America/Sao_Paulo", "2018-11-04T01:00-02:00", "2018-11-05T00:00-02:00"),
        ("day", "Africa/Cairo", "2024-04-26T01:00+03:00", "2024-04-27T00:00+03:00"),
        ("day", "America/Toronto", "1919-03-31T00:30-04:00", "1919-04-01T00:00-04:00"),
        # Midnight comes twice: the first one counts.
        ("day", "America/Havana", "2018-11-04T00:00-04:00", "2018-11-05T00:00-05:00"),
        ("day", "America/St_Johns", "2006-10-29T00:00-02:30", "2006-10-30T00:00-03:30"),
        # The clock goes back from midnight to eleven.
        ("day", "America/Sao_Paulo", "2018-02-17T00:00-02:00", "2018-02-18T00:00-03:00"),
        # A whole day is skipped.
        ("day", "Pacific/Apia", "2011-12-29T00:00-10:00", "2011-12-31T00:00+14:00"),
        ("day", "Pacific/Apia", "2011-12-31T00:00+14:00", "2012-01-01T00:00+14:00"),
    ],
)
def test_a_millisecond_at_each_boundary_decides_the_window(window: str, zone: str, begins: str, ends: str) -> None:
    begin, end = (int(datetime.fromisoformat(text).timestamp()) * S for text in (begins, ends))
    made = parse_window(window, zone)
    here = made.slices(begin)
    assert (here.slice * S, here.frees_us) == (begin, end)
    assert made.slices(begin + MS) == here
    assert made.slices(end - MS) == here
    assert made.slices(begin - MS).slice < here.slice
    assert made.slices(begin - MS).frees_us == begin
    assert made.slices(end).slice * S == end
    assert made.slices(end + MS).slice * S == end


def test_a_clock_that_goes_back_is_in_the_window_that_was() -> None:
    window = parse_window("day")
    late, early = window.slices(at("2026-03-01T00:00:01")), window.slices(at("2026-02-28T23:59:59"))
    assert late.slice > early.slice
    assert window.slices(at("2026-03-01T00:00:01")) == late


def test_a_total_is_one_window_without_end() -> None:
    window = parse_window("total")
    assert window.slices(0) == window.slices(at("2099-12-31")) == (0, 0, None)
    assert window.frees_us(0) is None


def greatest_admitted(window: RollingWindow, calls: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    """The calls that find room, each as (moment, amount)."""
    spent: dict[int, int] = {}
    admitted = []
    for moment, amount in calls:
        span = window.slices(moment)
        if sum(spent.get(number, 0) for number in range(span.first, span.slice + 1)) + amount <= limit:
            spent[span.slice] = spent.get(span.slice, 0) + amount
            admitted.append((moment, amount))
    return admitted


lengths = st.sampled_from([60 * S, 61_001 * MS, 90 * S, 3600 * S, 86_400 * S, 366 * 86_400 * S])


@settings(max_examples=300)
@given(
    lengths,
    st.lists(st.tuples(st.floats(0, 3), st.integers(1, 50)), min_size=1, max_size=40),
    st.integers(0, 10**15),
)
@example(60 * S, [(0.0, 50), (1.0 - 1e-9, 50), (1.0, 50)], 999_999)
def test_no_stretch_of_a_rolling_windows_length_holds_more_than_the_limit(
    length: int, calls: list[tuple[float, int]], begin: int
) -> None:
    limit = 100
    asked = sorted((begin + int(place * length), amount) for place, amount in calls)
    admitted = greatest_admitted(RollingWindow(length), asked, limit)
    for moment, _ in admitted:
        assert sum(amount for other, amount in admitted if moment <= other <= moment + length) <= limit


@given(lengths, st.integers(0, 10**15), st.integers(0, 10**15))
def test_what_is_spent_in_a_rolling_window_comes_back_when_it_says(length: int, moment: int, later: int) -> None:
    window = RollingWindow(length)
    span = window.slices(moment)
    assert span.frees_us is not None
    assert moment + length <= span.frees_us <= moment + length + length // 60 + 60
    assert window.slices(span.frees_us - 1).first <= span.slice < window.slices(span.frees_us).first
    other = window.slices(later)
    assert (other.first <= span.slice <= other.slice) == (span.slice * -(-length // 60) <= later < span.frees_us)


@pytest.mark.parametrize("said", ["day", "week", "month", "total", "24h", "30m", "7d", "1m", "366d", "90s"])
def test_a_window_says_what_it_was_read_from(said: str) -> None:
    window = parse_window(said)
    assert window.said == said
    assert parse_window(said) is window


def test_a_length_is_read_like_any_duration() -> None:
    assert parse_window("24h") == RollingWindow(86_400 * S) == parse_window("1d")
    assert parse_window("24h").measure == parse_window("1d").measure
    assert isinstance(parse_window("total"), TotalWindow)


@pytest.mark.parametrize(
    ("window", "zone", "field"),
    [
        ("year", "UTC", "window"),
        ("Day", "UTC", "window"),
        ("", "UTC", "window"),
        ("59s", "UTC", "window"),
        ("367d", "UTC", "window"),
        ("-1h", "UTC", "window"),
        ("1.5h", "UTC", "window"),
        ("99999999999999h", "UTC", "window"),
        ("day", "Europe/Atlantis", "timezone"),
        ("day", "", "timezone"),
        ("day", "../../etc/passwd", "timezone"),
        ("day", "/etc/localtime", "timezone"),
        ("day", "europe/berlin", "timezone"),
        ("day", "+02:00", "timezone"),
        ("24h", "Europe/Berlin", "timezone"),
        ("total", "Europe/Berlin", "timezone"),
    ],
)
def test_what_is_no_window_is_refused_by_the_field_that_is_wrong(window: str, zone: str, field: str) -> None:
    with pytest.raises(InvalidWindow) as refused:
        parse_window(window, zone)
    assert refused.value.field == field
