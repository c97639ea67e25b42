"""What a token stands for that no project key minted: what its project says, under the tier and scopes it names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, final

from bailiwick.domain.confinement import confining
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.permissions import CredentialKind, Permission
from bailiwick.domain.principal import Grant, Resolution
from bailiwick.domain.roles import FOR_TOKENS, RoleTerms, role_of_member, role_of_token
from bailiwick.domain.terms import ProjectTerms, Terms

_KEPT: Final = 20_000
THE_TOKEN: Final = "the token"  # noqa: S105 - no password
THE_MEMBERSHIP: Final = "the membership"


@final
class Named(NamedTuple):
    """The tier or the role that a credential comes with, and what says so."""

    name: str | None
    by: str = THE_TOKEN

    def held(self, project: ProjectTerms) -> RoleTerms:
        """What it lets as a role: one that a membership names must be known, one that a token names need not."""
        if self.by == THE_MEMBERSHIP:
            return role_of_member(self.name or "", project.roles)
        return role_of_token(self.name, project.roles)


def resolution(
    terms: Terms, tier: Named, role: Named, scopes: Sequence[tuple[str, frozenset[Permission] | None]]
) -> Resolution:
    """Where a grant under these terms has them from; scopes of None are those of who says nothing of them."""
    return Resolution(
        limits=terms.sources,
        scopes=tuple((source, said) for source, said in scopes if said is not None),
        tier=tier.name,
        tier_by=tier.by,
        role=role.name,
        role_by=role.by,
    )


_Grantee = tuple[ProjectId, Named, Named, frozenset[Permission] | None, frozenset[Permission] | None]


@final
class ProjectGrants:
    """The grants of one kind of token, each made once for as long as its project says the same."""

    def __init__(self, kind: CredentialKind) -> None:
        self._kind = kind
        self._grants: dict[_Grantee, tuple[ProjectTerms, Grant]] = {}

    def of(
        self,
        project: ProjectTerms,
        tier: Named,
        role: Named,
        named: frozenset[Permission] | None,
        *,
        membership: frozenset[Permission] | None = None,
    ) -> Grant:
        """The grant of a token with this tier and role, and the scopes that it and its membership say.

        None for scopes: all that a token may hold.
        """
        known = (project.project_id, tier, role, named, membership)
        kept = self._grants.get(known)
        if kept is not None and kept[0] is project:
            return kept[1]
        terms, held = project.under(tier.name), role.held(project)
        said = ((THE_TOKEN, named), (THE_MEMBERSHIP, membership), held.said)
        scopes = frozenset.intersection(FOR_TOKENS, *(each for _, each in said if each is not None))
        grant = Grant(
            kind=self._kind,
            tenant_id=project.tenant_id,
            project_id=project.project_id,
            project_slug=project.slug,
            key_id=None,
            scopes=scopes,
            limits=terms.limits,
            require_end_user=project.require_end_user,
            on_disconnect=project.on_disconnect,
            tenant_active=project.tenant_active,
            project_active=project.project_active,
            bucket=project.project_id.hex,
            key_bucket=None,
            tier=terms.tier,
            role=held.name,
            resolution=resolution(terms, tier, role, said),
            confinements=terms.confinements + confining(held.confinement),
            max_output_tokens=terms.max_output_tokens,
            usual_output_tokens=project.usual_output_tokens,
            budgets=terms.budgets,
        )
        while len(self._grants) >= _KEPT:
            del self._grants[next(iter(self._grants))]
        self._grants[known] = (project, grant)
        return grant
