"""A caller for tests of what is decided about callers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.permissions import ALL_SCOPES, CredentialKind
from bailiwick.domain.principal import Grant, Principal
from bailiwick.domain.tenancy import OnDisconnect

TENANT = TenantId(UUID(int=1))
PROJECT = ProjectId(UUID(int=2))
KEY = KeyId(UUID(int=3))

GRANT = Grant(
    kind=CredentialKind.API_KEY,
    tenant_id=TENANT,
    project_id=PROJECT,
    project_slug="app",
    key_id=KEY,
    scopes=ALL_SCOPES,
    limits=parse_limits({}),
    require_end_user=False,
    on_disconnect=OnDisconnect.ABORT,
    tenant_active=True,
    project_active=True,
    bucket=PROJECT.hex,
    key_bucket=KEY.hex,
)


def principal(*, uid: str | None = None, sid: str | None = None, **grant: Any) -> Principal:
    """A principal who may do everything, but for what `grant` says otherwise."""
    return Principal(grant=replace(GRANT, **grant), uid=uid, sid=sid)
