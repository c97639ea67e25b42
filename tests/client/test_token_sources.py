"""Token sources in OpenAI's own clients, against a running installation; time passes when the test says so."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Barrier, Event
from typing import Final

import openai
import pytest

from bailiwick.client import (
    AsyncClient,
    AsyncTokenSource,
    Client,
    ClientError,
    ConnectionFailed,
    PermissionDenied,
    TokenSource,
    Unavailable,
)
from bailiwick.client.answers import Minted
from bailiwick.client.requests import Wish
from tests.client.surroundings import Surroundings
from tests.serving import ASK, MODEL, Caller, Site, until

TTL: Final = 900
MANY: Final = 16


class Gateway:
    """What mints for a source: numbered tokens, or what the test says; `asked` are the wishes, with their patience."""

    def __init__(self, *, ttl: int = TTL) -> None:
        self.asked: list[tuple[Wish, bool]] = []
        self.failure: BaseException | None = None
        self.entered = Event()
        self.open = Event()
        self.open.set()
        self._ttl = ttl

    def __call__(self, wish: Wish, *, patient: bool) -> Minted:
        self.asked.append((wish, patient))
        number = len(self.asked)
        self.entered.set()
        assert self.open.wait(10)
        if self.failure is not None:
            raise self.failure
        return Minted(
            token=f"token-{number}", token_type="Bearer", ttl=self._ttl, session_id="s", expires_at=1, project_id="p"
        )

    async def awaited(self, wish: Wish, *, patient: bool) -> Minted:
        await asyncio.sleep(0.01)
        return self(wish, patient=patient)


def source_of(gateway: Gateway, surroundings: Surroundings) -> TokenSource:
    return TokenSource(gateway, Wish(user_id="u", ttl=TTL), ambient=surroundings.ambient)


def async_source_of(gateway: Gateway, surroundings: Surroundings) -> AsyncTokenSource:
    return AsyncTokenSource(gateway.awaited, Wish(user_id="u", ttl=TTL), ambient=surroundings.ambient)


def client_of(caller: Caller, surroundings: Surroundings) -> Client:
    return Client(caller.key, caller.site.installation.url, ambient=surroundings.ambient)


def openai_of(caller: Caller, source: TokenSource) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{caller.site.installation.url}/v1", api_key=source, max_retries=0)


def test_openais_client_calls_for_a_user_over_two_tokens_of_one_session(site: Site) -> None:
    caller, surroundings = site.project(), Surroundings()
    with client_of(caller, surroundings) as client:
        source = client.token_source("user-1", ttl=TTL)
        assert source.session_id is None
        asking = openai_of(caller, source)
        used = set()
        for passing in (0, TTL - 61, 2):
            surroundings.let_pass(passing)
            assert asking.chat.completions.create(model=MODEL, messages=ASK).choices  # type: ignore[arg-type]
            used.add(source())
        assert len(used) == 2
    assert {row["uid"] for row in caller.rows} == {"user-1"}
    assert {row["sid"] for row in caller.rows} == {source.session_id}


async def test_openais_asynchronous_client_mints_once_for_many_tasks(site: Site) -> None:
    caller, surroundings = site.project(), Surroundings()
    url = site.installation.url
    async with AsyncClient(caller.key, url, ambient=surroundings.ambient) as client:
        source = client.token_source("user-1", session_id="s-1", scopes=["chat:create"])
        async with openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=source, max_retries=0) as asking:
            create = asking.chat.completions.create
            answers = await asyncio.gather(
                *(create(model=MODEL, messages=ASK) for _ in range(MANY))  # type: ignore[call-overload]
            )
            assert all(answer.choices for answer in answers)
            with pytest.raises(openai.PermissionDeniedError):
                await asking.models.list()
    assert [(row["uid"], row["sid"]) for row in caller.rows] == [("user-1", "s-1")] * MANY


def test_a_mint_that_is_refused_comes_out_of_openais_client_as_what_it_is(site: Site) -> None:
    caller = site.project(key={"scopes": ["chat:create"]})
    with client_of(caller, Surroundings()) as client, pytest.raises(PermissionDenied) as refused:
        openai_of(caller, client.token_source("user-1")).models.list()
    assert refused.value.code == "forbidden"
    caller.assert_untouched()


def test_a_token_is_replaced_sixty_seconds_before_it_expires_and_not_earlier() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    assert gateway.asked == []
    seen = []
    for passing in (0, 1, TTL - 61 - 0.5, 0.5):
        surroundings.let_pass(passing)
        seen.append(source())
    assert seen == ["token-1", "token-1", "token-1", "token-2"]
    assert [patient for _, patient in gateway.asked] == [True, False]
    assert [wish.session_id for wish, _ in gateway.asked] == [None, "s"]


def test_a_token_that_lives_for_a_minute_is_used_for_half_of_it() -> None:
    gateway, surroundings = Gateway(ttl=60), Surroundings()
    source = source_of(gateway, surroundings)
    seen = []
    for passing in (0, 29, 1):
        surroundings.let_pass(passing)
        seen.append(source())
    assert seen == ["token-1", "token-1", "token-2"]


@pytest.mark.parametrize("clock", ["wall", "monotonic"])
def test_a_token_ages_by_whichever_clock_says_more(clock: str) -> None:
    """A machine that slept has a monotonic clock that stood; one whose time was set back has such a wall clock."""
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    source()
    setattr(surroundings, clock, getattr(surroundings, clock) + TTL)
    assert source() == "token-2"
    other = {"wall": "monotonic", "monotonic": "wall"}[clock]
    setattr(surroundings, other, getattr(surroundings, other) - 10 * TTL)
    assert source() == "token-2"


def test_the_time_that_minting_takes_counts_towards_a_tokens_age() -> None:
    surroundings = Surroundings()
    minting = Gateway()

    def slow(wish: Wish, *, patient: bool) -> Minted:
        surroundings.let_pass(30)
        return minting(wish, patient=patient)

    source = TokenSource(slow, Wish(user_id="u", ttl=TTL), ambient=surroundings.ambient)
    source()
    surroundings.let_pass(TTL - 60 - 30)
    assert source() == "token-2"


def test_many_threads_get_one_token_from_one_request() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    together = Barrier(MANY)

    def ask() -> str:
        together.wait()
        return source()

    with ThreadPoolExecutor(MANY) as threads:
        seen = {each.result() for each in [threads.submit(ask) for _ in range(MANY)]}
    assert (seen, len(gateway.asked)) == ({"token-1"}, 1)


def test_while_one_thread_refreshes_the_others_go_on_with_the_token_that_is_good() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    source()
    surroundings.let_pass(TTL - 30)
    gateway.open.clear()
    gateway.entered.clear()
    with ThreadPoolExecutor(1) as thread:
        refreshing = thread.submit(source)
        assert gateway.entered.wait(5)
        assert [source() for _ in range(3)] == ["token-1"] * 3
        gateway.open.set()
        assert refreshing.result(5) == "token-2"
    assert source() == "token-2"
    assert len(gateway.asked) == 2


def test_threads_that_wait_for_a_mint_that_fails_all_get_its_error_and_the_next_call_tries_again() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    gateway.failure = Unavailable("Away.", status=503, code="unavailable")
    gateway.open.clear()
    with ThreadPoolExecutor(MANY) as threads:
        asking = [threads.submit(source) for _ in range(MANY)]
        assert gateway.entered.wait(5)
        flight = source._flight
        assert flight is not None
        until(lambda: len(flight._condition._waiters) == MANY - 1)  # type: ignore[attr-defined]
        gateway.open.set()
        assert {type(each.exception(5)) for each in asking} == {Unavailable}
    assert len(gateway.asked) == 1
    gateway.failure = None
    assert source() == "token-2"


def test_when_minting_fails_the_old_token_is_used_as_long_as_it_is_good() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    source()
    gateway.failure = ConnectionFailed("Nobody there.")
    surroundings.let_pass(TTL - 60)
    assert source() == "token-1"
    surroundings.let_pass(4.9)
    assert source() == "token-1"
    assert len(gateway.asked) == 2  # it is left alone for a while …
    surroundings.let_pass(0.1)
    assert source() == "token-1"
    assert len(gateway.asked) == 3  # … and asked again
    surroundings.let_pass(55)
    with pytest.raises(ConnectionFailed):
        source()
    assert gateway.asked[-1][1]  # with every attempt, now that there is nothing to go on with
    gateway.failure = None
    assert source() == "token-5"


def test_a_gateway_that_says_when_to_come_back_is_not_asked_earlier() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    source()
    gateway.failure = Unavailable("Later.", retry_after=20.0)
    surroundings.let_pass(TTL - 60)
    for passing in (0, 19):
        surroundings.let_pass(passing)
        assert source() == "token-1"
    assert len(gateway.asked) == 2
    surroundings.let_pass(1)
    source()
    assert len(gateway.asked) == 3


def test_a_refresh_that_is_interrupted_leaves_nobody_waiting() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = source_of(gateway, surroundings)
    gateway.failure = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        source()
    gateway.failure = None
    assert source() == "token-2"


async def test_tasks_get_one_token_from_one_request_and_nobody_waits_for_a_refresh() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = async_source_of(gateway, surroundings)
    assert set(await asyncio.gather(*(source() for _ in range(MANY)))) == {"token-1"}
    assert len(gateway.asked) == 1
    surroundings.let_pass(TTL - 60)
    assert await source() == "token-1"
    await asyncio.sleep(0.05)
    assert await source() == "token-2"
    assert len(gateway.asked) == 2


async def test_a_task_that_gives_up_waiting_does_not_take_the_token_from_the_others() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = async_source_of(gateway, surroundings)
    first = asyncio.create_task(source())
    other = asyncio.create_task(source())
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert await other == "token-1"
    assert len(gateway.asked) == 1


async def test_tasks_go_on_with_the_old_token_when_minting_fails_until_it_is_not_good() -> None:
    gateway, surroundings = Gateway(), Surroundings()
    source = async_source_of(gateway, surroundings)
    await source()
    gateway.failure = Unavailable("Later.", retry_after=3600.0)
    surroundings.let_pass(TTL - 60)
    for _ in range(3):
        assert await source() == "token-1"
        await asyncio.sleep(0.02)
    assert len(gateway.asked) == 2
    surroundings.let_pass(60)
    errors = await asyncio.gather(*(source() for _ in range(3)), return_exceptions=True)
    assert all(isinstance(error, ClientError) for error in errors)
    assert len(gateway.asked) == 3
    gateway.failure = None
    assert await source() == "token-4"
