"""Large bodies in memory, all together: bounded, shared among projects, counted as they come, given back in time."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from uuid import UUID

import httpx2
import pytest

from bailiwick.apps.gateway.body import Room
from bailiwick.domain.errors import Refused
from bailiwick.domain.ids import ProjectId
from tests.apps.gateway.wire import connect, request
from tests.installation import Installation
from tests.serving import MODEL, until
from tests.upstream import Behaviour, Ending, Upstream, scripts

pytestmark = pytest.mark.slow

LARGEST = 1024 * 1024
OWNER, OTHER = ProjectId(UUID(int=1)), ProjectId(UUID(int=2))
FEW = 3  # as many of the largest bodies as one project may have, if no other has any
SETTINGS = {
    "BAILIWICK_MAX_BODY_BYTES": str(LARGEST),
    "BAILIWICK_MAX_BUFFERED_BYTES": str(2 * FEW * LARGEST),
}


@pytest.fixture
def client(installation: Installation, provider: Upstream) -> Iterator[httpx2.Client]:
    """A client with room for the largest body."""
    provider.clear()
    with installation.client() as made:
        until(lambda: send(made, chat(LARGEST)) == 200)
        provider.clear()
        yield made


def chat(size: int, **fields: object) -> bytes:
    """A body of exactly so many bytes."""
    plain = {"model": MODEL, "messages": [{"role": "user", "content": ""}], **fields}
    text = "x" * (size - len(json.dumps(plain)))
    return json.dumps({**plain, "messages": [{"role": "user", "content": text}]}).encode()


def sender(installation: Installation, size: int, **fields: object) -> socket.socket:
    """A client that announces the largest body and has sent `size` bytes of it."""
    key = (b"authorization", b"Bearer " + installation.keys["api_key"].encode())
    head = request("/v1/chat/completions", [key, (b"content-length", b"%d" % LARGEST)], method="POST")
    sock = connect(installation.port)
    sock.sendall(head + chat(LARGEST, **fields)[:size])
    return sock


def another(installation: Installation) -> httpx2.Client:
    """A client of another project."""
    project = installation.admin.project()
    return installation.client(installation.admin.key(project["id"])["key"])


def send(client: httpx2.Client, body: bytes) -> int:
    return client.post("/v1/chat/completions", content=body).status_code


def all_is_free(client: httpx2.Client, provider: Upstream) -> bool:
    """Whether as many of the largest bodies as a project may have are taken at the same time."""
    provider.clear()
    provider.on(MODEL, Behaviour(delay=0.2))
    with ThreadPoolExecutor(FEW) as pool:
        return [*pool.map(lambda _: send(client, chat(LARGEST)), range(FEW))] == [200] * FEW


def begun(provider: Upstream, count: int) -> None:
    """Wait until so many answers have begun, and what there is of them has arrived."""
    until(lambda: [bool(request.first_byte_at) for request in provider.requests] == [True] * count)
    time.sleep(0.5)


def test_a_large_body_beyond_a_projects_share_is_turned_away(installation: Installation, client: httpx2.Client) -> None:
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST - 1))
        until(lambda: send(client, chat(LARGEST)) == 503)
        answer = client.post("/v1/chat/completions", content=chat(LARGEST))
        assert answer.json()["error"]["code"] == "unavailable"
        assert int(answer.headers["retry-after"]) >= 1


def test_a_project_that_takes_all_it_may_leaves_room_for_every_other(
    installation: Installation, client: httpx2.Client
) -> None:
    with ExitStack() as stack:
        for _ in range(FEW):
            stack.enter_context(sender(installation, LARGEST - 1))
        until(lambda: send(client, chat(LARGEST)) == 503)
        for _ in range(2):
            assert send(stack.enter_context(another(installation)), chat(LARGEST)) == 200
        assert send(client, chat(LARGEST)) == 503


def test_a_body_may_take_all_the_room_if_there_is_no_other() -> None:
    room = Room(100)
    room.take(OWNER, 60, before=0)
    room.take(OWNER, 40, before=60)
    with pytest.raises(Refused):
        room.take(OTHER, 1, before=0)
    room.give_back(OWNER, 100)
    room.take(OTHER, 100, before=0)


def test_the_more_projects_take_all_they_may_the_less_is_that_and_there_is_always_some_left() -> None:
    room = Room(1000)
    taken = []
    for number in range(9):
        owner, held = ProjectId(UUID(int=number)), 0
        with suppress(Refused):
            while True:
                room.take(owner, 1, before=0)
                held += 1
        taken.append(held)
    assert taken[:3] == [500, 250, 125]
    assert min(taken) >= 1


def test_ordinary_calls_go_on_while_there_is_no_room(installation: Installation, client: httpx2.Client) -> None:
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST - 1))
        until(lambda: send(client, chat(LARGEST)) == 503)
        assert [send(client, chat(size)) for size in (200, 10_000, 60_000)] == [200] * 3


def test_a_body_that_is_announced_and_does_not_come_takes_no_room(
    installation: Installation, client: httpx2.Client
) -> None:
    with ExitStack() as senders:
        for _ in range(5 * FEW):
            senders.enter_context(sender(installation, 1000))
        assert [send(client, chat(LARGEST)) for _ in range(FEW)] == [200] * FEW


@pytest.mark.parametrize("stream", [False, True])
def test_a_call_gives_its_room_back_when_its_answer_begins(
    installation: Installation, client: httpx2.Client, provider: Upstream, *, stream: bool
) -> None:
    provider.on(MODEL, Behaviour(chunks=100, gap=0.2) if stream else scripts.stall(0))
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST, stream=stream))
        until(lambda: [bool(request.first_byte_at) for request in provider.requests] == [True] * FEW)
        provider.on(MODEL, Behaviour())
        assert send(client, chat(LARGEST)) == 200


def test_a_call_holds_its_room_until_its_provider_has_answered(
    installation: Installation, client: httpx2.Client, provider: Upstream
) -> None:
    provider.on(MODEL, scripts.stall())
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST))
        until(lambda: len(provider.requests) == FEW)
        assert send(client, chat(LARGEST)) == 503


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (chat(LARGEST), 200),
        (chat(LARGEST, stream=True), 200),
        (chat(LARGEST, n=0), 400),
        (chat(LARGEST, file_id="file-1"), 400),
        (b"{" * LARGEST, 400),
        (b" " * (LARGEST + 1), 413),
    ],
)
def test_an_answer_gives_the_room_back(client: httpx2.Client, body: bytes, status: int) -> None:
    assert [send(client, body) for _ in range(2 * FEW)] == [status] * 2 * FEW


def test_a_body_that_grows_too_large_gives_back_what_had_come(client: httpx2.Client) -> None:
    pieces = [b" " * (LARGEST // 4)] * 5
    for _ in range(2 * FEW):
        answer = client.post("/v1/chat/completions", content=iter(pieces))
        assert answer.status_code == 413


def test_a_failure_of_the_provider_gives_the_room_back(client: httpx2.Client, provider: Upstream) -> None:
    provider.on(MODEL, scripts.error(429))
    assert [send(client, chat(LARGEST)) for _ in range(2 * FEW)] == [429] * 2 * FEW


def test_a_client_that_goes_away_while_it_sends_gives_the_room_back(
    installation: Installation, client: httpx2.Client, provider: Upstream
) -> None:
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST - 1))
        until(lambda: send(client, chat(LARGEST)) == 503)
    until(lambda: all_is_free(client, provider))


def test_a_client_that_goes_away_while_it_waits_gives_the_room_back(
    installation: Installation, client: httpx2.Client, provider: Upstream
) -> None:
    provider.on(MODEL, scripts.stall())
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST))
        until(lambda: len(provider.requests) == FEW)
        assert send(client, chat(LARGEST)) == 503
    until(lambda: all_is_free(client, provider))


def test_an_event_without_an_end_takes_room_of_its_project(
    installation: Installation, client: httpx2.Client, provider: Upstream
) -> None:
    endless = Behaviour(frames=(b"data: " + b"x" * (FEW * LARGEST - LARGEST // 2),), ending=Ending.STALL, after=1)
    provider.on(MODEL, endless)
    with ExitStack() as senders:
        senders.enter_context(sender(installation, LARGEST, stream=True))
        begun(provider, 1)
        assert send(client, chat(LARGEST, model="echo")) == 503
        assert send(client, chat(1000, stream=True)) == 503
        assert send(senders.enter_context(another(installation)), chat(LARGEST, model="echo")) == 200
    until(lambda: all_is_free(client, provider))


def test_an_answer_that_is_read_whole_takes_room_of_its_project(
    installation: Installation, client: httpx2.Client, provider: Upstream
) -> None:
    provider.on(MODEL, Behaviour(body=b" " * (LARGEST - 100_000), ending=Ending.STALL, after=0.99))
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST))
        begun(provider, FEW)
        assert send(client, chat(LARGEST, model="echo")) == 503
    until(lambda: all_is_free(client, provider))


def test_a_large_answer_for_which_there_is_no_room_is_passed_on_as_it_comes(
    installation: Installation, client: httpx2.Client, provider: Upstream
) -> None:
    body = b'{"choices":[{"message":{"content":"%b"},"finish_reason":"stop"}]}' % (b"x" * (LARGEST - 100_000))
    provider.on(MODEL, Behaviour(body=body))
    with ExitStack() as senders:
        for _ in range(FEW):
            senders.enter_context(sender(installation, LARGEST - 1))
        until(lambda: send(client, chat(LARGEST)) == 503)
        assert client.post("/v1/chat/completions", content=chat(1000)).content == body
