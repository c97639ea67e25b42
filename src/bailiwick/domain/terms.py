"""What a project says of every call to it, and what its tiers say instead; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from bailiwick.domain.budget_terms import Budgets
from bailiwick.domain.budgets import EACH, BudgetHolder, BudgetScope, BudgetTerms
from bailiwick.domain.confinement import THE_PROJECT, Confinement, confining
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.limit_settings import Limits, parse_limits
from bailiwick.domain.roles import OwnRoles
from bailiwick.domain.tenancy import OnDisconnect
from bailiwick.domain.tools import ToolRules


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TierTerms:
    """What a tier says: limits by level, what it confines to, and how many tokens a model may write, None for any.

    `budgets` are those of each of its users.
    """

    limits: Mapping[str, object]
    confinement: Confinement
    max_output_tokens: int | None
    budgets: tuple[BudgetTerms, ...]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a call under a tier, None if it runs under none. `sources` says which level of limits is whose.

    `budgets` None: there are none.
    """

    tier: str | None
    limits: Limits
    confinements: tuple[Confinement, ...]
    max_output_tokens: int | None
    sources: Mapping[str, str]
    budgets: Budgets | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTerms:
    """A project as calls need it. `budgets` are its own and its tenant's.

    `usual_output_tokens` is how many may be written under them where neither a call nor its tier says.
    """

    tenant_id: TenantId
    project_id: ProjectId
    tenant_slug: str
    slug: str
    limits: Mapping[str, object]
    tiers: Mapping[str, TierTerms]
    budgets: tuple[BudgetTerms, ...]
    default_tier: str | None
    tools: ToolRules | None
    roles: OwnRoles
    require_end_user: bool
    on_disconnect: OnDisconnect
    usual_output_tokens: int
    tenant_active: bool
    project_active: bool

    def under(self, tier: str | None) -> Terms:
        """What holds for a call that comes with `tier`."""
        own = dict.fromkeys(self.limits, THE_PROJECT)
        for name in (tier, self.default_tier):
            if name is not None and (said := self.tiers.get(name)) is not None:
                return Terms(
                    tier=name,
                    limits=parse_limits({**self.limits, **said.limits}),
                    confinements=confining(self._own, said.confinement),
                    max_output_tokens=said.max_output_tokens,
                    sources={**own, **dict.fromkeys(said.limits, said.confinement.source)},
                    budgets=self._budgets(said.budgets),
                )
        limits = parse_limits(self.limits)
        return Terms(
            tier=None,
            limits=limits,
            confinements=confining(self._own),
            max_output_tokens=None,
            sources=own,
            budgets=self._budgets(()),
        )

    def _budgets(self, of_tier: tuple[BudgetTerms, ...]) -> Budgets | None:
        """A tier's budgets stand in the place of the project's for each user that count the same."""
        replaced = {one.cap.kind for one in of_tier}
        terms = [one for one in self.budgets if not (_of_each_user(one) and one.cap.kind in replaced)]
        terms += of_tier
        return Budgets(self.project_id, terms) if terms else None

    @property
    def _own(self) -> Confinement:
        return Confinement(source=THE_PROJECT, tools=self.tools)


def _of_each_user(one: BudgetTerms) -> bool:
    return one.holder is BudgetHolder.PROJECT and one.scope is BudgetScope.USER and one.subject == EACH
