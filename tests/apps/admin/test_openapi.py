"""`/admin/openapi.json`: every address is described, and answers are what it says."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.control import Control

CONTRACT = {
    "/admin/v1/tenants": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}": {"get", "patch", "delete"},
    "/admin/v1/tenants/{tenant_id}/projects": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}/projects/{project_id}": {"get", "patch", "delete"},
    "/admin/v1/tenants/{tenant_id}/providers": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}/providers/{provider_id}": {"get", "patch", "delete"},
    "/admin/v1/tenants/{tenant_id}/roles": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}/roles/{role_id}": {"get", "patch", "delete"},
    "/admin/v1/tenants/{tenant_id}/members": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}/members/{member_id}": {"get", "patch", "delete"},
    "/admin/v1/tenants/{tenant_id}/usage": {"get"},
    "/admin/v1/tenants/{tenant_id}/usage/export": {"get"},
    "/admin/v1/tenants/{tenant_id}/prices": {"get"},
    "/admin/v1/projects/{project_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/keys": {"get", "post"},
    "/admin/v1/projects/{project_id}/keys/{key_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/keys/{key_id}/rotate": {"post"},
    "/admin/v1/projects/{project_id}/keys/{key_id}/revoke": {"post"},
    "/admin/v1/projects/{project_id}/providers": {"get", "post"},
    "/admin/v1/projects/{project_id}/providers/{provider_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/agents": {"get", "post"},
    "/admin/v1/projects/{project_id}/agents/{agent_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/agents/{agent_id}/versions": {"get"},
    "/admin/v1/projects/{project_id}/tiers": {"get", "post"},
    "/admin/v1/projects/{project_id}/tiers/{tier_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/budgets": {"get", "post"},
    "/admin/v1/projects/{project_id}/budgets/{budget_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/budgets/{budget_id}/subjects": {"get"},
    "/admin/v1/tenants/{tenant_id}/budgets/{budget_id}/subjects": {"get"},
    "/admin/v1/tenants/{tenant_id}/webhooks": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}/webhooks/{webhook_id}": {"get", "patch", "delete"},
    "/admin/v1/tenants/{tenant_id}/webhooks/{webhook_id}/rotate": {"post"},
    "/admin/v1/tenants/{tenant_id}/webhooks/{webhook_id}/test": {"post"},
    "/admin/v1/tenants/{tenant_id}/webhooks/{webhook_id}/deliveries": {"get"},
    "/admin/v1/tenants/{tenant_id}/webhooks/{webhook_id}/deliveries/{delivery_id}": {"get"},
    "/admin/v1/tenants/{tenant_id}/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": {"post"},
    "/admin/v1/tenants/{tenant_id}/budgets": {"get", "post"},
    "/admin/v1/tenants/{tenant_id}/budgets/{budget_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/revocations": {"get", "post"},
    "/admin/v1/projects/{project_id}/revocations/{revocation_id}": {"get"},
    "/admin/v1/projects/{project_id}/issuers": {"get", "post"},
    "/admin/v1/projects/{project_id}/issuers/{issuer_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/issuers/test": {"post"},
    "/admin/v1/projects/{project_id}/mcp-servers": {"get", "post"},
    "/admin/v1/projects/{project_id}/mcp-servers/{mcp_server_id}": {"get", "patch", "delete"},
    "/admin/v1/issuers": {"get", "post"},
    "/admin/v1/issuers/{issuer_id}": {"get", "patch", "delete"},
    "/admin/v1/projects/{project_id}/usage": {"get"},
    "/admin/v1/projects/{project_id}/usage/export": {"get"},
    "/admin/v1/projects/{project_id}/users": {"get"},
    "/admin/v1/projects/{project_id}/users/{uid}": {"get", "patch", "delete"},
    "/admin/v1/requests/{request_id}": {"get"},
    "/admin/v1/projects/{project_id}/refusals": {"get"},
    "/admin/v1/tenants/{tenant_id}/refusals": {"get"},
    "/admin/v1/keys/{key_id}": {"get", "patch", "delete"},
    "/admin/v1/keys/{key_id}/rotate": {"post"},
    "/admin/v1/keys/{key_id}/revoke": {"post"},
    "/admin/v1/tenants/{tenant_id}/audit": {"get"},
    "/admin/v1/tenants/{tenant_id}/audit/export": {"get"},
    "/admin/v1/audit": {"get"},
    "/admin/v1/audit/export": {"get"},
    "/admin/v1/operator-keys": {"get", "post"},
    "/admin/v1/operator-keys/{operator_key_id}": {"get", "patch", "delete"},
    "/admin/v1/operator-keys/{operator_key_id}/rotate": {"post"},
    "/admin/v1/operator-keys/{operator_key_id}/revoke": {"post"},
    "/admin/v1/operators": {"get", "post"},
    "/admin/v1/operators/{operator_id}": {"get", "patch", "delete"},
    "/admin/v1/operators/{operator_id}/sign-in-link": {"post"},
    "/admin/v1/sign-in/providers": {"get", "post"},
    "/admin/v1/sign-in/providers/{sign_in_provider_id}": {"get", "patch", "delete"},
    "/admin/v1/signing-keys": {"get", "post"},
    "/admin/v1/auth/mint": {"post"},
    "/admin/v1/sessions": {"get"},
    "/admin/v1/sessions/{session_id}": {"delete"},
    "/admin/v1/providers": {"get", "post"},
    "/admin/v1/providers/{provider_id}": {"get", "patch", "delete"},
}


async def described(control: Control) -> dict[str, Any]:
    answer = await control.http.get("/admin/openapi.json")
    assert answer.status_code == 200
    document: dict[str, Any] = answer.json()
    return document


async def test_every_address_is_described(control: Control) -> None:
    document = await described(control)
    assert document["openapi"].startswith("3.1.")
    found = {path: set(item) for path, item in document["paths"].items()}
    # That there is no more than what is documented is held elsewhere.
    assert {path: found[path] for path in CONTRACT} == CONTRACT


async def test_every_reference_leads_somewhere(control: Control) -> None:
    document = await described(control)
    references = set(re.findall(r'"\$ref": ?"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert "Problem" in references


async def test_every_operation_says_who_may_and_what_may_go_wrong(control: Control) -> None:
    document = await described(control)
    assert document["security"] == [{"operator_key": []}]
    for path, item in document["paths"].items():
        for operation in item.values():
            assert "application/problem+json" in operation["responses"]["default"]["content"]
            told = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
            assert told == set(re.findall(r"\{(\w+)\}", path))


async def test_operations_have_names_of_their_own(control: Control) -> None:
    document = await described(control)
    names = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(names) == len(set(names))


async def test_no_field_that_is_not_acted_on_is_described(control: Control) -> None:
    schemas = (await described(control))["components"]["schemas"]
    assert set(schemas["ProjectBody"]["properties"]) == {
        "name", "slug", "status", "limits", "aliases", "default_tier", "require_end_user", "cors_origins",
        "on_disconnect", "default_max_output_tokens", "tools",
    }  # fmt: skip
    assert set(schemas["KeyBody"]["properties"]) == {
        "name", "scopes", "models", "agents", "tools", "act_as", "tier", "ip_allow", "expires_at",
    }  # fmt: skip
    assert set(schemas["TierBody"]["properties"]) == {
        "name", "limits", "models", "agents", "tools", "max_output_tokens", "budgets",
    }  # fmt: skip


async def test_there_are_no_pages_of_documentation(control: Control) -> None:
    for path in ("/docs", "/redoc", "/openapi.json", "/admin/docs"):
        assert (await control.http.get(path)).status_code == 404
