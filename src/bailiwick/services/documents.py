"""Resources as JSON documents: what an operator is shown, and what the audit log keeps of them. Without secrets."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Final
from uuid import UUID

from bailiwick.domain import ids
from bailiwick.domain.agents import Agent, AgentVersion
from bailiwick.domain.audit_chain import Chain, Link
from bailiwick.domain.credentials import Active, ApiKey, Expired, Lifetime, Revoked
from bailiwick.domain.issuers import Issuer
from bailiwick.domain.mcp_servers import McpServer
from bailiwick.domain.members import Member
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.operators import OperatorKey, Person
from bailiwick.domain.permissions import Permission
from bailiwick.domain.providers import Provider
from bailiwick.domain.revocations import FIELDS, Revocation
from bailiwick.domain.roles import Role
from bailiwick.domain.sign_in import Session
from bailiwick.domain.sign_in_providers import SignInProvider
from bailiwick.domain.signing import Standing
from bailiwick.domain.tenancy import Project, Tenant
from bailiwick.domain.tiers import Tier
from bailiwick.domain.times import written
from bailiwick.identity.api_keys import OPERATOR_KEY, PROJECT_KEY
from bailiwick.storage.signing_keys import StoredSigningKey

_KEY_FORM: Final = f"{PROJECT_KEY}_live_"
_OPERATOR_KEY_FORM: Final = f"{OPERATOR_KEY}_live_"


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


def entry_document(chain: Chain, link: Link) -> Document:
    """An entry of the audit log."""
    return {
        "id": ids.shown(ids.AUDIT_ENTRY, link.id),
        "tenant_id": _shown(ids.TENANT, chain),
        "seq": link.seq,
        "at": written(link.at),
        "actor": link.actor,
        "actor_name": link.actor_name,
        "ip": link.ip,
        "action": link.action,
        "target": link.target,
        "detail": json.loads(link.detail),
        "request_id": link.request_id,
        "digest": link.digest.hex(),
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
        "default_tier": project.default_tier,
        "require_end_user": project.require_end_user,
        "cors_origins": list(project.cors_origins),
        "on_disconnect": project.on_disconnect.value,
        "default_max_output_tokens": project.default_max_output_tokens,
        "tools": None if project.tools is None else project.tools.document(),
        "created_at": written(project.created_at),
        "created_by": project.created_by,
    }


def key_document(key: ApiKey, now: datetime) -> Document:
    """An API key. `prefix` is how its text begins; `previous_until` is told while the secret before is still good."""
    status, previous_until = _state(key.lifetime, now)
    return {
        "id": ids.shown(ids.KEY, key.id),
        "tenant_id": ids.shown(ids.TENANT, key.tenant_id),
        "project_id": ids.shown(ids.PROJECT, key.project_id),
        "name": key.spec.name,
        "prefix": _KEY_FORM + key.lookup_id,
        "status": status,
        "scopes": [permission.value for permission in Permission if permission in key.scopes],
        "models": None if key.spec.models is None else list(key.spec.models),
        "agents": None if key.spec.agents is None else list(key.spec.agents),
        "tools": None if key.spec.tools is None else key.spec.tools.document(),
        "act_as": Permission.USERS_ACT_AS in key.scopes,
        "tier": key.spec.tier,
        "ip_allow": None if key.spec.ip_allow is None else list(key.spec.ip_allow),
        "expires_at": _written(key.lifetime.expires_at),
        "revoked_at": _written(key.lifetime.revoked_at),
        "previous_until": _written(previous_until),
        "created_at": written(key.created_at),
        "created_by": key.created_by,
    }


def operator_key_document(key: OperatorKey, now: datetime) -> Document:
    """An operator key, as an API key is shown."""
    status, previous_until = _state(key.lifetime, now)
    return {
        "id": ids.shown(ids.OPERATOR_KEY, key.id),
        "name": key.name,
        "role": key.role.value,
        "tenant_id": _shown(ids.TENANT, key.tenant_id),
        "prefix": _OPERATOR_KEY_FORM + key.lookup_id,
        "status": status,
        "expires_at": _written(key.lifetime.expires_at),
        "revoked_at": _written(key.lifetime.revoked_at),
        "previous_until": _written(previous_until),
        "created_at": written(key.created_at),
        "created_by": key.created_by,
    }


def person_document(person: Person) -> Document:
    """A person who is an operator."""
    return {
        "id": ids.shown(ids.OPERATOR, person.id),
        "email": person.email,
        "name": person.name,
        "role": person.role.value,
        "tenant_id": _shown(ids.TENANT, person.tenant_id),
        "status": person.status.value,
        "created_at": written(person.created_at),
        "created_by": person.created_by,
    }


def session_document(session: Session) -> Document:
    """Where a person is signed in."""
    person = session.person
    return {
        "id": ids.shown(ids.SESSION, session.id),
        "operator_id": ids.shown(ids.OPERATOR, person.id),
        "operator_name": person.name,
        "tenant_id": _shown(ids.TENANT, person.tenant_id),
        "method": session.method.value,
        "ip": session.ip,
        "user_agent": session.user_agent,
        "opened_at": written(session.opened_at),
        "seen_at": written(session.seen_at),
        "expires_at": written(session.expires_at),
    }


def tier_document(tier: Tier) -> Document:
    """A tier."""
    return {
        "id": ids.shown(ids.TIER, tier.id),
        "tenant_id": ids.shown(ids.TENANT, tier.tenant_id),
        "project_id": ids.shown(ids.PROJECT, tier.project_id),
        "name": tier.spec.name,
        "limits": dict(tier.spec.limits),
        "models": None if tier.spec.models is None else list(tier.spec.models),
        "agents": None if tier.spec.agents is None else list(tier.spec.agents),
        "tools": None if tier.spec.tools is None else tier.spec.tools.document(),
        "max_output_tokens": tier.spec.max_output_tokens,
        "budgets": [cap.document() for cap in tier.spec.budgets],
        "created_at": written(tier.created_at),
        "created_by": tier.created_by,
    }


def role_document(role: Role) -> Document:
    """A role of a tenant's own."""
    spec = role.spec
    return {
        "id": ids.shown(ids.ROLE, role.id),
        "tenant_id": ids.shown(ids.TENANT, role.tenant_id),
        "name": spec.name,
        "permissions": sorted(spec.permissions),
        "models": None if spec.models is None else list(spec.models),
        "tools": None if spec.tools is None else spec.tools.document(),
        "agents": None if spec.agents is None else list(spec.agents),
        "created_at": written(role.created_at),
        "created_by": role.created_by,
    }


