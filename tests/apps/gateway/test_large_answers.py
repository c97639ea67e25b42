"""Answers and events without measure: passed on without being held, and nobody waits for what is in them."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx2
import pytest

from bailiwick.domain.usage import Outcome, UsageSource
from tests.apps.gateway.others import LONGEST_WAIT, longest_wait
from tests.serving import ASK, MODEL, Caller, Site, error_of
from tests.upstream import Behaviour, Ending, Upstream

MB: Final = 1024 * 1024
USAGE: Final = b'"usage":{"prompt_tokens":5,"completion_tokens":7,"prompt_tokens_details":{"cached_tokens":3}}'


@pytest.fixture
def caller(site: Site) -> Caller:
    return site.project()


def answer(choices: bytes, *, usage: bytes = b"," + USAGE) -> bytes:
    return b'{"id":"c","object":"chat.completion","choices":[%b]%b}' % (choices, usage)


def choice(size: int) -> bytes:
    message = b'{"role":"assistant","content":"%b"}' % (rb"\"usage\":{}," * (size // 14))
    return b'{"index":0,"message":%b,"finish_reason":"stop"}' % message


def memory(site: Site) -> float:
    """What the gateway holds, in megabytes."""
    status = Path(f"/proc/{site.installation.children()['gateway']}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


def used(caller: Caller) -> tuple[Outcome, UsageSource, int, int, int]:
    row = caller.row()
    counts = (row["input_tokens"], row["output_tokens"], row["cached_tokens"])
    return Outcome(row["outcome"]), UsageSource(row["usage_source"]), *counts


@pytest.mark.parametrize("size", [0, MB // 2, 3 * MB])
def test_a_large_answer_passes_byte_for_byte_and_its_usage_counts(
    caller: Caller, upstream: Upstream, size: int
) -> None:
    body = answer(choice(size))
    upstream.on(MODEL, Behaviour(body=body))
    got = caller.chat()
    assert (got.status_code, got.headers["content-type"], got.content) == (200, "application/json", body)
    assert used(caller) == (Outcome.COMPLETED, UsageSource.REPORTED, 5, 7, 3)


def test_a_large_answer_without_usage_is_estimated_by_its_size(caller: Caller, upstream: Upstream) -> None:
    body = answer(choice(2 * MB), usage=b"")
    upstream.on(MODEL, Behaviour(body=body))
    assert caller.chat().content == body
    outcome, source, _, wrote, _ = used(caller)
    assert (outcome, source) == (Outcome.COMPLETED, UsageSource.ESTIMATED)
    assert wrote == pytest.approx(len(body) / 4, abs=1)


def test_embeddings_of_many_texts_pass(caller: Caller, upstream: Upstream) -> None:
    vector = b'{"object":"embedding","index":0,"embedding":[%b]}' % b",".join([b"-0.0123"] * 1000)
    usage = b'"usage":{"prompt_tokens":9,"total_tokens":9}'
    body = b'{"object":"list","data":[%b],"model":"e",%b}' % (b",".join([vector] * 500), usage)
    upstream.on("/v1/embeddings", Behaviour(body=body))
    got = caller.ask("POST", "/v1/embeddings", json={"model": MODEL, "input": "x"})
    assert (got.status_code, got.content) == (200, body)
    assert used(caller) == (Outcome.COMPLETED, UsageSource.REPORTED, 9, 0, 0)


@pytest.mark.parametrize("body", [b'{"x":"' + b"x" * 2 * MB + b'"}', b"x" * 2 * MB, b"[" * 2 * MB])
def test_what_is_large_and_no_answer_is_a_clean_error(caller: Caller, upstream: Upstream, body: bytes) -> None:
    upstream.on(MODEL, Behaviour(body=body))
    assert error_of(caller.chat()) == (502, "provider_error")
    assert caller.row()["outcome"] == Outcome.PROVIDER_ERROR


@pytest.mark.parametrize("ending", [Ending.CLOSE, Ending.STALL])
def test_a_client_sees_that_a_large_answer_broke_off(caller: Caller, upstream: Upstream, ending: Ending) -> None:
    upstream.on(MODEL, Behaviour(body=answer(choice(4 * MB)), ending=ending, after=0.7))
    with pytest.raises(httpx2.RemoteProtocolError):
        caller.chat()
    outcome, source, _, wrote, _ = used(caller)
    assert outcome is (Outcome.PROVIDER_TIMEOUT if ending is Ending.STALL else Outcome.PROVIDER_ERROR)
    assert source is UsageSource.ESTIMATED
    assert wrote > MB // 4


# Made when they are asked for: a test session that only collects this module makes none.
FLOODS: dict[str, tuple[Callable[[], Behaviour], bool]] = {
    "choices": (lambda: Behaviour(body=answer(b",".join([b"{}"] * 10_000_000))), False),
    "choices, not that many": (lambda: Behaviour(body=answer(b",".join([b"{}"] * 300_000))), False),
    "choices of an event": (
        lambda: Behaviour(frames=(b"data: " + answer(b",".join([b"{}"] * 5_000_000)) + b"\n\n", b"data: [DONE]\n\n")),
        True,
    ),
    "lines of an event": (lambda: Behaviour(frames=(b"data:\n" * 2_500_000 + b"\n", b"data: [DONE]\n\n")), True),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_others_are_answered_while_a_costly_answer_is_read(
    site: Site, caller: Caller, upstream: Upstream, kind: str
) -> None:
    behaviour, stream = FLOODS[kind]
    upstream.on(MODEL, behaviour())
    before = memory(site)
    assert longest_wait(site, lambda: ask(caller, stream=stream)) < LONGEST_WAIT
    assert memory(site) - before < 150
    if kind != "lines of an event":
        assert caller.row()["input_tokens"] == 5


def ask(caller: Caller, **fields: Any) -> None:
    caller.ask("POST", "/v1/chat/completions", json={"model": MODEL, "messages": ASK, **fields})


def test_answers_of_providers_that_stall_are_not_held(site: Site, caller: Caller, upstream: Upstream) -> None:
    body = answer(choice(30 * MB))
    upstream.on(MODEL, replace(Behaviour(body=body), ending=Ending.STALL, after=0.9))
    before = memory(site)
    grown: list[float] = []

    def asking() -> None:
        with suppress(httpx2.RemoteProtocolError):  # Or a clean error, if nothing was sent when it fell silent.
            ask(caller)
        grown.append(memory(site) - before)

    threads = [threading.Thread(target=asking) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(grown) < 60
    assert len(grown) == 6
