"""Where the dashboard's navigation leads, and the permission that each place takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.administration import AdminPermission


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One place. `exact`: only this very address is it, and not what is below. `also` begin others of it."""

    label: str
    href: str
    icon: str
    needs: AdminPermission
    exact: bool = False
    also: tuple[str, ...] = ()

    def leads_to(self, path: str) -> bool:
        """Whether a page belongs to this place."""
        return path == self.href or (not self.exact and f"{path}/".startswith((f"{self.href}/", *self.also)))


_P: Final = AdminPermission

MENU: Final = (
    Entry(label="Overview", href="/dashboard", icon="overview", needs=_P.USAGE_READ, exact=True),
    Entry(label="Installation", href="/dashboard/installation", icon="installation", needs=_P.PLATFORM_USAGE_READ),
    Entry(label="Projects", href="/dashboard/projects", icon="projects", needs=_P.PROJECTS_READ),
    Entry(label="Tenants", href="/dashboard/tenants", icon="tenants", needs=_P.TENANTS_READ),
    Entry(label="Providers", href="/dashboard/providers", icon="providers", needs=_P.PLATFORM_PROVIDERS_READ),
    Entry(label="Issuers", href="/dashboard/issuers", icon="sign-in", needs=_P.PLATFORM_ISSUERS_READ),
    Entry(label="Requests", href="/dashboard/requests", icon="requests", needs=_P.USAGE_READ),
    Entry(label="Audit", href="/dashboard/audit", icon="audit", needs=_P.AUDIT_READ),
    Entry(
        label="Operators",
        href="/dashboard/operators",
        icon="operators",
        needs=_P.OPERATORS_READ,
        also=("/dashboard/operator-keys", "/dashboard/sign-in-providers"),
    ),
)
