"""What each address asks of an operator, stated where the address is.

The statement is part of the route, so `/admin/openapi.json` shows it (`x-permission`, `x-reach`), and a route without
one cannot be made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from bailiwick.domain.administration import NEEDS, AdminPermission

_PERMISSION: Final = "x-permission"
_REACH: Final = "x-reach"
# Whoever holds the permission is served, and sees what is within its own reach alone.
_OWN: Final = "own"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Stated:
    """What a route asks for. A tenant's operators reach an address that names no tenant only if it is `confined`."""

    permission: AdminPermission
    confined: bool


def needs(permission: AdminPermission, *, confined: bool = False) -> dict[str, Any]:
    """The `openapi_extra` of a route that takes this permission.

    `confined` says that the address names no tenant, and that its service keeps to what the operator reaches.
    """
    return {_PERMISSION: permission.value, _REACH: _OWN if confined else NEEDS[permission].reach.value}


def stated(extra: Mapping[str, Any] | None, path: str) -> Stated:
    """Read what `needs` wrote; raises `TypeError` for a route that states nothing."""
    if extra is None or _PERMISSION not in extra:
        msg = f"{path} does not state its permission"
        raise TypeError(msg)
    return Stated(permission=AdminPermission(extra[_PERMISSION]), confined=extra[_REACH] == _OWN)
