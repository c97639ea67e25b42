"""What the ids of an address name. An id of a wrong form is refused as an unknown one is: 404, the same bytes.

Most resources have two addresses, below their parent and of their own. Everything is read within the tenant that the
route found the address to be about, and within the parent that was named.
"""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request

from bailiwick.apps.admin.address import id_of, request_id_of
from bailiwick.domain import ids
from bailiwick.domain.budgets import BudgetPlace
from bailiwick.domain.fields import Findings
from bailiwick.domain.ids import (
    AgentId,
    BudgetId,
    DeliveryId,
    IssuerId,
    KeyId,
    McpServerId,
    MemberId,
    OperatorId,
    OperatorKeyId,
    ProjectId,
    ProviderId,
    RevocationId,
    RoleId,
    SessionId,
    SignInProviderId,
    TenantId,
    TierId,
    WebhookId,
)
from bailiwick.domain.paging import DEFAULT_LIMIT, PageRequest, read_limit
from bailiwick.domain.providers import PLATFORM, Place
from bailiwick.domain.versions import Expected, read_if_match
from bailiwick.services.credentials import KeyPlace

Limit = Annotated[str | None, Query(description="How many, 1 to 200; 50 by default.")]
After = Annotated[str | None, Query(description="The `next` of the page before.")]


def page_of(prefix: str, limit: str | None, after: str | None) -> PageRequest:
    """Which page of a list is asked for; `after` is an id with this prefix. Raises `Invalid`."""
    findings = Findings()
    size = findings.take(lambda: read_limit(limit), DEFAULT_LIMIT)
    last = None if after is None else ids.parsed(prefix, after)
    if after is not None and last is None:
        findings.add("after", "must be the `next` of an earlier page")
    findings.or_raise()
    return PageRequest(limit=size, after=last)


def _tenant(request: Request) -> TenantId:
    tenant_id: TenantId = request.state.tenant_id
    return tenant_id


def _project(request: Request) -> tuple[TenantId, ProjectId]:
    return _tenant(request), ProjectId(id_of(request, "project_id", ids.PROJECT))


def _key(request: Request) -> tuple[KeyPlace, KeyId]:
    project_id = _project(request)[1] if "project_id" in request.path_params else None
    place = KeyPlace(tenant_id=_tenant(request), project_id=project_id)
    return place, KeyId(id_of(request, "key_id", ids.KEY))


def _request(request: Request) -> tuple[TenantId, UUID]:
    return _tenant(request), request_id_of(request)


def _whose(request: Request) -> Place:
    if "project_id" in request.path_params:
        tenant_id, project_id = _project(request)
        return Place(tenant_id=tenant_id, project_id=project_id)
    if "tenant_id" in request.path_params:
        return Place(tenant_id=_tenant(request), project_id=None)
    return PLATFORM


def _holder(request: Request) -> tuple[TenantId, ProjectId | None]:
    if "project_id" in request.path_params:
        return _project(request)
    return _tenant(request), None


def _budgets(request: Request) -> BudgetPlace:
    return BudgetPlace(*_holder(request))


def _budget(request: Request) -> BudgetId:
    return BudgetId(id_of(request, "budget_id", ids.BUDGET))


def _webhook(request: Request) -> WebhookId:
    return WebhookId(id_of(request, "webhook_id", ids.WEBHOOK))


def _delivery(request: Request) -> DeliveryId:
    return DeliveryId(id_of(request, "delivery_id", ids.DELIVERY))


def _provider(request: Request) -> ProviderId:
    return ProviderId(id_of(request, "provider_id", ids.PROVIDER))


def _tier(request: Request) -> TierId:
    return TierId(id_of(request, "tier_id", ids.TIER))


def _revocation(request: Request) -> RevocationId:
    return RevocationId(id_of(request, "revocation_id", ids.REVOCATION))


def _issuer(request: Request) -> IssuerId:
    return IssuerId(id_of(request, "issuer_id", ids.ISSUER))


def _role(request: Request) -> RoleId:
    return RoleId(id_of(request, "role_id", ids.ROLE))


def _member(request: Request) -> MemberId:
    return MemberId(id_of(request, "member_id", ids.MEMBER))


def _mcp_server(request: Request) -> McpServerId:
    return McpServerId(id_of(request, "mcp_server_id", ids.MCP_SERVER))


def _agent(request: Request) -> AgentId:
    return AgentId(id_of(request, "agent_id", ids.AGENT))


def _operator_key(request: Request) -> OperatorKeyId:
    return OperatorKeyId(id_of(request, "operator_key_id", ids.OPERATOR_KEY))


def _sign_in_provider(request: Request) -> SignInProviderId:
    return SignInProviderId(id_of(request, "sign_in_provider_id", ids.SIGN_IN_PROVIDER))


def _session(request: Request) -> SessionId:
    return SessionId(id_of(request, "session_id", ids.SESSION))


def _operator(request: Request) -> OperatorId:
    return OperatorId(id_of(request, "operator_id", ids.OPERATOR))


def _expected(request: Request) -> Expected:
    return read_if_match(request.headers.getlist("if-match"))


AtTenant = Annotated[TenantId, Depends(_tenant)]
AtProject = Annotated[tuple[TenantId, ProjectId], Depends(_project)]
AtTenantOrProject = Annotated[tuple[TenantId, ProjectId | None], Depends(_holder)]
AtRequest = Annotated[tuple[TenantId, UUID], Depends(_request)]
AtKey = Annotated[tuple[KeyPlace, KeyId], Depends(_key)]
AtIssuers = Annotated[Place, Depends(_whose)]
AtIssuer = Annotated[IssuerId, Depends(_issuer)]
AtMcpServer = Annotated[McpServerId, Depends(_mcp_server)]
AtProviders = Annotated[Place, Depends(_whose)]
AtProvider = Annotated[ProviderId, Depends(_provider)]
AtBudgets = Annotated[BudgetPlace, Depends(_budgets)]
AtBudget = Annotated[BudgetId, Depends(_budget)]
AtWebhook = Annotated[WebhookId, Depends(_webhook)]
AtDelivery = Annotated[DeliveryId, Depends(_delivery)]
AtTier = Annotated[TierId, Depends(_tier)]
AtRevocation = Annotated[RevocationId, Depends(_revocation)]
AtRole = Annotated[RoleId, Depends(_role)]
AtMember = Annotated[MemberId, Depends(_member)]
AtAgent = Annotated[AgentId, Depends(_agent)]
AtOperatorKey = Annotated[OperatorKeyId, Depends(_operator_key)]
AtSignInProvider = Annotated[SignInProviderId, Depends(_sign_in_provider)]
AtSession = Annotated[SessionId, Depends(_session)]
AtOperator = Annotated[OperatorId, Depends(_operator)]
IfMatch = Annotated[Expected, Depends(_expected)]
