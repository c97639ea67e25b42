"""When a provider that keeps failing is left alone: the arithmetic, and what a process remembers of it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.circuit import FAILURES, PAUSE, WINDOW, Circuit, Failing, Open, begun, failed, let_through


def after_failures(*times: float) -> Circuit | None:
    circuit: Circuit | None = None
    for now in times:
        circuit = failed(circuit, now)
    return circuit


def test_the_worked_example() -> None:
    circuit = after_failures(0, 1, 2, 3, 4)
    assert circuit == Open(until=9)
    assert let_through(circuit, 8.9) is None
    assert let_through(circuit, 9) == Open(until=14)
    trying = begun(Open(until=14), 10)
    assert trying is not None
    assert [let_through(trying, 10 + number) for number in range(3)] == [trying] * 3
    assert failed(trying, 11, broken=True) == Open(until=16)


def test_failures_that_are_far_apart_do_not_add_up() -> None:
    times = [number * (WINDOW + 1) / (FAILURES - 1) for number in range(FAILURES)]
    assert after_failures(*times) == Failing(unanswered=1, since=times[-1])


def test_who_fails_again_is_left_alone_again() -> None:
    assert failed(Open(until=9), 10) == Open(until=10 + PAUSE)


def test_an_answer_that_begins_ends_a_row_of_calls_without_one() -> None:
    circuit = after_failures(*range(FAILURES - 1))
    assert circuit is not None
    assert begun(circuit, FAILURES) is None


def test_answers_that_begin_and_break_off_add_up() -> None:
    circuit: Circuit | None = None
    for now in range(FAILURES):
        assert not isinstance(circuit, Open)
        circuit = None if circuit is None else begun(circuit, now)
        circuit = failed(circuit, now, broken=True)
    assert circuit == Open(until=FAILURES - 1 + PAUSE)


def test_the_first_answer_after_a_pause_lets_calls_fail_as_often_as_before() -> None:
    circuit = begun(Open(until=9), 10)
    for now in range(10, 10 + FAILURES - 1):
        circuit = failed(circuit, now)
        assert let_through(circuit, now) == circuit


@given(st.lists(st.floats(0, 1), min_size=FAILURES, max_size=30), st.lists(st.floats(0, 3), max_size=30))
def test_of_an_open_circuit_one_call_a_pause_goes_through(gaps: list[float], asking: list[float]) -> None:
    now, circuit = 0.0, None
    for gap in gaps:
        now += gap
        circuit = failed(circuit, now)
    assert isinstance(circuit, Open)
    last = now
    for gap in asking:
        now += gap
        after = let_through(circuit, now)
        if after is not None:
            assert now >= last + PAUSE
            circuit, last = after, now
