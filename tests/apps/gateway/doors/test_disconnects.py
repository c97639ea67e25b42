"""A client that goes away: its provider is left at once, or heard out, as its project says; at every door."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any, Final, final

import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.apps.gateway.doors.cases import BY_PATH, CASES, form
from tests.apps.gateway.doors.streams import (
    IMAGE_EVENTS,
    MESSAGE_EVENTS,
    RESPONSE_EVENTS,
    TEXT_EVENTS,
    TRANSCRIPT_EVENTS,
)
from tests.apps.gateway.wire import connect, request
from tests.serving import Caller, Site, until
from tests.upstream import Behaviour
from tests.upstream.record import Record

# From the first byte of an answer to its last, and before the first, in seconds.
LASTS: Final = 2.0
BEGINS_AFTER: Final = 0.5
CLOSED_WITHIN: Final = 1.0
WAYS: Final = ("closed", "reset", "half-closed")
MOMENTS: Final = ("before the head", "in the middle")
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)
_STREAMS: Final = {
    "/chat/completions": None,
    "/completions": TEXT_EVENTS,
    "/responses": RESPONSE_EVENTS,
    "/messages": MESSAGE_EVENTS,
    "/images/generations": IMAGE_EVENTS,
    "/audio/transcriptions": TRANSCRIPT_EVENTS,
}


@final
@dataclass(frozen=True, slots=True)
class Asked:
    """One call: where, whether as a stream, and how its client will leave."""

    path: str
    stream: bool
    way: str

    @property
    def name(self) -> str:
        """The call's session and, where the door's body is JSON, its model."""
        return f"{self.path[1:].replace('/', '-')}-{'stream' if self.stream else 'whole'}"

    def script(self, site: Site, delay: float) -> None:
        """Have the provider answer it slowly."""
        case, events = CASES[self.path], _STREAMS.get(self.path)
        name = f"/v1{self.path}" if case.multipart else self.name
        if self.stream:
            pieces: dict[str, Any] = {"chunks": 5} if events is None else {"frames": events}
            site.upstream.on(name, Behaviour(delay=delay, gap=LASTS / (len(events or ()) or 8), **pieces))
        else:
            body = case.answer if case.content_type == "application/json" else case.answer[:200]
            quarter = len(body) // 4 + 1
            parts = tuple(body[place : place + quarter] for place in range(0, len(body), quarter))
            kind = (("content-type", case.content_type),)
            site.upstream.on(name, Behaviour(delay=delay, frames=parts, headers=kind, gap=LASTS / 4))

    def send(self, site: Site, caller: Caller) -> socket.socket:
        """Ask, and read nothing yet."""
        case = CASES[self.path]
        model = f"{'claude' if 'messages' in self.path else 'up'}/{self.name}"
        fields = {**case.fields, **({"stream": True} if self.stream else {})}
        if case.multipart:
            body = form(model=model.encode(), stream=b"true", **case.fields)
        else:
            body = json.dumps({"model": model, **fields}).encode()
        headers = {**caller.bearer, "content-type": case.request_type, "x-session-id": self.name, **case.headers}
        sock = connect(site.installation.port)
        lines = [(name.encode(), value.encode()) for name, value in headers.items()]
        sock.sendall(request(f"/v1{self.path}", lines, method="POST", body=body))
        return sock

    def leave(self, sock: socket.socket) -> None:
        """Go away."""
        if self.way == "half-closed":
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
            return
        if self.way == "reset":
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        sock.close()


_EVERY: Final = [
    *((path, False) for path in CASES if not CASES[path].multipart),
    *((path, True) for path in _STREAMS),
]
CALLS: Final = [Asked(path, stream, way) for (path, stream), way in zip(_EVERY, cycle(WAYS), strict=False)]


def left(site: Site, caller: Caller, moment: str, sockets: ExitStack) -> tuple[dict[str, Record], float]:
    """Make every call and leave it; returns what the provider saw of each, and when the clients left."""
    begun = moment == "in the middle"
    for call in CALLS:
        call.script(site, 0.0 if begun else BEGINS_AFTER)
    socks = [sockets.enter_context(call.send(site, caller)) for call in CALLS]

    def there() -> bool:
        seen = site.upstream.requests
        return len(seen) == len(CALLS) and all(record.first_byte_at or not begun for record in seen)

    until(there)
    at = time.monotonic()
    for call, sock in zip(CALLS, socks, strict=True):
        call.leave(sock)
    records = {record.model or "audio-transcriptions-stream": record for record in site.upstream.requests}
    assert set(records) == {call.name for call in CALLS}
    return records, at


@pytest.fixture
def sockets() -> Iterator[ExitStack]:
    """What closes the clients' sockets that are still open."""
    with ExitStack() as stack:
        yield stack


