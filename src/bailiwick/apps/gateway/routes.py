"""The addresses of the data plane and what answers at each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final, final
from urllib.parse import parse_qsl

import msgspec

from bailiwick.apps.gateway.call import Call, Handler
from bailiwick.apps.gateway.operator_minting import LONGEST_BODY, OperatorMinting, is_operator_key
from bailiwick.apps.http.oauth_errors import JSON, NO_STORE
from bailiwick.domain.confinement import THE_KEY
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Invalid
from bailiwick.domain.globs import Globs
from bailiwick.domain.ids import KEY, PROJECT, TENANT, shown
from bailiwick.domain.minting import read_mint_request
from bailiwick.domain.permissions import Permission
from bailiwick.domain.principal import Grant
from bailiwick.domain.resolved import resolved
from bailiwick.domain.usage_report import PARAMETERS, usage_query
from bailiwick.providers.answers.messages import MESSAGES
from bailiwick.services.allowances import Allowances
from bailiwick.services.doors import DOORS, Door
from bailiwick.services.minting import Minting
from bailiwick.services.pipeline import Asked, Pipeline
from bailiwick.services.signing import Signing
from bailiwick.services.usage import UsageReports

# OpenAI's models have the time of their making; ours are there since the beginning.
_CREATED: Final = 0
_JWKS: Final = (b"content-type", b"application/jwk-set+json")


@final
class DataPlane:
    """The handlers, over one pipeline."""

    def __init__(
        self,
        pipeline: Pipeline,
        usage: UsageReports,
        allowances: Allowances,
        minting: Minting,
        operator_minting: OperatorMinting,
        signing: Signing,
        *,
        now: Callable[[], datetime],
    ) -> None:
        """`now` is the wall clock, in UTC."""
        self._pipeline = pipeline
        self._usage = usage
        self._allowances = allowances
        self._minting = minting
        self._operator_minting = operator_minting
        self._signing = signing
        self._now = now

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Every address, with its methods."""
        return {
            **{f"/v1{door.path}": {"POST": partial(self.call, door)} for door in DOORS},
            "/v1/models": {"GET": self.models},
            "/v1/me": {"GET": self.me},
            "/v1/usage": {"GET": self.usage},
            "/v1/auth/mint": {"POST": self.mint},
            "/.well-known/jwks.json": {"GET": self.jwks},
        }

    async def call(self, door: Door, call: Call) -> None:
        """`POST` to a door."""
        said = call.said
        head = said.head
        asked = Asked(
            seen=call.seen,
            caller=said.caller,
            ip=said.ip,
            content_type=head.content_type,
            agent=head.agent,
            headers=head.for_provider if door.answer is MESSAGES else b"",
            read_body=call.body,
            let_go=call.let_go,
        )
        await self._pipeline.call(door, asked, call.reply)

    async def models(self, call: Call) -> None:
        """`GET /v1/models`: what the caller may call."""
        names = await self._pipeline.models(call.presented(), call.seen)
        data = [
            {"id": name, "object": "model", "created": _CREATED, "owned_by": name.partition("/")[0]} for name in names
        ]
        await call.reply.answer(msgspec.json.encode({"object": "list", "data": data}))

    async def me(self, call: Call) -> None:
        """`GET /v1/me`: who the caller is to us."""
        principal = await self._pipeline.authenticate(call.presented(), None, call.seen)
        grant = principal.grant
        models, agents = _of_key(grant)
        await call.reply.answer(
            msgspec.json.encode(
                {
                    "credential": grant.kind.value,
                    "tenant_id": shown(TENANT, grant.tenant_id),
                    "project_id": shown(PROJECT, grant.project_id),
                    "project_slug": grant.project_slug,
                    "key_id": None if grant.key_id is None else shown(KEY, grant.key_id),
                    "tier": grant.tier,
                    "role": grant.role,
                    "scopes": sorted(scope.value for scope in grant.scopes),
                    "models": None if models is None else models.patterns,
                    "agents": None if agents is None else agents.patterns,
                    "act_as": Permission.USERS_ACT_AS in grant.scopes,
                    "user_id": principal.uid,
                    "session_id": principal.sid,
                    "resolved": resolved(grant),
                    "limits": await self._allowances.limits(principal, call.said.ip),
                    "budgets": await self._allowances.budgets(principal),
                }
            )
        )

    async def usage(self, call: Call) -> None:
        """`GET /v1/usage`: what the caller's project has spent, or one end user of it if the call names one."""
        principal = await self._pipeline.authenticate(call.presented(), Permission.USAGE_READ, call.seen)
        grant = principal.grant
        try:
            query = usage_query(_parameters(call.said.query), self._now())
            report = await self._usage.report(grant.tenant_id, grant.project_id, query, uid=principal.uid)
        except Invalid as wrong:
            first = wrong.errors[0]
            raise Refused(Code.INVALID_REQUEST, f"{first.field} {first.message}.", param=first.field) from None
        await call.reply.answer(msgspec.json.encode(report.document()))

    async def mint(self, call: Call) -> None:
        """`POST /v1/auth/mint`: a token for one end user, from a key that may speak for them."""
        presented = call.presented()
        credential = presented.credential
        # At a project's own address an operator key is nobody's credential.
        if credential is not None and is_operator_key(credential) and call.slug is None:
            await self._mint_for_operator(call, credential)
            return
        principal = await self._pipeline.authenticate(presented, Permission.TOKENS_MINT, call.seen)
        body, _ = await call.body(principal)
        request = read_mint_request(body)
        if presented.uid not in {None, request.user_id}:
            raise Refused(Code.INVALID_REQUEST, "X-End-User-Id and user_id name two users.", param="user_id")
        # Asked again, as who speaks for this user: whether it may, and whether they are let in at all.
        presented = msgspec.structs.replace(presented, uid=request.user_id)
        principal = await self._pipeline.authenticate(presented, Permission.TOKENS_MINT, call.seen)
        key = await self._pipeline.key_on_file(presented)
        minted = await self._minting.mint(principal, request, key_tier=key.tier)
        await call.reply.answer(msgspec.json.encode(minted), JSON, NO_STORE)

    async def _mint_for_operator(self, call: Call, credential: str) -> None:
        head = call.head
        if (head.uid, head.sid, head.organization, head.project) != (None, None, None, None):
            message = "An operator key says in the body for whom and where: headers that do have no place."
            raise Refused(Code.INVALID_REQUEST, message)
        address = call.presented().address()
        ip = call.said.ip if address is None else str(address)
        minted = await self._operator_minting.mint(credential, await call.small_body(LONGEST_BODY), ip=ip)
        await call.reply.answer(minted, JSON, NO_STORE)

    async def jwks(self, call: Call) -> None:
        """`GET /.well-known/jwks.json`: what our tokens are verified with, for anybody."""
        await call.reply.answer(await self._signing.jwks(), _JWKS)


def _of_key(grant: Grant) -> tuple[Globs | None, Globs | None]:
    """The models and the agents that the credential's key is confined to, None for any."""
    for confinement in grant.confinements:
        if confinement.source == THE_KEY:
            return confinement.models, confinement.agents
    return None, None


def _parameters(query: bytes) -> dict[str, str]:
    """Read a query string; raises `Refused` (400) for what is repeated or unknown."""
    try:
        pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except (UnicodeDecodeError, ValueError):
        raise Refused(Code.INVALID_REQUEST, "The query string cannot be read.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        if name not in PARAMETERS or name in found:
            message = f"The query may name each of {', '.join(PARAMETERS)} once."
            raise Refused(Code.INVALID_REQUEST, message, param=name[:64])
        found[name] = value
    return found
