"""Where a token that is no single tenant's is carried out: only where whose token it is, is a member now.

The address says which project, or the headers which tenant and project, or what the token itself says. Membership is
asked before anything else about the place, at each call, in memory; whoever is no member learns nothing of it, not even
whether it is there.
"""

from __future__ import annotations

from typing import NamedTuple, final

import msgspec

from bailiwick.domain.access_tokens import TokenClaims
from bailiwick.domain.crossings import USER, Crosser
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.foreign_tokens import ForeignIdentity
from bailiwick.domain.ids import PROJECT, TENANT, ProjectId, shown
from bailiwick.domain.members import Membership
from bailiwick.domain.policy import NOT_ITS_PROJECT
from bailiwick.domain.terms import ProjectTerms
from bailiwick.services.credential_errors import Outsider, refused_credentials
from bailiwick.services.project_grants import THE_MEMBERSHIP, Named
from bailiwick.services.remembered import Remembered
from bailiwick.storage.members import OURSELVES
from bailiwick.storage.memberships import Sought


@final
class Target(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a call asks to be carried out: by the project in its address, by the ids in its headers; None for none."""

    slug: str | None
    organization: str | None = None
    project: str | None = None


@final
class Entered(NamedTuple):
    """The project that a member enters, and what the membership says."""

    terms: ProjectTerms
    membership: Membership

    @property
    def role(self) -> Named:
        """The membership's."""
        return Named(self.membership.role, THE_MEMBERSHIP)

    def tier(self, said: str | None) -> Named:
        """The membership's, or else what the token said."""
        own = self.membership.tier
        return Named(said) if own is None else Named(own, THE_MEMBERSHIP)


@final
class Entering:
    """Finds memberships, and the projects that they lead to. Belongs to one event loop."""

    def __init__(
        self,
        memberships: Remembered[Sought, Membership | None],
        projects: Remembered[ProjectId, ProjectTerms | None],
    ) -> None:
        self._memberships = memberships
        self._projects = projects

    async def with_foreign(self, identity: ForeignIdentity, target: Target) -> Entered:
        """Say where a token of a platform issuer is carried out; raises `Refused` (400, 401, 403) or `Unavailable`.

        What the token itself says confines it; whatever else a header names must be among its organizations.
        """
        says = identity.tenant is not None or identity.project is not None
        there = await self._there(identity, target, says=says)
        if there is None:
            raise outsider(identity)
        terms = None if there.project_id is None else await self._projects.get(there.project_id)
        if says or (target.organization is not None and target.slug is None):
            as_it_says = says and terms is not None and fits(identity, terms)
            if not as_it_says and not there.is_among(identity.orgs):
                raise outsider(identity) if target.slug is None else refused_credentials()
        return Entered(_found(terms, target), there)

    async def with_own(self, claims: TokenClaims, home: ProjectTerms, target: Target) -> Entered | None:
        """Say where a token is carried out that was minted with an operator key for `home`; None: there.

        It leaves only if a header says so, for what is among its organizations. Raises as `with_foreign`.
        """
        if target.organization is None or _is_at(home, target):
            return None
        named = target.slug or target.project
        there = await self._memberships.get(Sought(OURSELVES, claims.uid, target.organization, named))
        if there is None or not there.is_among(claims.orgs):
            raise Outsider(Crosser(home.tenant_id, home.project_id, USER, claims.uid))
        terms = None if there.project_id is None else await self._projects.get(there.project_id)
        if terms is None and target.slug is not None:
            raise refused_credentials()
        return Entered(_found(terms, target), there)

    async def _there(self, identity: ForeignIdentity, target: Target, *, says: bool) -> Membership | None:
        issuer, subject = identity.issuer, identity.subject
        if target.slug is not None:
            return await self._memberships.get(Sought(issuer, subject, None, target.slug))
        if target.organization is None and target.project is None:
            if not says:
                message = "The token does not say which project it is for. Use the project's own address, /p/{slug}/v1."
                raise Refused(Code.PROJECT_REQUIRED, message)
            return await self._memberships.get(Sought(issuer, subject, identity.tenant, identity.project))
        if target.project is None and identity.project is not None:
            # The token's own project, if it is that tenant's: a header that names its own tenant changes nothing.
            own = await self._memberships.get(Sought(issuer, subject, target.organization, identity.project))
            if own is not None and own.project_id is not None:
                return own
        return await self._memberships.get(Sought(issuer, subject, target.organization, target.project))


def outsider(identity: ForeignIdentity) -> Outsider:
    """The one answer to who is no member, to what a token does not name, and to what is not there."""
    return Outsider(Crosser(None, None, USER, identity.subject))


def fits(identity: ForeignIdentity, terms: ProjectTerms) -> bool:
    """Whether tenant and project, where the token says them, are those that it is used in."""
    tenant, project = identity.tenant, identity.project
    return (tenant is None or tenant in (terms.tenant_slug, shown(TENANT, terms.tenant_id))) and (
        project is None or project in (terms.slug, shown(PROJECT, terms.project_id))
    )


def _is_at(home: ProjectTerms, target: Target) -> bool:
    """Whether a call asks to be carried out where it is at home anyway."""
    return (
        target.organization == shown(TENANT, home.tenant_id)
        and target.slug in (None, home.slug)
        and target.project in (None, shown(PROJECT, home.project_id))
    )


def _found(terms: ProjectTerms | None, target: Target) -> ProjectTerms:
    if terms is not None:
        return terms
    if target.project is not None:
        raise Refused(Code.FORBIDDEN, NOT_ITS_PROJECT)
    raise Refused(Code.PROJECT_REQUIRED, "The organization has no project.")
