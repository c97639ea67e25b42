"""Passwords: which may be taken, and how they are hashed and compared."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time

import pytest

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Invalid
from bailiwick.identity import passwords
from bailiwick.identity.passwords import Passwords, read_password

GOOD = "a long walk by the sea"


def quick() -> Passwords:
    """As cheap as Argon2 can be, where its cost is not what is tested."""
    return Passwords(time_cost=1, memory_kib=8, lanes=1)


@pytest.mark.parametrize("text", [GOOD, "x" * 6 + "yzab" * 3, "мой новый пароль", "l" + "ong " * 255])
def test_a_long_password_is_taken_whatever_it_is_made_of(text: str) -> None:
    assert read_password("password", text) == text


@pytest.mark.parametrize(
    "text",
    [
        "", "eleven char", "x" * 1025, "é" * 600, "password1234", "Password 1234", "PASSWORDPASSWORD!!", "123456789012",
        "aaaaaaaaaaaa", "121212121212", "abcabcabcabcabc", "\uff41dmin1234567", "🔑🔐🗝️🔑",
        "ada@example.com", "ADA@example.com!", "lovelacelovelace",
    ],
)  # fmt: skip
def test_a_short_or_endless_password_and_one_that_is_tried_first_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(Invalid) as raised:
        read_password("password", text, not_like=("ada@example.com", "lovelace"))
    assert [error.field for error in raised.value.errors] == ["password"]
    assert not text or text not in raised.value.errors[0].message


async def test_a_password_is_known_again_in_whichever_form_a_keyboard_sends_it() -> None:
    made = quick()
    stored = await made.hash("Zürich ist schön")
    assert await made.matches(stored, "Zürich ist schön")
    assert not await made.matches(stored, "Zurich ist schon")


async def test_what_is_stored_is_argon2id_with_the_parameters_of_rfc_9106_and_its_own_salt() -> None:
    made = Passwords()
    first, second = await made.hash(GOOD), await made.hash(GOOD)
    assert first.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert first != second
    assert GOOD not in first


async def test_a_hash_of_other_parameters_is_understood_and_told_to_be_outdated() -> None:
    stored = await quick().hash(GOOD)
    made = Passwords()
    assert await made.matches(stored, GOOD)
    assert made.is_outdated(stored)
    assert not made.is_outdated(await made.hash(GOOD))


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"])
async def test_nothing_matches_what_is_no_hash(stored: str | None) -> None:
    assert not await quick().matches(stored, "nobody's")


async def test_to_tell_that_there_is_no_password_takes_as_long_as_to_tell_that_it_is_wrong() -> None:
    made = Passwords(time_cost=4, memory_kib=16_384, lanes=1)
    stored = await made.hash(GOOD)
    await made.matches(None, GOOD)

    async def took(compared: str | None) -> float:
        began = time.process_time()
        await made.matches(compared, "another long one")
        return time.process_time() - began

    times = [(await took(stored), await took(None)) for _ in range(7)]
    wrong, absent = (statistics.median(column) for column in zip(*times, strict=True))
    assert 0.6 < absent / wrong < 1.6


async def test_a_crowd_takes_the_memory_of_two_and_the_rest_is_told_to_come_back() -> None:
    made = Passwords(time_cost=1, memory_kib=1024, lanes=1)
    stored = await made.hash(GOOD)
    answers = await asyncio.gather(*(made.matches(stored, GOOD) for _ in range(10_000)), return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, Refused)]
    workers = [thread for thread in threading.enumerate() if thread.name.startswith("password")]
    assert len(workers) <= passwords._AT_ONCE
    assert answers.count(True) == passwords._WAITING
    assert len(refused) == 10_000 - passwords._WAITING
    assert {(refusal.code, refusal.retry_after) for refusal in refused} == {(Code.RATE_LIMITED, 5)}
    assert await made.matches(stored, GOOD)


async def test_who_goes_away_while_waiting_leaves_the_turn_to_others() -> None:
    made = Passwords(time_cost=4, memory_kib=16_384, lanes=1)
    tasks = [asyncio.create_task(made.hash(GOOD)) for _ in range(passwords._WAITING)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all(task.cancelled() for task in tasks)
    assert await made.matches(await made.hash(GOOD), GOOD)
