"""Trying a project out: a call as any of its users, made by an operator, and every decision that it met.

A token is minted for that user in the name of one of the project's keys, as whoever has that key could, and the gateway
called with it: so the call is decided, counted and paid for as any other. Guarantees:

- the operator may mint there, and that they did is in the audit log before the call is made;
- the token lives for a minute, ends with its key, and is neither shown nor logged nor kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, final

import msgspec
from msgspec.structs import replace

from bailiwick.domain import ids
from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.audit import Actor
from bailiwick.domain.credentials import Active, ApiKey
from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.domain.explanation import Found, read_request_id
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.minting import SHORTEST_SECONDS, MintRequest, minted_tier
from bailiwick.domain.permissions import Permission
from bailiwick.providers.own_gateway import Answer, OwnGateway
from bailiwick.services.acts import Acts
from bailiwick.services.explaining import Explaining
from bailiwick.services.minting import minted, minted_claims
from bailiwick.services.signing import Ring
from bailiwick.storage import playground, signing_keys
from bailiwick.storage.keys import KeyRows
from bailiwick.storage.playground import Choices
from bailiwick.storage.scope import Database

_FOR_MINTING: Final = frozenset({Permission.TOKENS_MINT, Permission.USERS_ACT_AS})
# What was refused is written down a second later.
_LOOKS: Final = 20
_LOOK_SECONDS: Final = 0.15
_CHAT: Final = "/v1/chat/completions"
_OK: Final = 200
_NO_PARAMETERS: Final = {"type": "object", "properties": dict[str, object]()}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What to try: as whom, by a key of the project, and what to ask. `tools` are names of functions to offer."""

    key_id: KeyId
    token: MintRequest
    model: str
    message: str
    tools: tuple[str, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tried:
    """What became of it. `me` is what the gateway says of the user (`GET /v1/me`), None if it refused them.

    `call` is None of a call that the database does not know: who made it was not recognized.
    """

    answer: Answer
    me: dict[str, Any] | None
    call: Found | None


@final
class Playground:
    """Tries projects out."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        explaining: Explaining,
        gateway: OwnGateway | None,
        *,
        sealing: bytes,
        public_url: str,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`gateway` None: there is none. `sealing` is what signing keys are sealed with; `public_url` the issuer."""
        self._database = database
        self._acts = acts
        self._explaining = explaining
        self._gateway = gateway
        self._sealing = sealing
        self._issuer = public_url
        self._pause = pause

    async def choices(self, tenant_id: TenantId, project_id: ProjectId) -> Choices:
        """What can be chosen from."""
        async with self._database.reading(tenant_id) as scope:
            return await playground.choices(scope, tenant_id, project_id, self._acts.now())

    async def carry_out(self, actor: Actor, at: tuple[TenantId, ProjectId], trial: Trial) -> Tried:
        """Make one call; raises `Invalid` for what cannot be minted, `Unavailable` without a gateway."""
        gateway = self._gateway
        if gateway is None:
            raise Unavailable(cause="the control process was told of no gateway")
        token = await self._token(actor, at, trial)
        me = await gateway.ask("GET", "/v1/me", token=token, ip=actor.ip)
        answer = await gateway.ask("POST", _CHAT, token=token, ip=actor.ip, body=_body(trial))
        said = None if me.status != _OK or me.body is None else msgspec.json.decode(me.body, type=dict[str, Any])
        return Tried(answer=answer, me=said, call=await self._call(at[0], answer))

    async def _token(self, actor: Actor, at: tuple[TenantId, ProjectId], trial: Trial) -> str:
        tenant_id, project_id = at
        now = self._acts.now()
        async with self._database.acting(tenant_id) as scope:
            key = await KeyRows(scope, tenant_id, project_id).find(trial.key_id)
            if key is None or not isinstance(key.lifetime.state(now), Active):
                raise invalid("key", "must be an active key of this project")
            if not key.scopes >= _FOR_MINTING:
                raise invalid("key", f"must hold {' and '.join(sorted(_FOR_MINTING))}")
            claims = self._claims(at, key, trial.token)
            signer = Ring(await signing_keys.find_all(scope), lambda: (self._sealing,)).signer(now)
            target = ids.shown(ids.PROJECT, project_id)
            detail = {
                "user_id": claims.uid,
                "jti": claims.jti,
                "session_id": claims.sid,
                "key_id": claims.client_id,
                "for": "playground",
            }
            await self._acts.record(scope, actor, "token.mint", target, tenant_id=tenant_id, detail=detail)
        return minted(signer, claims).token

    def _claims(self, at: tuple[TenantId, ProjectId], key: ApiKey, asked: MintRequest) -> TokenClaims:
        """What the token says; raises `Invalid` for what its key may not give."""
        tenant_id, project_id = at
        try:
            return minted_claims(
                replace(asked, ttl=SHORTEST_SECONDS, tier=minted_tier(asked.tier, key.spec.tier)),
                issuer=self._issuer,
                at=self._acts.now(),
                tenant_id=tenant_id,
                project_id=project_id,
                client_id=ids.shown(ids.KEY, key.id),
                held=key.scopes,
                new_id=lambda: self._acts.new_id().hex,
            )
        except Refused as refused:
            raise invalid(refused.param or "key", refused.message) from None

    async def _call(self, tenant_id: TenantId, answer: Answer) -> Found | None:
        """The call as the database knows it, once it does."""
        request_id = read_request_id(answer.headers.get("x-request-id", ""))
        if request_id is None:
            return None
        for _ in range(_LOOKS):
            try:
                return await self._explaining.find(tenant_id, request_id)
            except Refused as refused:
                if refused.code is not Code.NOT_FOUND:
                    raise
            await self._pause(_LOOK_SECONDS)
        return None


def _body(trial: Trial) -> bytes:
    tools = [{"type": "function", "function": {"name": name, "parameters": _NO_PARAMETERS}} for name in trial.tools]
    asked: dict[str, object] = {"model": trial.model, "messages": [{"role": "user", "content": trial.message}]}
    return msgspec.json.encode({**asked, "tools": tools} if tools else asked)
