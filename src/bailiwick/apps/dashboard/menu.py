"""Where the dashboard's navigation leads, and the permission that each place takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, final

from bailiwick.domain.administration import AdminPermission


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One place. `exact`: only this very address is it, and not what is below."""

    label: str
    href: str
    icon: str
    needs: AdminPermission
    exact: bool = False


MENU: Final = (
    Entry(label="Projects", href="/dashboard/projects", icon="projects", needs=AdminPermission.PROJECTS_READ),
)
