"""When a request is tried again, and when not: a scripted gateway, and a clock that moves only as the client waits."""

from __future__ import annotations

from email.utils import formatdate
from typing import Final

import pytest

from bailiwick.client import (
    AsyncClient,
    BudgetExceeded,
    Client,
    ClientError,
    ConnectionFailed,
    InvalidRequest,
    RateLimited,
    Unavailable,
)
from tests.client.surroundings import START, Surroundings
from tests.client.test_configuration import KEY, ME
from tests.upstream import Behaviour, Upstream, payloads
from tests.upstream.behaviour import Ending

MINTED: Final = Behaviour(
    body=b'{"token":"a.b.c","token_type":"Bearer","ttl":900,"session_id":"s","expires_at":1,"project_id":"p"}'
)


def refusal(status: int, code: str, *headers: tuple[str, str]) -> Behaviour:
    return Behaviour(status=status, body=payloads.error("No.", code=code), headers=headers)


def asked(*answers: Behaviour, jitter: float = 0.0, **options: float) -> tuple[list[float], int, ClientError | None]:
    """What the client waited, how often it asked, and what it raised; both clients must do the same."""
    surroundings = Surroundings(jitter=jitter)
    failure: ClientError | None = None
    with Upstream() as gateway:
        gateway.on("/v1/me", *answers)
        with Client(KEY, gateway.base_url, ambient=surroundings.ambient, **options) as client:  # type: ignore[arg-type]
            try:
                client.me()
            except ClientError as error:
                failure = error
        return surroundings.waited, len(gateway.requests), failure


@pytest.mark.parametrize(
    "trouble",
    [
        refusal(408, "request_timeout"), refusal(429, "rate_limited"), refusal(500, "internal_error"),
        refusal(503, "unavailable"), Behaviour(status=502, body=b"<html>"), Behaviour(ending=Ending.RESET),
        Behaviour(ending=Ending.CLOSE),
    ],
)  # fmt: skip
def test_what_may_pass_later_is_tried_again_after_a_growing_pause(trouble: Behaviour) -> None:
    assert asked(trouble, trouble, ME) == ([0.25, 0.5], 3, None)


def test_pauses_are_spread_so_that_not_all_come_back_at_once() -> None:
    trouble = refusal(503, "unavailable")
    assert asked(trouble, trouble, ME, jitter=1.0)[0] == [0.5, 1.0]
    told = refusal(503, "unavailable", ("retry-after", "3"))
    assert asked(told, ME, jitter=1.0)[0] == [3.5]


def test_the_last_refusal_is_raised_when_attempts_are_used_up() -> None:
    waited, requests, failure = asked(refusal(429, "rate_limited", ("retry-after", "1"), ("x-request-id", "req_7")))
    assert (waited, requests) == ([1.0, 1.0], 3)
    assert isinstance(failure, RateLimited)
    assert (failure.code, failure.status, failure.retry_after) == ("rate_limited", 429, 1.0)
    assert (failure.request_id, failure.message, failure.should_retry) == ("req_7", "No.", True)


@pytest.mark.parametrize(
    "refused",
    [refusal(400, "invalid_request"), refusal(401, "invalid_credentials"), refusal(403, "forbidden"),
     refusal(404, "not_found"), refusal(402, "budget_exceeded")],
)  # fmt: skip
def test_what_can_never_pass_is_not_tried_again(refused: Behaviour) -> None:
    waited, requests, failure = asked(refused, ME)
    assert (waited, requests) == ([], 1)
    assert failure is not None
    assert not failure.should_retry


def test_the_gateway_has_the_last_word_on_another_try() -> None:
    never = asked(refusal(429, "rate_limited", ("x-should-retry", "false")), ME)
    assert never[:2] == ([], 1)
    assert isinstance(never[2], RateLimited)
    assert asked(refusal(409, "conflict", ("x-should-retry", "true")), ME) == ([0.25], 2, None)
    assert isinstance(asked(refusal(402, "budget_exceeded", ("x-should-retry", "false")))[2], BudgetExceeded)


def test_retry_after_is_waited_for_in_seconds_or_until_a_date() -> None:
    assert asked(refusal(429, "rate_limited", ("retry-after", "7")), ME) == ([7.0], 2, None)
    date = formatdate(START + 20, usegmt=True)
    assert asked(refusal(503, "unavailable", ("retry-after", date)), ME) == ([20.0], 2, None)
    past = formatdate(START - 20, usegmt=True)
    assert asked(refusal(503, "unavailable", ("retry-after", past)), ME) == ([0.0], 2, None)
    for garbled in ("soon", "-1", "1e9", ""):
        assert asked(refusal(503, "unavailable", ("retry-after", garbled)), ME) == ([0.25], 2, None)


def test_a_wait_that_is_too_long_is_the_callers_to_wait() -> None:
    waited, requests, failure = asked(refusal(429, "rate_limited", ("retry-after", "61")), ME)
    assert (waited, requests) == ([], 1)
    assert failure is not None
    assert failure.retry_after == 61.0
    assert asked(refusal(429, "rate_limited", ("retry-after", "61")), ME, give_up_after=90) == ([61.0], 2, None)


def test_all_attempts_together_are_bounded_in_time() -> None:
    waited, requests, failure = asked(refusal(503, "unavailable", ("retry-after", "25")), max_retries=9)
    assert (waited, requests) == ([25.0, 25.0], 3)
    assert isinstance(failure, Unavailable)


def test_nobody_listening_is_no_answer_after_all_attempts() -> None:
    surroundings = Surroundings()
    with pytest.raises(ConnectionFailed, match="failed") as failed:
        Client(KEY, "http://127.0.0.1:9", ambient=surroundings.ambient).me()
    assert surroundings.waited == [0.25, 0.5]
    assert (failed.value.status, failed.value.code) == (None, None)
    assert failed.value.__cause__ is not None


async def test_the_asynchronous_client_does_the_same() -> None:
    surroundings = Surroundings()
    with Upstream() as gateway:
        trouble = refusal(429, "rate_limited", ("retry-after", "7"))
        gateway.on("/v1/auth/mint", Behaviour(ending=Ending.RESET), trouble, MINTED)
        async with AsyncClient(KEY, gateway.base_url, ambient=surroundings.ambient) as client:
            assert (await client.auth.mint("user-1")).token == "a.b.c"
            assert surroundings.waited == [0.25, 7.0]
            gateway.on("/v1/auth/mint", refusal(400, "invalid_request"))
            with pytest.raises(InvalidRequest):
                await client.auth.mint("user-1")
    assert len(surroundings.waited) == 2
