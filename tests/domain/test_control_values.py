"""The small values of the control plane: moments, patches, cursors, prices, the states of a key."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.audit import changes
from bailiwick.domain.credentials import Active, Expired, Lifetime, Revoked
from bailiwick.domain.fields import Invalid
from bailiwick.domain.merge_patch import merged
from bailiwick.domain.pricing import rate_from_usd
from bailiwick.domain.providers import read_price
from bailiwick.domain.times import read_moment, written
from bailiwick.domain.usage_report import Cursor, GroupBy

NOW = datetime(2026, 11, 21, 12, 0, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
EARLIER = NOW - timedelta(seconds=1)

offsets = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


# Python's years end at 9999: near the ends, some offsets have no moment in UTC.
FIRST, LAST = (datetime.fromisoformat(text) for text in ("1000-01-03", "9999-12-29"))


@given(st.datetimes(min_value=FIRST, max_value=LAST, timezones=offsets))
def test_a_moment_that_was_written_is_read_as_it_was(moment: datetime) -> None:
    assert read_moment(written(moment)) == moment
    assert read_moment(moment.isoformat()) == moment
    assert written(moment).endswith("Z")


@given(st.text(max_size=40))
def test_any_text_is_a_moment_or_none(text: str) -> None:
    moment = read_moment(text)
    assert moment is None or moment.tzinfo is UTC


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(max_size=2), JSON, max_size=4)


def without_nulls(value: object) -> object:
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return value


@given(OBJECTS, OBJECTS)
def test_merging_twice_is_merging_once(target: dict[str, object], patch: dict[str, object]) -> None:
    once = merged(target, patch)
    assert merged(once, patch) == once


@given(OBJECTS)
def test_merging_into_nothing_leaves_what_is_not_null(patch: dict[str, object]) -> None:
    assert merged({}, patch) == without_nulls(patch)


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_the_examples_of_rfc_7396_hold(
    target: dict[str, object], patch: dict[str, object], result: dict[str, object]
) -> None:
    assert merged(target, patch) == result


@given(st.none() | st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_a_cursor_that_was_written_is_read_as_it_was(key: str | None) -> None:
    cursor = Cursor(group_by=GroupBy.USER, key=key)
    text = cursor.written()
    assert Cursor.read(text, GroupBy.USER) == cursor
    with pytest.raises(Invalid):
        Cursor.read(text, GroupBy.MODEL)
    assert text.replace("-", "").replace("_", "").isalnum()


@given(st.text(max_size=30))
def test_a_cursor_has_one_spelling(text: str) -> None:
    try:
        cursor = Cursor.read(text, GroupBy.USER)
    except Invalid:
        return
    assert cursor.written() == text


@given(st.decimals(min_value=0, max_value=1_000_000, places=9))
def test_a_price_keeps_its_value_exactly(price: Decimal) -> None:
    text = read_price("p", price)
    assert Decimal(text) == price
    assert "E" not in text
    assert read_price("p", text) == text
    assert rate_from_usd(Decimal(text)) == int(price * 10**9)


@pytest.mark.parametrize(
    ("lifetime", "state"),
    [
        (Lifetime(expires_at=None, revoked_at=None), Active(previous_until=None)),
        (Lifetime(expires_at=LATER, revoked_at=None), Active(previous_until=None)),
        (Lifetime(expires_at=NOW, revoked_at=None), Expired(at=NOW)),
        (Lifetime(expires_at=EARLIER, revoked_at=EARLIER), Revoked(at=EARLIER)),
        (Lifetime(expires_at=LATER, revoked_at=NOW), Revoked(at=NOW)),
        (Lifetime(expires_at=None, revoked_at=None, previous_until=LATER), Active(previous_until=LATER)),
        (Lifetime(expires_at=None, revoked_at=None, previous_until=NOW), Active(previous_until=None)),
        (Lifetime(expires_at=NOW, revoked_at=None, previous_until=LATER), Expired(at=NOW)),
    ],
)
def test_the_state_of_a_key_follows_from_its_times(lifetime: Lifetime, state: object) -> None:
    assert lifetime.state(NOW) == state


def test_the_detail_of_a_change_is_what_differs() -> None:
    assert changes({"a": 1, "b": 2, "c": 3}, {"a": 1, "b": 3, "d": 4}) == {
        "before": {"b": 2, "c": 3},
        "after": {"b": 3, "d": 4},
    }
