"""Providers with OpenAI's interface: what is sent to them, and what of their words is passed on."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.domain.models import ProviderKind
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.openai import OpenAIProvider
from bailiwick.providers.provider import Ask
from bailiwick.providers.transport import Transport
from tests.providers.transport.calls import nowhere
from tests.upstream import Upstream

CANARY = "canary-0f3a9c27d1"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
async def transport() -> AsyncIterator[Transport]:
    opened = Transport(resolve=nowhere)
    yield opened
    await opened.aclose()


def speaker(transport: Transport, base_url: str, secret: str | None = CANARY) -> OpenAIProvider:
    return OpenAIProvider(
        transport, kind=ProviderKind.OPENAI, base_url=base_url, secret=secret, guarded=False, timeouts=Timeouts()
    )


async def test_a_call_goes_to_the_completions_below_the_base_url_with_the_key(
    upstream: Upstream, transport: Transport
) -> None:
    exchange = await speaker(transport, upstream.base_url + "/").send(
        Ask(path="/chat/completions", body=b'{"model":"m"}', stream=False)
    )
    await exchange.read(1 << 20)
    request = upstream.requests[0]
    assert (request.method, request.path) == ("POST", "/v1/chat/completions")
    assert request.body == b'{"model":"m"}'
    assert dict(request.headers) == {
        "host": f"{upstream.host}:{upstream.port}",
        "user-agent": "bailiwick",
        "content-type": "application/json",
        "accept-encoding": "identity",
        "authorization": f"Bearer {CANARY}",
        "accept": "application/json",
        "content-length": "13",
    }


async def test_a_stream_is_asked_for_as_one(upstream: Upstream, transport: Transport) -> None:
    exchange = await speaker(transport, upstream.base_url).send(
        Ask(path="/chat/completions", body=b'{"model":"m","stream":true}', stream=True)
    )
    while await exchange.next_chunk() is not None:
        pass
    assert upstream.requests[0].header("accept") == "text/event-stream"


async def test_without_a_secret_no_credential_is_sent(upstream: Upstream, transport: Transport) -> None:
    exchange = await speaker(transport, upstream.base_url, None).send(
        Ask(path="/chat/completions", body=b"{}", stream=False)
    )
    await exchange.read(1 << 20)
    assert upstream.requests[0].header("authorization") is None


@pytest.fixture
def scrubbing() -> OpenAIProvider:
    return speaker(Transport(resolve=nowhere), "https://llm-7.example.test:8443/v1")


@pytest.mark.parametrize(
    ("said", "hidden"),
    [
        (f"Incorrect API key provided: {CANARY}.", CANARY),
        (f"({CANARY})", CANARY),
        (f"key={CANARY}&x", CANARY),
        (CANARY.upper(), CANARY.upper()),
        ("Incorrect API key: sk-proj-abcdef123456", "sk-proj-abcdef123456"),
        ("Incorrect API key: sk-proj-********************wXyZ.", "wXyZ"),
        ("Incorrect API key: sk-ab...wxyz", "wxyz"),
        ("Incorrect API key: sk-ab…wxyz", "wxyz"),
        ("sk_live_4eC39HqLyjWDarjtT1zdp7dc", "4eC39"),
        ("sk-ant-api03-abc_DEF-123", "api03"),
        ("gsk_abcdefghij0123456789", "gsk_abc"),
        ("xai-abcdefghij0123456789", "xai-abc"),
        ("AIzaSyA-abcdefghijklmnopqrstuvwxyz12345", "AIza"),
        ("AKIAIOSFODNN7EXAMPLE", "AKIA"),
        ("key-3ax6xnjp29jd6fds4gc373sgvjxteol0", "3ax6"),
        ("bwk_live_0123456789ab_abcdefgh", "bwk_live"),
        ("Bearer dGhpcyBpcyBhIHNlY3JldCB0b2tlbg==", "dGhpcy"),
        ("authorization: Basic dXNlcjpwYXNzd29yZDEyMzQ1Ng==", "dXNlcj"),
        ("token eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl", "eyJhbGci"),
        ("see https://internal.example.test/keys?k=v for more", "internal.example"),
        ("http://10.1.2.3:8000/v1/chat", "10.1.2.3"),
        ("postgres://user:pass@db/x", "pass"),
        ("redis://cache:6379/0", "cache:6379"),
        ("backend llm-7.example.test:8443 is down", "llm-7"),
        ("backend LLM-7.EXAMPLE.TEST is down", "LLM-7"),
        ("dial tcp 10.11.12.13:8443: connect: connection refused", "10.11.12.13"),
        ("from 192.168.0.1.", "192.168"),
        ("[fe80::1]:8080", "fe80"),
        ("to 2001:db8:85a3::8a2e:370:7334 failed", "db8"),
        ("to 2001:0db8:85a3:0000:0000:8a2e:0370:7334 failed", "8a2e"),
        ("to ::1 failed", "::1"),
        ("to ::ffff:10.11.12.13 failed", "11.12"),
        ("to 64:ff9b::10.11.12.13 failed", "11.12"),
        ("mac 00:1a:2b:3c:4d:5e", "1a:2b"),
        ("node ip-10-0-1-7.eu-west-1.compute.internal", "compute"),
        ("host gpu-3.cluster.local:9000", "gpu-3"),
        ("vllm.default.svc refused", "vllm"),
        ("go to platform.openai.com/account", "platform.openai"),
        ("connect to localhost:11434 refused", "11434"),
    ],
)
def test_secrets_and_addresses_are_taken_out(scrubbing: OpenAIProvider, said: str, hidden: str) -> None:
    assert hidden in said
    assert hidden not in scrubbing.scrub(said)


@pytest.mark.parametrize(
    "said",
    [
        "The model `gpt-4o` does not exist or you do not have access to it.",
        "This model's maximum context length is 128000 tokens. However, you requested 130000 tokens.",
        "Invalid value for 'messages[0].content': expected a string.",
        "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
        "Rate limit reached for gpt-4o in organization on tokens per min (TPM): Limit 30000, Used 29000.",
        "Please try again in 1.2s. Try again at 12:30:45, or on 2026-11-21T12:30:45Z.",
        "This is a basic question about the bearer of the risk: task-based asking, desk-bound.",
        "The bearer token is missing. Basic authentication is required.",
        "key_value pairs; the key-value-store; keyboard; sketch; pkg-config; rk-4; sk-1",
        "std::vector in C++; ratio 3:2; at 9:15",
        "Version 3.12.1 of the schema, v1.2, 0.5, 1,000.25; e.g. this, i.e. that, etc.",
        "temperature must be between 0 and 2; top_p=0.95; n:1",
        "a and/or b; https is required; node.js, main.py",
        "Ungültige Anfrage: naïve café 你好 😀",
        "",
    ],
)
def test_ordinary_words_survive(scrubbing: OpenAIProvider, said: str) -> None:
    assert scrubbing.scrub(said) == said


def test_a_message_is_cut(scrubbing: OpenAIProvider) -> None:
    assert len(scrubbing.scrub("word " * 1_000_000)) == 2000


def test_a_key_at_the_place_of_the_cut_is_taken_out(scrubbing: OpenAIProvider) -> None:
    for before in range(1950, 2010):
        assert CANARY[:6] not in scrubbing.scrub("x" * before + " " + CANARY)
    for before in range(15_950, 16_010):
        said = "https://" + "x" * (before - 20) + " and now " + CANARY
        assert CANARY[:6] not in scrubbing.scrub(said)


@given(st.text(st.sampled_from("ab.-:/ \n1"), max_size=60), st.text(st.sampled_from("ab.-:/ \n1"), max_size=60))
def test_the_accounts_own_key_is_taken_out_of_any_text(before: str, after: str) -> None:
    said = speaker(Transport(resolve=nowhere), "https://example.test").scrub(before + CANARY + after)
    assert CANARY not in said


@pytest.mark.parametrize(
    "said",
    ["a.", "1:", ":", "sk-", "a-", "a", "::1:", "a.b-", "0", "bearer ", "bearer\n", "a+", "http://", "eyJ.", "1.2.3."],
)
def test_no_text_keeps_us_busy(scrubbing: OpenAIProvider, said: str) -> None:
    began = time.process_time()
    scrubbing.scrub(said * (256 * 1024 // len(said)))
    assert time.process_time() - began < 0.2


def test_without_a_secret_scrubbing_still_knows_its_host() -> None:
    open_provider = speaker(Transport(resolve=nowhere), "http://models:8000", None)
    assert "models:8000" not in open_provider.scrub("cannot reach models:8000")
    assert open_provider.scrub("plain") == "plain"
