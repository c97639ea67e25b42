"""May this operator do this? Pure functions of values; what is not allowed is denied.

Actor: an `Operator`. Action: an `AdminPermission`. Resource: whatever belongs to a tenant, or to the installation.
Example: a viewer of the tenant A wants to change a project -> denied, `forbidden`, whosever the project is; an admin of
A wants to change one of B -> `not_found`, as if there were none; an owner of A wants to list the platform's providers
-> denied, `forbidden`: these are the installation's.

The role and the reach that an act needs are asked first, and they do not depend on what the address names. So nobody
learns from a refusal whether something of another tenant is there.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, final

from bailiwick.domain.errors import Code
from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Operator, OperatorRole
from bailiwick.domain.policy import ALLOWED, Decision
from bailiwick.domain.tenancy import Tenant, TenantSpec


class AdminPermission(StrEnum):
    """Every permission of the control plane."""

    TENANTS_READ = "tenants:read"
    TENANTS_WRITE = "tenants:write"
    TENANTS_ADMINISTER = "tenants:administer"
    PROJECTS_READ = "projects:read"
    PROJECTS_WRITE = "projects:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    TIERS_READ = "tiers:read"
    TIERS_WRITE = "tiers:write"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    WEBHOOKS_READ = "webhooks:read"
    WEBHOOKS_WRITE = "webhooks:write"
    REVOCATIONS_READ = "revocations:read"
    REVOCATIONS_WRITE = "revocations:write"
    PROVIDERS_READ = "providers:read"
    PROVIDERS_WRITE = "providers:write"
    PLATFORM_PROVIDERS_READ = "platform_providers:read"
    PLATFORM_PROVIDERS_WRITE = "platform_providers:write"
    ISSUERS_READ = "issuers:read"
    ISSUERS_WRITE = "issuers:write"
    PLATFORM_ISSUERS_READ = "platform_issuers:read"
    PLATFORM_ISSUERS_WRITE = "platform_issuers:write"
    ROLES_READ = "roles:read"
    ROLES_WRITE = "roles:write"
    MEMBERS_READ = "members:read"
    MEMBERS_WRITE = "members:write"
    MCP_SERVERS_READ = "mcp_servers:read"
    MCP_SERVERS_WRITE = "mcp_servers:write"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    USAGE_READ = "usage:read"
    PLATFORM_USAGE_READ = "platform_usage:read"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    AUDIT_READ = "audit:read"
    OPERATOR_KEYS_READ = "operator_keys:read"
    OPERATOR_KEYS_WRITE = "operator_keys:write"
    OPERATORS_READ = "operators:read"
    OPERATORS_WRITE = "operators:write"
    SESSIONS_READ = "sessions:read"
    SESSIONS_WRITE = "sessions:write"
    SIGNING_KEYS_READ = "signing_keys:read"
    SIGNING_KEYS_WRITE = "signing_keys:write"
    TOKENS_MINT = "tokens:mint"
    SIGN_IN_READ = "sign_in:read"
    SIGN_IN_WRITE = "sign_in:write"


class Reach(StrEnum):
    """Whose operators may exercise a permission: the installation's alone, or a tenant's too, for that tenant."""

    INSTALLATION = "installation"
    TENANT = "tenant"


@final
@dataclass(frozen=True, slots=True)
class Need:
    """What a permission takes: at least this role, and this reach."""

    role: OperatorRole
    reach: Reach = Reach.TENANT


_P = AdminPermission
_VIEWER, _ADMIN, _OWNER = OperatorRole.VIEWER, OperatorRole.ADMIN, OperatorRole.OWNER

NEEDS: Final[dict[AdminPermission, Need]] = {
    _P.TENANTS_READ: Need(_VIEWER),
    _P.TENANTS_WRITE: Need(_ADMIN),
    _P.TENANTS_ADMINISTER: Need(_ADMIN, Reach.INSTALLATION),
    _P.PROJECTS_READ: Need(_VIEWER),
    _P.PROJECTS_WRITE: Need(_ADMIN),
    _P.KEYS_READ: Need(_VIEWER),
    _P.KEYS_WRITE: Need(_ADMIN),
    _P.TIERS_READ: Need(_VIEWER),
    _P.TIERS_WRITE: Need(_ADMIN),
    _P.BUDGETS_READ: Need(_VIEWER),
    _P.BUDGETS_WRITE: Need(_ADMIN),
    _P.WEBHOOKS_READ: Need(_VIEWER),
    _P.WEBHOOKS_WRITE: Need(_ADMIN),
    _P.REVOCATIONS_READ: Need(_VIEWER),
    _P.REVOCATIONS_WRITE: Need(_ADMIN),
    _P.PROVIDERS_READ: Need(_VIEWER),
    _P.PROVIDERS_WRITE: Need(_ADMIN),
    _P.PLATFORM_PROVIDERS_READ: Need(_VIEWER, Reach.INSTALLATION),
    _P.PLATFORM_PROVIDERS_WRITE: Need(_ADMIN, Reach.INSTALLATION),
    _P.ISSUERS_READ: Need(_VIEWER),
    _P.ISSUERS_WRITE: Need(_ADMIN),
    _P.PLATFORM_ISSUERS_READ: Need(_VIEWER, Reach.INSTALLATION),
    _P.PLATFORM_ISSUERS_WRITE: Need(_ADMIN, Reach.INSTALLATION),
    _P.ROLES_READ: Need(_VIEWER),
    _P.ROLES_WRITE: Need(_ADMIN),
    _P.MEMBERS_READ: Need(_VIEWER),
    _P.MEMBERS_WRITE: Need(_ADMIN),
    _P.MCP_SERVERS_READ: Need(_VIEWER),
    _P.MCP_SERVERS_WRITE: Need(_ADMIN),
    _P.AGENTS_READ: Need(_VIEWER),
    _P.AGENTS_WRITE: Need(_ADMIN),
    _P.USAGE_READ: Need(_VIEWER),
    _P.PLATFORM_USAGE_READ: Need(_VIEWER, Reach.INSTALLATION),
    _P.USERS_READ: Need(_VIEWER),
    _P.USERS_WRITE: Need(_ADMIN),
    _P.AUDIT_READ: Need(_VIEWER),
    _P.OPERATOR_KEYS_READ: Need(_VIEWER),
    _P.OPERATOR_KEYS_WRITE: Need(_ADMIN),
    _P.OPERATORS_READ: Need(_VIEWER),
    _P.OPERATORS_WRITE: Need(_OWNER),
    _P.SESSIONS_READ: Need(_VIEWER),
    _P.SESSIONS_WRITE: Need(_VIEWER),
    _P.SIGNING_KEYS_READ: Need(_VIEWER, Reach.INSTALLATION),
    _P.SIGNING_KEYS_WRITE: Need(_ADMIN, Reach.INSTALLATION),
    _P.TOKENS_MINT: Need(_ADMIN),
    _P.SIGN_IN_READ: Need(_VIEWER, Reach.INSTALLATION),
    _P.SIGN_IN_WRITE: Need(_OWNER, Reach.INSTALLATION),
}


def authorize(operator: Operator, permission: AdminPermission) -> Decision:
    """Say whether `operator` may exercise `permission` at all; where it may is said by `confine`."""
    need = NEEDS[permission]
    if not operator.role.includes(need.role):
        reason = f"The role {operator.role} may not do {permission}; it needs the role {need.role}."
        return Decision(code=Code.FORBIDDEN, reason=reason)
    if need.reach is Reach.INSTALLATION and operator.tenant_id is not None:
        return _of_the_installation()
    return ALLOWED


def confine(operator: Operator, tenant_id: TenantId | None) -> Decision:
    """Say whether what belongs to `tenant_id`, or to the installation (None), is within the operator's reach.

    What is another tenant's is refused as what is absent.
    """
    if operator.reaches(tenant_id):
        return ALLOWED
    if tenant_id is None:
        return _of_the_installation()
    return Decision(code=Code.NOT_FOUND, reason="There is nothing at this address.")


def authorize_tenant_change(operator: Operator, before: Tenant, spec: TenantSpec) -> Decision:
    """Say whether `operator`, who may change this tenant, may change this of it.

    Whether a tenant is served, and by which name addresses know it, is the installation's to say.
    """
    if spec.status is before.status and spec.slug == before.slug:
        return ALLOWED
    return authorize(operator, AdminPermission.TENANTS_ADMINISTER)


def authorize_grant(
    operator: Operator, role: OperatorRole, tenant_id: TenantId | None, until: datetime | None
) -> Decision:
    """Say whether `operator` may give this role, with this reach and until then (None: without end), to anybody.

    Nobody gives more than they hold: no higher role, no wider reach, nothing that outlives them.
    """
    if not operator.role.includes(role):
        return _more_than_held(f"Your role is {operator.role}; nobody gives a higher one.")
    if not operator.reaches(tenant_id):
        return _more_than_held("Operators of a tenant make operators of that tenant.")
    if operator.until is not None and (until is None or until > operator.until):
        return _more_than_held("Your own authority ends before this.")
    return ALLOWED


def authorize_touch(operator: Operator, role: OperatorRole) -> Decision:
    """Say whether `operator` may change or end an operator of this role, who is within its reach."""
    if operator.role.includes(role):
        return ALLOWED
    return _more_than_held(f"Your role is {operator.role}; nobody changes operators of a higher one.")


def _more_than_held(reason: str) -> Decision:
    return Decision(code=Code.FORBIDDEN, reason=reason)


def _of_the_installation() -> Decision:
    return Decision(code=Code.FORBIDDEN, reason="Only operators of the installation may do this.")
