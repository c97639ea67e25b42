"""Whether a provider answers with the account that is set up: asked by an operator, once, with little patience.

The list of models is asked for, which costs nothing; where there is none, a completion of one token. The address is
judged as a call's is, no redirect is followed, and what comes back is told without the account's key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, TypeAlias, final

import msgspec

from bailiwick.domain.audit import Actor
from bailiwick.domain.ids import ProviderId
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.providers import Place, Provider
from bailiwick.providers.answers.errors import read_error
from bailiwick.providers.openai import OpenAIProvider
from bailiwick.providers.provider import Ask, Exchange
from bailiwick.providers.transport_errors import ResponseTooLarge, TransportError, TransportTimeout
from bailiwick.services.provider_accounts import ProviderAccounts

SECONDS: Final = 10.0
_LARGEST: Final = 4 * 1024 * 1024
_NO_LIST: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED})

Connect: TypeAlias = Callable[[Provider, str | None], OpenAIProvider]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """How a provider answered: `status` is None if it did not. `detail` is a sentence, without the account's key."""

    ok: bool
    status: int | None
    latency_ms: int
    detail: str


@final
class ProviderTests:
    """Asks providers whether they answer."""

    def __init__(self, accounts: ProviderAccounts, connect: Connect, *, monotonic: Callable[[], float]) -> None:
        """`connect` makes who speaks to a provider with its key; `monotonic` is in seconds."""
        self._accounts = accounts
        self._connect = connect
        self._monotonic = monotonic

    async def test(self, actor: Actor, place: Place, provider_id: ProviderId) -> Tested:
        """Ask a provider, on the record; raises `Refused` (404)."""
        provider, secret = await self._accounts.use(actor, place, provider_id)
        if provider.spec.kind is ProviderKind.ECHO:
            return Tested(ok=True, status=None, latency_ms=0, detail="It is part of this server.")
        speaker = self._connect(provider, secret)
        began = self._monotonic()
        status: int | None = None
        try:
            async with asyncio.timeout(SECONDS):
                ok, status, detail = await _ask(speaker, provider)
        except (TransportTimeout, TimeoutError):
            ok, detail = False, f"It did not answer within {SECONDS:.0f} seconds."
        except ResponseTooLarge:
            ok, detail = False, "Its answer is too large."
        except TransportError as error:
            ok, detail = False, f"It did not answer: {error}."
        return Tested(
            ok=ok, status=status, latency_ms=round((self._monotonic() - began) * 1000), detail=speaker.scrub(detail)
        )


async def _ask(speaker: OpenAIProvider, provider: Provider) -> tuple[bool, int, str]:
    """Whether it answered well, with which status, and what there is to say of it."""
    exchange = await speaker.list_models(SECONDS)
    models = provider.spec.models
    if exchange.status in _NO_LIST and models:
        exchange.abort()
        return await _complete(speaker, models[0])
    body = await exchange.read(_LARGEST)
    if not _good(exchange):
        return False, exchange.status, _refusal(exchange, body)
    listed = _member(body, "data")
    if not isinstance(listed, list):
        return False, exchange.status, "What it answers is no list of models: is base_url right?"
    return True, exchange.status, f"It lists {len(listed)} models."


async def _complete(speaker: OpenAIProvider, model: str) -> tuple[bool, int, str]:
    question = {"model": model, "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1}
    ask = Ask(path="/chat/completions", body=msgspec.json.encode(question), stream=False, total=SECONDS)
    exchange = await speaker.send(ask)
    body = await exchange.read(_LARGEST)
    if not _good(exchange):
        return False, exchange.status, _refusal(exchange, body)
    if not isinstance(_member(body, "choices"), list):
        return False, exchange.status, "What it answers is no completion: is base_url right?"
    return True, exchange.status, f"{model} answered."


def _good(exchange: Exchange) -> bool:
    return HTTPStatus(200) <= exchange.status < HTTPStatus(300)


def _refusal(exchange: Exchange, body: bytes) -> str:
    if HTTPStatus(300) <= exchange.status < HTTPStatus(400):
        return "It answered with a redirect, which is not followed."
    return read_error(body).message or "It refused, without saying why."


def _member(body: bytes, name: str) -> object:
    try:
        found: Any = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return None
    return found.get(name) if isinstance(found, dict) else None
