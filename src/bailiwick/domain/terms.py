"""What a project says of every call to it, and what its tiers say instead; pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.limit_settings import Limits, parse_limits
from bailiwick.domain.tenancy import OnDisconnect


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TierTerms:
    """What a tier says: limits by level, and models (patterns), None for any."""

    limits: Mapping[str, object]
    models: tuple[str, ...] | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for a call under a tier, None if it runs under none."""

    tier: str | None
    limits: Limits
    models: tuple[str, ...] | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectTerms:
    """A project as calls need it."""

    tenant_id: TenantId
    project_id: ProjectId
    tenant_slug: str
    slug: str
    limits: Mapping[str, object]
    tiers: Mapping[str, TierTerms]
    default_tier: str | None
    require_end_user: bool
    on_disconnect: OnDisconnect
    tenant_active: bool
    project_active: bool

    def under(self, tier: str | None) -> Terms:
        """What holds for a call that comes with `tier`."""
        for name in (tier, self.default_tier):
            if name is not None and (said := self.tiers.get(name)) is not None:
                return Terms(tier=name, limits=parse_limits({**self.limits, **said.limits}), models=said.models)
        return Terms(tier=None, limits=parse_limits(self.limits), models=None)
