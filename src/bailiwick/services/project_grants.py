"""What a token stands for that no project key minted: what its project says, under the tier and scopes it names."""

from __future__ import annotations

from typing import Final, final

from bailiwick.domain.ids import ProjectId
from bailiwick.domain.permissions import CredentialKind, Permission
from bailiwick.domain.principal import Grant
from bailiwick.domain.roles import FOR_TOKENS
from bailiwick.domain.terms import ProjectTerms

_KEPT: Final = 20_000

_Grantee = tuple[ProjectId, str | None, frozenset[Permission]]


@final
class ProjectGrants:
    """The grants of one kind of token, each made once for as long as its project says the same."""

    def __init__(self, kind: CredentialKind) -> None:
        self._kind = kind
        self._grants: dict[_Grantee, tuple[ProjectTerms, Grant]] = {}

    def of(self, project: ProjectTerms, tier: str | None, named: frozenset[Permission] | None) -> Grant:
        """The grant of a token that names a tier and scopes; None for scopes: all that a token may hold."""
        scopes = FOR_TOKENS if named is None else named & FOR_TOKENS
        known = (project.project_id, tier, scopes)
        kept = self._grants.get(known)
        if kept is not None and kept[0] is project:
            return kept[1]
        terms = project.under(tier)
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
            confinements=terms.confinements,
            max_output_tokens=terms.max_output_tokens,
        )
        while len(self._grants) >= _KEPT:
            del self._grants[next(iter(self._grants))]
        self._grants[known] = (project, grant)
        return grant
