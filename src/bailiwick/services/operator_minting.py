"""Mints user tokens with operator keys: for one end user of any project that the key administers; audited.

Such a token may name other organizations that its user may turn to, where they are a member: never one that its
operator does not reach, so that no tenant's operators speak for anybody elsewhere. It ends with its operator key.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final, final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.audit import Actor
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.minting import MintRequest
from bailiwick.domain.operators import Operator, OperatorKind
from bailiwick.domain.permissions import ALL_SCOPES
from bailiwick.domain.times import written
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.confinement import Confinement
from bailiwick.services.minting import Minted, minted, minted_claims
from bailiwick.services.signing import Ring
from bailiwick.storage import signing_keys
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database
from bailiwick.storage.tenants import Kind, tenant_of

MOST_ORGS: Final = 100


@final
class OperatorMinting:
    """Signs tokens for operator keys."""

    def __init__(
        self, database: Database, acts: Acts, confinement: Confinement, *, sealing: bytes, public_url: str
    ) -> None:
        """`sealing` is the key that signing keys are sealed with; `public_url` the issuer and the audience."""
        self._database = database
        self._acts = acts
        self._confinement = confinement
        self._sealing = sealing
        self._issuer = public_url

    async def mint(self, actor: Actor, project: str, request: MintRequest, orgs: Sequence[str]) -> Minted:
        """Mint a token for the request's user in a project, by its id, who may turn to `orgs`, by theirs.

        Raises `Refused` (400, 403, 503; 404 for what the operator does not reach) and `Invalid`.
        """
        operator = actor.authority
        if operator.kind is not OperatorKind.KEY:
            raise Refused(Code.FORBIDDEN, "Tokens are minted with keys: they end with theirs.")
        if len(orgs) > MOST_ORGS:
            raise invalid("orgs", f"must be at most {MOST_ORGS}")
        project_id = ProjectId(found(ids.parsed(ids.PROJECT, project)))
        tenant_id = await self._reached(operator, Kind.PROJECT, project_id)
        for org in orgs:
            await self._reached(operator, Kind.TENANT, found(ids.parsed(ids.TENANT, org)))
        now = self._acts.now()
        claims = minted_claims(
            request,
            issuer=self._issuer,
            at=now,
            tenant_id=tenant_id,
            project_id=project_id,
            client_id=operator.shown_id,
            held=ALL_SCOPES,
            orgs=tuple(dict.fromkeys(orgs)),
            new_id=lambda: self._acts.new_id().hex,
        )
        async with self._database.acting(tenant_id) as scope:
            found(await ProjectRows(scope, tenant_id).find(project_id))
            key = Ring(await signing_keys.find_all(scope), lambda: (self._sealing,)).signer(now)
            detail = {
                "user_id": claims.uid,
                "jti": claims.jti,
                "session_id": claims.sid,
                "expires_at": written(now + timedelta(seconds=request.ttl)),
                "orgs": list(claims.orgs),
            }
            await self._acts.record(scope, actor, "token.mint", project, tenant_id=tenant_id, detail=detail)
        return minted(key, claims)

    async def _reached(self, operator: Operator, kind: Kind, wanted: UUID) -> TenantId:
        """The tenant of something that the operator reaches; raises `Refused` (404)."""
        tenant_id = found(await tenant_of(self._database, kind, wanted))
        self._confinement.keep(operator, tenant_id)
        return tenant_id
