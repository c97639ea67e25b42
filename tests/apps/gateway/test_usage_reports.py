"""What a provider says that a call used: believed when its answer came to its end, and never beyond reason."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.serving import MODEL, Caller, Site
from tests.upstream import Behaviour, Upstream
from tests.upstream.payloads import event

WORD = "word " * 8


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


@pytest.mark.parametrize(
    "usage",
    [None, {}, [], "x", {"prompt_tokens": None}, {"prompt_tokens": "11"}, {"total_tokens": 3},
     {"prompt_tokens": 5, "prompt_tokens_details": "x"}],
)  # fmt: skip
@pytest.mark.parametrize("stream", [False, True])
def test_a_usage_report_that_cannot_be_read_is_estimated(
    caller: Caller, upstream: Upstream, usage: Any, stream: bool
) -> None:
    upstream.on(MODEL, Behaviour(usage=usage))
    assert caller.chat(stream=stream).status_code == 200
    row = caller.row()
    assert (Outcome(row["outcome"]), UsageSource(row["usage_source"])) == (Outcome.COMPLETED, UsageSource.ESTIMATED)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


@pytest.mark.parametrize(
    "usage",
    [{"prompt_tokens": -5, "completion_tokens": -1}, {"prompt_tokens": 10**30, "completion_tokens": 2**63},
     {"prompt_tokens": 1, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 10**12}}],
)  # fmt: skip
def test_usage_beyond_reason_is_brought_within_bounds(caller: Caller, upstream: Upstream, usage: Any) -> None:
    upstream.on(MODEL, Behaviour(usage=usage))
    assert caller.chat().status_code == 200
    row = caller.row()
    assert 0 <= row["cached_tokens"] <= row["input_tokens"] < 2**31
    assert 0 <= row["output_tokens"] < 2**31
    assert row["cost_nano"] >= 0


def frame(completion_tokens: int, finish_reason: str | None = None) -> bytes:
    """A frame of 40 bytes of text, about ten tokens, that says what was used up to here."""
    choice = {"index": 0, "delta": {"content": WORD}, "finish_reason": finish_reason}
    return event({"choices": [choice], "usage": {"prompt_tokens": 7, "completion_tokens": completion_tokens}})


@pytest.mark.parametrize(("said", "counted"), [(0, 40), (5, 40), (90, 90)])
def test_of_a_stream_that_breaks_off_the_larger_of_what_was_seen_and_said_counts(
    caller: Caller, upstream: Upstream, said: int, counted: int
) -> None:
    upstream.on(MODEL, Behaviour(frames=(frame(0), frame(0), frame(0), frame(said))))
    assert caller.chat(stream=True).status_code == 200
    row = caller.row()
    assert (Outcome(row["outcome"]), UsageSource(row["usage_source"])) == (
        Outcome.PROVIDER_ERROR,
        UsageSource.ESTIMATED,
    )
    assert (row["input_tokens"], row["output_tokens"]) == (7, counted)


def test_of_a_stream_that_ends_well_the_last_report_counts(caller: Caller, upstream: Upstream) -> None:
    upstream.on(MODEL, Behaviour(frames=(frame(1), frame(2), frame(3, "stop"), b"data: [DONE]\n\n")))
    assert caller.chat(stream=True).status_code == 200
    row = caller.row()
    assert (Outcome(row["outcome"]), UsageSource(row["usage_source"])) == (Outcome.COMPLETED, UsageSource.REPORTED)
    assert (row["input_tokens"], row["output_tokens"]) == (7, 3)
