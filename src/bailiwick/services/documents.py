"""Resources as JSON documents: what an operator is shown, and what the audit log keeps of them. Without secrets."""

from __future__ import annotations

from datetime import datetime
from typing import Final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.credentials import Active, ApiKey, Expired, Revoked
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.permissions import Permission
from bailiwick.domain.providers import Provider
from bailiwick.domain.tenancy import Project, Tenant
from bailiwick.domain.times import written
from bailiwick.identity.api_keys import PROJECT_KEY

_KEY_FORM: Final = f"{PROJECT_KEY}_live_"


def tenant_document(tenant: Tenant) -> Document:
    """A tenant."""
    return {
        "id": ids.shown(ids.TENANT, tenant.id),
        "name": tenant.name,
        "slug": tenant.slug,
        "status": tenant.status.value,
        "default_project": _shown(ids.PROJECT, tenant.default_project),
        "created_at": written(tenant.created_at),
        "created_by": tenant.created_by,
    }


def project_document(project: Project) -> Document:
    """A project."""
    return {
        "id": ids.shown(ids.PROJECT, project.id),
        "tenant_id": ids.shown(ids.TENANT, project.tenant_id),
        "name": project.name,
        "slug": project.slug,
        "status": project.status.value,
        "limits": dict(project.limits),
        "aliases": {name: list(models) for name, models in project.aliases.items()},
        "require_end_user": project.require_end_user,
        "cors_origins": list(project.cors_origins),
        "on_disconnect": project.on_disconnect.value,
        "created_at": written(project.created_at),
        "created_by": project.created_by,
    }


def key_document(key: ApiKey, now: datetime) -> Document:
    """An API key. `prefix` is how its text begins; `previous_until` is told while the secret before is still good."""
    previous_until: datetime | None = None
    match key.lifetime.state(now):
        case Active(previous_until=until):
            status, previous_until = "active", until
        case Expired():
            status = "expired"
        case Revoked():
            status = "revoked"
    return {
        "id": ids.shown(ids.KEY, key.id),
        "tenant_id": ids.shown(ids.TENANT, key.tenant_id),
        "project_id": ids.shown(ids.PROJECT, key.project_id),
        "name": key.spec.name,
        "prefix": _KEY_FORM + key.lookup_id,
        "status": status,
        "scopes": [permission.value for permission in Permission if permission in key.scopes],
        "models": None if key.spec.models is None else list(key.spec.models),
        "act_as": Permission.USERS_ACT_AS in key.scopes,
        "expires_at": _written(key.lifetime.expires_at),
        "revoked_at": _written(key.lifetime.revoked_at),
        "previous_until": _written(previous_until),
        "created_at": written(key.created_at),
        "created_by": key.created_by,
    }


def provider_document(provider: Provider) -> Document:
    """A provider; of its API key only whether there is one."""
    spec = provider.spec
    return {
        "id": ids.shown(ids.PROVIDER, provider.id),
        "tenant_id": _shown(ids.TENANT, provider.place.tenant_id),
        "project_id": _shown(ids.PROJECT, provider.place.project_id),
        "name": spec.name,
        "kind": spec.kind.value,
        "base_url": spec.base_url or None,
        "has_api_key": provider.has_api_key,
        "models": None if spec.models is None else list(spec.models),
        "prices": {
            model: {
                "input_usd_per_million": price.input_usd_per_million,
                "output_usd_per_million": price.output_usd_per_million,
            }
            for model, price in spec.prices.items()
        },
        "from_environment": provider.from_environment,
        "created_at": written(provider.created_at),
        "created_by": provider.created_by,
    }


def _shown(prefix: str, value: UUID | None) -> str | None:
    return None if value is None else ids.shown(prefix, value)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else written(moment)