def member_document(member: Member) -> Document:
    """A member of a tenant."""
    spec = member.spec
    return {
        "id": ids.shown(ids.MEMBER, member.id),
        "tenant_id": ids.shown(ids.TENANT, member.tenant_id),
        "issuer": spec.issuer,
        "subject": spec.subject,
        "role": spec.role,
        "scopes": None if spec.scopes is None else sorted(spec.scopes),
        "tier": spec.tier,
        "created_at": written(member.created_at),
        "created_by": member.created_by,
    }


def agent_document(agent: Agent) -> Document:
    """An agent, by its newest version."""
    return {
        "id": ids.shown(ids.AGENT, agent.id),
        "tenant_id": ids.shown(ids.TENANT, agent.tenant_id),
        "project_id": ids.shown(ids.PROJECT, agent.project_id),
        "version": agent.version,
        **agent.spec.written(),
        "created_at": written(agent.created_at),
        "created_by": agent.created_by,
        "changed_at": written(agent.changed_at),
        "changed_by": agent.changed_by,
    }


def agent_version_document(agent_id: ids.AgentId, version: AgentVersion) -> Document:
    """A version of an agent."""
    return {
        "id": ids.shown(ids.AGENT_VERSION, version.id),
        "agent_id": ids.shown(ids.AGENT, agent_id),
        "version": version.version,
        **version.spec.written(),
        "created_at": written(version.created_at),
        "created_by": version.created_by,
    }


def revocation_document(revocation: Revocation) -> Document:
    """What was taken away: one of three fields says what."""
    spec = revocation.spec
    return {
        "id": ids.shown(ids.REVOCATION, revocation.id),
        "tenant_id": ids.shown(ids.TENANT, revocation.tenant_id),
        "project_id": ids.shown(ids.PROJECT, revocation.project_id),
        **{field: spec.value if kind is spec.kind else None for field, kind in FIELDS.items()},
        "created_at": written(revocation.created_at),
        "created_by": revocation.created_by,
    }


def signing_key_document(standing: Standing[StoredSigningKey]) -> Document:
    """A key that signs tokens, without its private half."""
    key = standing.key
    return {
        "kid": key.kid,
        "status": standing.status.value,
        "signs_from": written(key.signs_from),
        "published_until": _written(standing.published_until),
        "created_at": written(key.created_at),
        "created_by": key.created_by,
    }


def sign_in_provider_document(provider: SignInProvider) -> Document:
    """A provider by which people sign in; of its secret only whether there is one."""
    spec = provider.spec
    return {
        "id": ids.shown(ids.SIGN_IN_PROVIDER, provider.id),
        "name": spec.name,
        "issuer": spec.issuer,
        "client_id": spec.client_id,
        "has_client_secret": provider.has_secret,
        "scopes": list(spec.scopes),
        "rules": [
            {
                "email_domain": rule.email_domain,
                "claim": rule.claim,
                "value": rule.value,
                "role": rule.role.value,
                "tenant_id": _shown(ids.TENANT, rule.tenant_id),
            }
            for rule in spec.rules
        ],
        "created_at": written(provider.created_at),
        "created_by": provider.created_by,
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
        "prices": {model: price.document() for model, price in spec.prices.items()},
        "from_environment": provider.from_environment,
        "created_at": written(provider.created_at),
        "created_by": provider.created_by,
    }


def issuer_document(issuer: Issuer) -> Document:
    """A trusted issuer."""
    return {
        "id": ids.shown(ids.ISSUER, issuer.id),
        "tenant_id": _shown(ids.TENANT, issuer.place.tenant_id),
        "project_id": _shown(ids.PROJECT, issuer.place.project_id),
        **issuer.spec.written(),
        "created_at": written(issuer.created_at),
        "created_by": issuer.created_by,
    }


def mcp_server_document(server: McpServer) -> Document:
    """A tool server; of its credential only whether there is one."""
    spec = server.spec
    return {
        "id": ids.shown(ids.MCP_SERVER, server.id),
        "tenant_id": ids.shown(ids.TENANT, server.tenant_id),
        "project_id": ids.shown(ids.PROJECT, server.project_id),
        "name": spec.name,
        "url": spec.url,
        "credential_header": spec.credential_header,
        "has_credential": server.has_credential,
        "enabled": spec.enabled,
        "tools": None if spec.tools is None else spec.tools.document(),
        "created_at": written(server.created_at),
        "created_by": server.created_by,
    }


def _state(lifetime: Lifetime, now: datetime) -> tuple[str, datetime | None]:
    """The state's name, and until when the secret before is good too."""
    match lifetime.state(now):
        case Active(previous_until=until):
            return "active", until
        case Expired():
            return "expired", None
        case Revoked():
            return "revoked", None


def _shown(prefix: str, value: UUID | None) -> str | None:
    return None if value is None else ids.shown(prefix, value)


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else written(moment)
