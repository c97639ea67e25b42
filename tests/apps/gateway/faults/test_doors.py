"""The same faults at other doors: their clients get the errors that they read, and the ledger says the same."""

from __future__ import annotations

import json
from typing import Any

import httpx2
import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.apps.gateway.doors.cases import BY_PATH, CASES, project
from tests.apps.gateway.doors.streams import MESSAGE_EVENTS, RESPONSE_EVENTS
from tests.serving import Site
from tests.upstream import Behaviour, Ending, Upstream, scripts
from tests.upstream.payloads import event

WHOLE = pytest.mark.parametrize("path", ["/responses", "/messages", "/embeddings", "/audio/speech"])
STREAMS = pytest.mark.parametrize(
    ("path", "events"), [("/responses", RESPONSE_EVENTS[:3]), ("/messages", MESSAGE_EVENTS[:5])]
)
ERROR = Outcome.PROVIDER_ERROR
TIMEOUT = Outcome.PROVIDER_TIMEOUT


@WHOLE
@pytest.mark.parametrize(
    ("behaviour", "status", "outcome"),
    [
        (scripts.stall(), 504, TIMEOUT),
        (scripts.reset(), 502, ERROR),
        (scripts.garbage(), 502, ERROR),
        (scripts.html(), 502, ERROR),
        (scripts.error_in_200(), 502, ERROR),
        (Behaviour(body=b"\x1f\x8b\x08", headers=(("content-encoding", "gzip"), ("content-type", "audio/mpeg"))), 502,
         ERROR),
    ],
    ids=["silence", "reset", "garbage", "page", "error in 200", "compressed"],
)  # fmt: skip
def test_a_fault_at_another_door(
    site: Site, upstream: Upstream, path: str, behaviour: Behaviour, status: int, outcome: Outcome
) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    upstream.on(f"/v1{path}", behaviour)
    answer = case.ask(door, caller)
    assert (answer.status_code, answer.json()["error"]["code"]) == (
        status,
        f"provider_{outcome.name.split('_')[1].lower()}",
    )
    assert (answer.json().get("type") == "error") == (path == "/messages")
    row = caller.row()
    assert (row["outcome"], row["usage_source"], row["output_tokens"]) == (outcome, UsageSource.NOTHING, 0)


@STREAMS
@pytest.mark.parametrize(
    ("ending", "outcome"),
    [(Ending.RESET, ERROR), (Ending.EARLY, ERROR), (Ending.STALL, TIMEOUT)],
    ids=["reset", "early end", "silence"],
)
def test_a_stream_that_fails_at_another_door(
    site: Site, upstream: Upstream, path: str, events: tuple[bytes, ...], ending: Ending, outcome: Outcome
) -> None:
    door, case = BY_PATH[path], CASES[path]
    caller = project(site, door)
    frames = (*events, event({"type": "ping"}))
    upstream.on(f"/v1{path}", Behaviour(frames=frames, gap=0.02, ending=ending, after=len(events)))
    body: dict[str, Any] = {"model": "a-model", "stream": True, **case.fields}
    answer = caller.ask("POST", f"/v1{path}", json=body, headers=case.headers)
    assert answer.status_code == 200
    *shown, last = answer.content.split(b"\n\n")[:-1]
    assert len(shown) == len(events)
    assert last.startswith(b"event: error\ndata: ")
    told = json.loads(last.partition(b"data: ")[2])
    assert told["type"] == "error"
    assert told["error"]["code"] == ("provider_timeout" if outcome is TIMEOUT else "provider_error")
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (outcome, UsageSource.ESTIMATED)
    assert row["output_tokens"] > 0


@pytest.mark.parametrize("ending", [Ending.RESET, Ending.STALL])
def test_sound_that_breaks_off(site: Site, upstream: Upstream, ending: Ending) -> None:
    door, case = BY_PATH["/audio/speech"], CASES["/audio/speech"]
    caller = project(site, door)
    headers = (("content-type", "audio/mpeg"),)
    upstream.on("/v1/audio/speech", Behaviour(body=case.answer, headers=headers, ending=ending, after=0.5))
    with pytest.raises(httpx2.RemoteProtocolError):
        case.ask(door, caller)
    row = caller.row()
    assert (row["outcome"], row["usage_source"]) == (
        TIMEOUT if ending is Ending.STALL else ERROR,
        UsageSource.ESTIMATED,
    )
    assert row["output_tokens"] > 0
