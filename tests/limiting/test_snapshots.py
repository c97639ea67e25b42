"""What a process saves when it drains, and what the next one makes of it."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.limits import LimitLevel, Rate, Unit
from bailiwick.limiting.in_process import InProcessLimitStore
from bailiwick.limiting.snapshots import DamagedSnapshot
from tests.domain.limit_cases import SECOND, START, limits, times, told
from tests.limiting.at_once import at_once

if TYPE_CHECKING:
    from bailiwick.limiting.store import Charge

MINUTE = 60 * SECOND
LIMIT = Rate(amount=10, per_ns=MINUTE, burst=10)


def charge(name: str = "u", limit: Rate = LIMIT) -> list[Charge]:
    return [((LimitLevel.USER, Unit.REQUESTS, "prj_a", name), limit, 1)]


def saved() -> bytes:
    store = InProcessLimitStore()
    for name in ("u", "v", 'Zoë "\n \u2028 🦊'):
        for _ in range(4):
            at_once(store.admit(charge(name), START))
    return store.snapshot()


def test_a_restart_refills_nothing() -> None:
    store = InProcessLimitStore()
    store.restore(saved(), START)

    for name in ("u", "v", 'Zoë "\n \u2028 🦊'):
        assert told(at_once(store.admit(charge(name), START))).remaining == 10 - 4 - 1


@given(st.data(), limits())
def test_a_restart_changes_no_decision(data: st.DataObject, limit: Rate) -> None:
    store = InProcessLimitStore()
    now_ns = START
    for now_ns in data.draw(times(limit)):
        at_once(store.admit(charge(limit=limit), now_ns))
    restarted = InProcessLimitStore()
    restarted.restore(store.snapshot(), now_ns)
    for later_ns in data.draw(times(limit)):
        then = now_ns + later_ns - START
        assert at_once(restarted.admit(charge(limit=limit), then)) == at_once(store.admit(charge(limit=limit), then))


def test_time_goes_on_while_the_process_is_down() -> None:
    store = InProcessLimitStore()
    store.restore(saved(), START)

    assert told(at_once(store.admit(charge(), START + 12 * SECOND))).remaining == 10 - 4 + 2 - 1


def test_a_clock_that_went_back_over_the_restart_admits_no_more_and_no_less() -> None:
    store = InProcessLimitStore()
    at_once(store.admit(charge("other"), START))
    for _ in range(10):
        at_once(store.admit(charge(), START + 1000 * MINUTE))
    restarted = InProcessLimitStore()
    restarted.restore(store.snapshot(), START)

    assert at_once(restarted.admit(charge(), START)).retry_after_ns == 6 * SECOND
    assert at_once(restarted.admit(charge(), START + 6 * SECOND)).admitted
    assert not at_once(restarted.admit(charge(), START + 6 * SECOND)).admitted


def test_of_which_projects_all_is_saved_outlives_a_restart() -> None:
    store = InProcessLimitStore()
    store.remember("prj_whole")
    at_once(store.admit(charge(), START))
    restarted = InProcessLimitStore()
    restarted.restore(store.snapshot(), START)

    assert restarted.remembers("prj_whole")
    assert not restarted.remembers("prj_a")


def test_what_has_drained_is_not_saved() -> None:
    store = InProcessLimitStore()
    at_once(store.admit(charge("gone"), START))
    at_once(store.admit(charge("here"), START + MINUTE))

    assert b"gone" not in store.snapshot()
    assert b"here" in store.snapshot()


def test_a_bucket_in_use_keeps_its_own_debt_if_that_is_larger() -> None:
    store = InProcessLimitStore()
    for _ in range(7):
        at_once(store.admit(charge(), START))
    store.restore(saved(), START)

    assert told(at_once(store.admit(charge(), START))).remaining == 10 - 7 - 1


def test_more_than_fits_is_taken_in_and_nothing_new_is_opened() -> None:
    store = InProcessLimitStore(most_buckets=2)
    store.restore(saved(), START)

    assert len(store) == 3
    assert told(at_once(store.admit(charge("v"), START))).remaining == 5


@given(st.data())
def test_damage_is_refused_and_changes_nothing(data: st.DataObject) -> None:
    whole = saved()
    place = data.draw(st.integers(0, len(whole) - 1))
    other = data.draw(st.integers(0, 255).filter(lambda byte: byte != whole[place]))
    damaged = data.draw(st.sampled_from([whole[:place], whole[:place] + bytes([other]) + whole[place + 1 :]]))
    store = InProcessLimitStore()

    with pytest.raises(DamagedSnapshot):
        store.restore(damaged, START)
    assert len(store) == 0
    assert at_once(store.admit(charge(), 1)).at_ns == 1


def test_a_snapshot_of_a_later_format_is_refused() -> None:
    with pytest.raises(DamagedSnapshot):
        InProcessLimitStore().restore(saved().replace(b"bailiwick-limits 3 ", b"bailiwick-limits 4 ", 1), START)


ROW = ["user", "requests", "prj_a", "u", 0, START, 0, START]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"now_ns": START, "projects": [], "rates": [], "buckets": [ROW]},
        {"now_ns": START, "projects": [1], "rates": [], "buckets": []},
        {"now_ns": START, "rates": [], "buckets": []},
        {"now_ns": START, "projects": [], "rates": [[1, 2]], "buckets": []},
        {"now_ns": START, "projects": [], "rates": [[0, MINUTE, 1]], "buckets": []},
        {"now_ns": START, "projects": [], "rates": [[True, MINUTE, 1]], "buckets": []},
        {"now_ns": "soon", "projects": [], "rates": [], "buckets": []},
        {"now_ns": START, "projects": [], "rates": [[1, MINUTE, 1]], "buckets": [["tenant", *ROW[1:]]]},
        {"now_ns": START, "projects": [], "rates": [[1, MINUTE, 1]], "buckets": [ROW[:-1]]},
        {"now_ns": START, "projects": [], "rates": [[1, MINUTE, 1]], "buckets": [[*ROW[:5], 1.5, 0, START]]},
        {"now_ns": START, "projects": [], "rates": [[1, MINUTE, 1]], "buckets": [[*ROW[:5], START, -1, START]]},
        {"now_ns": START, "projects": [], "rates": [[1, MINUTE, 1]], "buckets": [[*ROW[:4], -1, START, 0, START]]},
        {"now_ns": START, "projects": [], "rates": [[1, MINUTE, 1]], "buckets": [[*ROW[:3], None, *ROW[4:]]]},
    ],
)
def test_a_whole_snapshot_that_does_not_hold_what_it_should_is_refused(document: object) -> None:
    body = json.dumps(document).encode()
    store = InProcessLimitStore()

    with pytest.raises(DamagedSnapshot):
        store.restore(b"bailiwick-limits 3 " + hashlib.sha256(body).hexdigest().encode() + b"\n" + body, START)
    assert len(store) == 0
