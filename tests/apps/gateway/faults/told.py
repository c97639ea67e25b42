"""What a call comes to whose provider does something wrong: for its client, and in the ledger."""

from __future__ import annotations

import json
from typing import NamedTuple

from bailiwick.domain.usage import Outcome, UsageSource
from tests.serving import Caller, error_of, events_of
from tests.upstream import Behaviour
from tests.upstream.payloads import event


class Told(NamedTuple):
    """Status and code of a call whose answer had not begun, outcome and usage source of its row."""

    status: int
    code: str
    outcome: Outcome
    source: UsageSource


FAILED = Told(502, "provider_error", Outcome.PROVIDER_ERROR, UsageSource.NOTHING)
LATE = Told(504, "provider_timeout", Outcome.PROVIDER_TIMEOUT, UsageSource.NOTHING)
WORDS = tuple(event({"choices": [{"index": 0, "delta": {"content": f" word{n}"}}]}) for n in range(3))
SHORT = b'{"choices":[{"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1}}'


def told(caller: Caller, *, stream: bool = False, **fields: object) -> Told:
    """What a call comes to that must be refused; its one row is settled when the answer is here."""
    answer = caller.chat(stream=stream, **fields)
    assert caller.site.open_calls(caller.id) == 0
    (row,) = caller.rows
    return Told(*error_of(answer), Outcome(row["outcome"]), UsageSource(row["usage_source"]))


def broken_stream(caller: Caller, code: str, *, frames: int = 3) -> None:
    """A stream that has begun ends by an error event of this code and no `[DONE]`; what was seen is estimated."""
    answer = caller.chat(stream=True)
    assert answer.status_code == 200
    *shown, last = events_of(answer.content)
    assert len(shown) == frames
    assert last["error"]["code"] == code
    row = caller.row()
    outcome = Outcome.PROVIDER_TIMEOUT if code == "provider_timeout" else Outcome.PROVIDER_ERROR
    assert (row["outcome"], row["usage_source"], row["status"]) == (outcome, UsageSource.ESTIMATED, 200)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] > 0


def passes(caller: Caller, *, stream: bool = False) -> bytes:
    """An answer that is well, and its row."""
    answer = caller.chat(stream=stream)
    assert answer.status_code == 200, answer.text
    assert not stream or events_of(answer.content)[-1] == "[DONE]"
    row = caller.rows[-1]
    assert (row["outcome"], row["usage_source"], row["status"]) == (Outcome.COMPLETED, UsageSource.REPORTED, 200)
    return answer.content


def body(content: object, status: int = 200) -> Behaviour:
    """An answer of this body: bytes, or JSON."""
    return Behaviour(status=status, body=content if isinstance(content, bytes) else json.dumps(content).encode())
