"""A rotation of the signing keys, as whoever holds or verifies tokens sees it: nobody is ever refused for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, cast, final

import msgspec
import pytest

from bailiwick.bootstrap import credentials
from bailiwick.bootstrap.credentials import CredentialParts
from bailiwick.domain.audit import UPKEEP
from bailiwick.domain.errors import Refused
from bailiwick.domain.minting import read_mint_request
from bailiwick.domain.signing import PUBLISHED_BEFORE, ROTATED_AFTER
from bailiwick.identity import jws
from bailiwick.services.authentication import Presented
from bailiwick.storage import roles
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.scope import Database, open_pool
from tests.control import PUBLIC_URL, Control, controlled
from tests.database import GATEWAY_KEYS, MASTER_KEY, TestServer

DAY = 86_400


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """A gateway's part of it, and a key that mints."""

    control: Control
    parts: CredentialParts
    key: str

    async def mint(self, ttl: int = DAY) -> str:
        """A token."""
        body = msgspec.json.encode({"user_id": "u", "ttl": ttl})
        principal = await self.parts.authentication.authenticate(presented(self.key))
        return (await self.parts.minting.mint(principal, read_mint_request(body), key_tier=None)).token

    async def takes(self, token: str) -> bool:
        """Whether a token is good."""
        try:
            await self.parts.authentication.authenticate(presented(token))
        except Refused:
            return False
        return True

    async def published(self) -> list[str]:
        """The ids of the keys by which others verify."""
        document: dict[str, Any] = msgspec.json.decode(await self.parts.signing.jwks())
        jws.PublicKeys.parse(document)
        return [key["kid"] for key in document["keys"]]

    async def passes(self, span: timedelta) -> None:
        """Let time pass, and do what is done by itself meanwhile."""
        self.control.clock.advance(seconds=span.total_seconds())
        await self.control.plane.signing_keys.look_after(UPKEEP)


def presented(text: str) -> Presented:
    return Presented(
        credential=text, address=lambda: None, slug=None, uid=None, sid=None, organization=None, project=None
    )


def kid_of(token: str) -> str | None:
    return jws.read(token).kid


@pytest.fixture
async def gate(server: TestServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    database = server.create()
    pool = open_pool(database.url(roles.APP), name="test", size=1)
    async with controlled(database) as control, pool, AsyncExitStack() as stack:
        await control.plane.signing_keys.look_after(UPKEEP)
        monkeypatch.setattr(credentials, "now", control.clock)
        parts = credentials.credential_parts(
            stack,
            Database(pool),
            Epoch(lambda: 0.0),  # Never fresh: each call asks the database.
            GATEWAY_KEYS,
            cast("Any", None),  # No issuer is asked here.
            sealing=lambda: (MASTER_KEY.sealing(),),
            public_url=PUBLIC_URL,
        )
        yield Gate(control=control, parts=parts, key=(await control.key())["key"])


async def test_the_next_key_is_published_before_it_signs_and_the_old_ones_tokens_go_on(gate: Gate) -> None:
    (old,) = await gate.published()
    before = await gate.mint()
    made = await gate.control.make("/signing-keys")
    assert await gate.published() == [old, made["kid"]]
    await gate.passes(PUBLISHED_BEFORE - timedelta(seconds=2))
    last = await gate.mint()
    assert kid_of(last) == old
    await gate.passes(timedelta(seconds=2))
    assert kid_of(await gate.mint()) == made["kid"]
    assert await gate.published() == [old, made["kid"]]
    assert await gate.takes(before)
    assert await gate.takes(last)


async def test_an_old_key_leaves_once_its_last_token_has_expired(gate: Gate) -> None:
    await gate.control.make("/signing-keys")
    await gate.passes(PUBLISHED_BEFORE - timedelta(seconds=2))
    last = await gate.mint()
    old = kid_of(last)
    await gate.passes(timedelta(seconds=DAY))
    assert await gate.takes(last)
    assert old in await gate.published()
    await gate.passes(timedelta(seconds=31))
    assert not await gate.takes(last)
    await gate.passes(timedelta(minutes=5))
    assert old not in await gate.published()
    assert len((await gate.control.read("/signing-keys"))["data"]) == 1


async def test_a_key_that_signs_at_once_ends_no_token(gate: Gate) -> None:
    before = await gate.mint()
    made = await gate.control.make("/signing-keys", at_once=True)
    after = await gate.mint()
    assert kid_of(after) == made["kid"] != kid_of(before)
    assert await gate.takes(before)
    assert await gate.takes(after)


async def test_keys_are_rotated_by_age(gate: Gate) -> None:
    old = kid_of(await gate.mint())
    await gate.passes(ROTATED_AFTER - timedelta(minutes=1))
    assert await gate.published() == [old]
    await gate.passes(timedelta(minutes=1))
    assert len(await gate.published()) == 2
    assert kid_of(await gate.mint()) == old
    await gate.passes(PUBLISHED_BEFORE)
    assert kid_of(await gate.mint()) != old
    await gate.passes(timedelta(minutes=1))
    assert len(await gate.published()) == 2
