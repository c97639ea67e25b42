"""Events cut out of a stream of bytes: the same ones however the bytes arrive."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bailiwick.providers import sse
from bailiwick.providers.sse import Events, EventTooLarge, data_of

ENDS = st.sampled_from([b"\n\n", b"\r\n\r\n", b"\r\r", b"\n\r\n"])
LINES = st.lists(
    st.binary(max_size=6)
    .map(lambda raw: raw.replace(b"\n", b" ").replace(b"\r", b" "))
    .map(lambda raw: b"data: " + raw)
    | st.sampled_from([b": ping", b"event: x", b"data:", b"data", b"id: 1"]),
    min_size=1,
    max_size=3,
)
# Any bytes at all, with line ends and field names more often than not.
BYTES = st.lists(st.sampled_from([b"\n", b"\r", b"data: ", b"data", b"x", b":", b"[DONE]", b" "]), max_size=24).map(
    b"".join
)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """The pieces of a stream that is split at these places."""
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(bounds)]


def fed(chunks: list[bytes]) -> tuple[list[bytes], bool]:
    events = Events()
    return [event for chunk in chunks for event in events.feed(chunk)], events.unfinished


@given(BYTES, st.lists(st.integers(0, 1000), max_size=8))
@example(b"data: x\r\n\r\ndata: y\r\n\r\n", [9, 10, 11])
@example(b"data: x\n\r\n", [8, 9])
def test_any_split_of_any_stream_gives_the_same_events(stream: bytes, places: list[int]) -> None:
    assert fed(cut(stream, places)) == fed([stream])


@given(BYTES)
def test_a_stream_byte_by_byte_gives_the_same_events(stream: bytes) -> None:
    assert fed([stream[place : place + 1] for place in range(len(stream))]) == fed([stream])


@given(BYTES, st.lists(st.integers(0, 1000), max_size=4))
def test_no_byte_is_lost_or_changed(stream: bytes, places: list[int]) -> None:
    events = Events()
    out = b"".join(event for chunk in cut(stream, places) for event in events.feed(chunk))
    assert stream.startswith(out)
    rest = stream[len(out) :]
    assert events.unfinished is bool(rest.strip())
    assert all(end not in rest for end in (b"\n\n", b"\r\r", b"\r\n\r\n"))


@given(st.lists(st.tuples(LINES, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=5), st.lists(st.integers(0, 1000)))
def test_events_are_cut_at_every_kind_of_line_end(written: list[tuple[list[bytes], bytes]], places: list[int]) -> None:
    expected = [end.join(lines) + end + end for lines, end in written]
    assert fed(cut(b"".join(expected), places)) == (expected, False)


def by_the_standard(event: bytes) -> bytes | None:
    """The data of one event, as WHATWG HTML §9.2.6 has it."""
    lines = event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    data = []
    for line in lines:
        name, _, value = line.partition(b":")
        if name == b"data":
            data.append(value.removeprefix(b" "))
    return b"\n".join(data) if data else None


@given(BYTES)
@example(b"data: a\rdata: b\n\n")
@example(b"data: a\n\n")
@example(b"data:  a\r\n\r\n")
def test_data_is_read_as_the_standard_says(stream: bytes) -> None:
    for event in fed([stream + b"\n\n"])[0]:
        assert data_of(event) == by_the_standard(event)


@pytest.mark.parametrize(
    ("event", "data"),
    [
        (b"data: [DONE]\n\n", b"[DONE]"),
        (b"data:[DONE]\n\n", b"[DONE]"),
        (b"data: [DONE]\r\n\r\n", b"[DONE]"),
        (b'event: chunk\ndata: {"a":1}\n\n', b'{"a":1}'),
        (b'data: {"a":\ndata: 1}\n\n', b'{"a":\n1}'),
        (b": ping\n\n", None),
        (b"event: ping\n\n", None),
        (b"data:\n\n", b""),
        (b"\n\n", None),
        (b"database: x\n\n", None),
        (b"Data: x\n\n", None),
    ],
)
def test_the_data_of_an_event(event: bytes, data: bytes | None) -> None:
    assert data_of(event) == data


def test_an_event_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 100)
    events = Events()
    assert events.feed(b"data: " + b"x" * 94) == []
    with pytest.raises(EventTooLarge):
        events.feed(b"x")


def test_an_event_in_many_pieces_costs_no_more_than_its_size() -> None:
    events = Events()
    began = time.process_time()
    for _ in range(40_000):
        assert events.feed(b"x" * 100) == []
    assert time.process_time() - began < 1.0
    assert len(events.feed(b"\n\n")[0]) == 4_000_002
