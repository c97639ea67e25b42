"""Every address of the data plane with each of its methods, from the gateway's own table."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from bailiwick.apps.gateway.routes import DataPlane

_NOTHING: Final[Any] = None
# For anybody: what tokens are verified with.
PUBLIC: Final = {("GET", "/.well-known/jwks.json")}
# What takes a credential.
ROUTES: Final = sorted(
    (method, path)
    for path, methods in DataPlane(
        _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, _NOTHING, now=lambda: datetime.now(UTC)
    )
    .routes()
    .items()
    for method in methods
    if (method, path) not in PUBLIC
)