def project(site: Site, **fields: object) -> Caller:
    """A project with a provider for every door."""
    caller = site.project(**fields)
    site.admin.provider(caller.id, site.upstream.base_url, name="claude", kind="anthropic")
    return caller


def rows(caller: Caller) -> dict[str, Any]:
    """The row of every call, by its name, when all are settled."""
    until(lambda: len(caller.rows) == len(CALLS))
    return {row["sid"]: row for row in caller.rows}


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_provider_is_left_within_a_second_and_what_was_seen_is_estimated(
    site: Site, sockets: ExitStack, moment: str
) -> None:
    caller = project(site)
    records, at = left(site, caller, moment, sockets)
    until(lambda: all(record.closed_at for record in records.values()))
    assert {name: record.finished_at for name, record in records.items()} == dict.fromkeys(records)
    assert max(record.closed_at or 0.0 for record in records.values()) < at + CLOSED_WITHIN
    for name, row in rows(caller).items():
        assert Outcome(row["outcome"]) is Outcome.CLIENT_GONE, name
        nothing = UsageSource.NOTHING if "count_tokens" in name else UsageSource.ESTIMATED
        assert UsageSource(row["usage_source"]) is nothing, name
        assert row["input_tokens"] > 0 or "count_tokens" in name


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_provider_is_heard_out_where_the_project_says_so_and_the_row_is_as_it_reports(
    site: Site, sockets: ExitStack, moment: str
) -> None:
    caller = project(site, on_disconnect="drain")
    records, at = left(site, caller, moment, sockets)
    time.sleep(LASTS / 3)
    assert site.open_calls(caller.id) == len(CALLS), "they are still under way, and count as such"
    found = rows(caller)
    until(lambda: all(record.finished_at for record in records.values()))
    assert min(record.finished_at or 0.0 for record in records.values()) > at + LASTS / 3
    for call in CALLS:
        row, case = found[call.name], CASES[call.path]
        source = UsageSource.REPORTED if call.stream else UsageSource(case.source)
        assert (Outcome(row["outcome"]), UsageSource(row["usage_source"])) == (Outcome.COMPLETED, source), call
        assert row["status"] == 200
        assert row["first_byte_ms"] is not None
        if source is UsageSource.REPORTED:
            assert row["input_tokens"] == 11
            assert row["output_tokens"] in {0, 3, 7}


def test_a_provider_that_fails_unheard_is_recorded_as_one_that_failed(site: Site) -> None:
    caller = site.project(on_disconnect="drain")
    call = Asked("/chat/completions", True, "closed")
    site.upstream.on(call.name, Behaviour(status=500, body=b"{}", delay=0.5))
    sock = call.send(site, caller)
    until(lambda: site.upstream.requests)
    sock.close()
    assert Outcome(caller.row()["outcome"]) is Outcome.PROVIDER_ERROR


def test_a_call_whose_client_leaves_before_its_provider_is_asked_never_goes_there(site: Site) -> None:
    caller = site.project(on_disconnect="drain")
    key = (b"authorization", b"Bearer " + caller.key.encode())
    head = request("/v1/chat/completions", [key, (b"content-length", b"9")], method="POST")
    with connect(site.installation.port) as sock:
        sock.sendall(head + b"{")
    time.sleep(0.3)
    caller.assert_untouched()


def test_every_door_is_left() -> None:
    assert {call.path for call in CALLS} == set(BY_PATH)
    assert {call.way for call in CALLS if call.stream} == {call.way for call in CALLS if not call.stream} == set(WAYS)
