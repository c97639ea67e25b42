"""What would become of a token at a project's address, thing by thing, for whoever set its issuers up.

It is asked what the gateway asks, of the same functions: which issuer it is of, what is thought of its claims and of
its signature, and whether what it says was taken away. Nothing is changed, and the token is neither kept nor logged.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.access_tokens import RefusedToken
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.foreign_tokens import Finding, ForeignIdentity, judged, read_foreign
from bailiwick.domain.ids import PROJECT, TENANT, ProjectId, TenantId, shown
from bailiwick.domain.issuers import MAX_ISSUERS, Issuer
from bailiwick.domain.paging import PageRequest
from bailiwick.domain.providers import Place
from bailiwick.domain.tenancy import Project, Status, Tenant
from bailiwick.identity import jws
from bailiwick.identity.jws import InvalidToken, Unverified
from bailiwick.services.absence import found
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.storage import issuers as storage
from bailiwick.storage.issuers import IssuerRows
from bailiwick.storage.members import is_member
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database
from bailiwick.storage.tenants import TenantRows

_REVOKED: Final = {"token": "it was revoked", "session": "its session was revoked", "user": "its user's were revoked"}
_NO_MEMBER: Final = "an issuer of the platform lets in only who is a member of the tenant, and this one is none"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is thought of a token. `identity` is whom it speaks for, if it could be read of the claims."""

    issuer: Issuer | None
    findings: tuple[Finding, ...]
    identity: ForeignIdentity | None = None

    @property
    def accepted(self) -> bool:
        """Whether a call with it would be let in."""
        return all(finding.problem is None for finding in self.findings)


@final
class IssuerTester:
    """Judges tokens."""

    def __init__(self, database: Database, keys: IssuerKeys, *, now: Callable[[], datetime], public_url: str) -> None:
        """`now` is the wall clock in UTC; `public_url` is the issuer of this installation's own tokens."""
        self._database = database
        self._keys = keys
        self._now = now
        self._public_url = public_url

    async def test(self, tenant_id: TenantId, project_id: ProjectId, text: str) -> Verdict:
        """Judge a token at the address of a project; raises `Refused` (404)."""
        async with self._database.reading(tenant_id) as scope:
            project = found(await ProjectRows(scope, tenant_id).find(project_id))
            tenant = found(await TenantRows(scope, tenant_id).find())
            place = Place(tenant_id=tenant_id, project_id=project_id)
            own = (await IssuerRows(scope, place).list(PageRequest(limit=MAX_ISSUERS))).items
        async with self._database.operating() as scope:
            trusted = (*own, *await storage.platform(scope))
        try:
            token = jws.read(text)
        except InvalidToken as invalid:
            return Verdict(issuer=None, findings=(Finding(about="form", problem=invalid.reason),))
        form = Finding(about="form", problem=None)
        issuer = next((issuer for issuer in trusted if issuer.spec.issuer == token.claims.get("iss")), None)
        if issuer is None:
            problem = self._stranger(token.claims.get("iss"), trusted)
            return Verdict(issuer=None, findings=(form, Finding(about="issuer", problem=problem)))
        identity, findings = self._read(issuer, token, tenant, project)
        findings += [
            Finding(about="signature", problem=await self._of_signature(issuer, token)),
            Finding(about="standing", problem=await self._of_standing(issuer, identity, tenant, project)),
        ]
        return Verdict(issuer=issuer, findings=(form, *findings), identity=identity)

    def _stranger(self, name: object, trusted: Sequence[Issuer]) -> str:
        """Say why a token is nobody's."""
        if name == self._public_url:
            return "it is of this installation itself, whose tokens need no issuer"
        if not isinstance(name, str):
            return "iss is missing, or no text"
        like = [issuer.spec.issuer for issuer in trusted if _folded(issuer.spec.issuer) == _folded(name)]
        if like:
            return f"iss is {name}, and registered is {like[0]}: they must be the same to the letter"
        return f"iss is {name[:200]}, which neither the project nor the platform trusts"

    def _read(
        self, issuer: Issuer, token: Unverified, tenant: Tenant, project: Project
    ) -> tuple[ForeignIdentity | None, list[Finding]]:
        now = self._now().timestamp()
        findings = list(judged(issuer.spec, token.header, token.claims, now))
        try:
            identity = read_foreign(issuer.spec, token.header, token.claims, now)
        except RefusedToken:
            return None, findings
        fitting = {
            "tenant": (identity.tenant, (tenant.slug, shown(TENANT, tenant.id))),
            "project": (identity.project, (project.slug, shown(PROJECT, project.id))),
        }
        for place, finding in enumerate(findings):
            said, names = fitting.get(finding.about, (None, ()))
            if said is not None and said not in names:
                findings[place] = Finding(about=finding.about, problem=f"it is {said}, and not this one's id or slug")
        return identity, findings

    async def _of_signature(self, issuer: Issuer, token: Unverified) -> str | None:
        try:
            (await self._keys.choose(issuer.spec, token)).verify(token)
        except InvalidToken as invalid:
            return invalid.reason
        except Unavailable as unavailable:
            return f"it cannot be verified: {unavailable.cause}"
        return None

    async def _of_standing(
        self, issuer: Issuer, identity: ForeignIdentity | None, tenant: Tenant, project: Project
    ) -> str | None:
        """Say why somebody is not let in whoever they are, or although they are known."""
        for name, status in (("tenant", tenant.status), ("project", project.status)):
            if status is not Status.ACTIVE:
                return f"the {name} is suspended"
        if identity is None:
            return None
        async with self._database.reading(tenant.id) as scope:
            if issuer.place.project_id is None and not await is_member(scope, tenant.id, identity):
                return _NO_MEMBER
            place = Place(tenant_id=tenant.id, project_id=project.id)
            taken = await IssuerRows(scope, place).taken_away(identity)
        return "the user is blocked" if taken.blocked else _REVOKED[taken.revoked] if taken.revoked else None


def _folded(name: str) -> str:
    return name.rstrip("/").lower()
