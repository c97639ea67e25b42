"""What a token stands for that was minted with an operator key: it ends with that key, and with its reach."""

from __future__ import annotations

from datetime import datetime
from typing import final

from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.crossings import USER, Crosser
from bailiwick.domain.errors import Code
from bailiwick.domain.ids import OperatorKeyId, ProjectId
from bailiwick.domain.permissions import CredentialKind
from bailiwick.domain.principal import Grant
from bailiwick.domain.terms import ProjectTerms
from bailiwick.services.credential_errors import EndedCredential, Outsider, refused_credentials
from bailiwick.services.entering import Entering, Target
from bailiwick.services.project_grants import Named, ProjectGrants
from bailiwick.services.remembered import Remembered
from bailiwick.storage.credentials import OperatorEnd


@final
class OperatorTokens:
    """Asks of each token whether its operator key lives. Belongs to one event loop."""

    def __init__(
        self,
        operators: Remembered[OperatorKeyId, OperatorEnd | None],
        projects: Remembered[ProjectId, ProjectTerms | None],
        entering: Entering,
    ) -> None:
        self._operators = operators
        self._projects = projects
        self._entering = entering
        self._grants = ProjectGrants(CredentialKind.USER_TOKEN)

    async def grants(
        self, claims: TokenClaims, key_id: OperatorKeyId, target: Target, now: datetime
    ) -> tuple[Grant, Grant]:
        """What its claims stand for now: where the call asks to be carried out, and where it is at home.

        Raises `Refused` (400, 401, 403) or `Unavailable`.
        """
        operator, project = await self._operators.get(key_id), await self._projects.get(claims.project_id)
        if operator is None or project is None or operator.tenant_id not in (None, project.tenant_id):
            raise refused_credentials()
        home = self._grants.of(project, Named(claims.tier), Named(claims.role), claims.scopes)
        if operator.revoked_at is not None:
            message = "The operator key that minted this token was revoked."
            raise EndedCredential(Code.REVOKED_CREDENTIALS, message, home)
        if operator.expires_at is not None and operator.expires_at <= now:
            message = "The operator key that minted this token has expired."
            raise EndedCredential(Code.EXPIRED_CREDENTIALS, message, home)
        there = await self._entering.with_own(claims, project, target)
        if there is None:
            return home, home
        if operator.tenant_id not in (None, there.terms.tenant_id):
            raise Outsider(Crosser(project.tenant_id, project.project_id, USER, claims.uid))
        # A tier is a plan of the project that the token was minted for, and says nothing elsewhere.
        own = there.membership.scopes
        return self._grants.of(there.terms, there.tier(None), there.role, claims.scopes, membership=own), home
