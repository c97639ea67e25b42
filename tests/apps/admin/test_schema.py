"""Requests that nobody thought of, made from the control plane's own description by schemathesis.

Whoever asks, and whatever they send: no error of ours, and no answer but one that is described. Half of the requests
name things that are there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, final

import httpx2
import pytest
import schemathesis.openapi
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.faults.trial import PROVE, times
from tests.installation import Installation

EXAMPLES: Final = times(200, 3)
SLOW: Final = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
CHECKS: Final = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# The statuses that each may see; at least the first two must be among them, or nothing much was asked.
MAY_SEE: Final = {
    "nobody": (401,),
    "viewer": (200, 403, 400, 404, 422),
    "tenant admin": (200, 403, 201, 204, 400, 404, 409, 412, 415, 422),
    "owner": (200, 422, 201, 204, 400, 404, 409, 412, 415),
}
ASKERS: Final = tuple(MAY_SEE)
Operation = APIOperation[Any, Any, Any, Any]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A running installation: its description, and for each asker a credential and the ids of things to ask about."""

    operations: list[Operation]
    url: str
    headers: Mapping[str, dict[str, str]]
    ids: Mapping[str, Mapping[str, str]]
    log: Callable[[], str]


def things(made: Callable[..., dict[str, Any]], name: str) -> dict[str, str]:
    """Everything that one tenant has."""
    tenant = made("/tenants", name=name)["id"]
    project = made(f"/tenants/{tenant}/projects", name=name)["id"]
    webhooks = f"/tenants/{tenant}/webhooks"
    webhook = made(webhooks, name=name, url="https://a.example/hook", events=["usage.hour"])["id"]
    return {
        "tenant_id": tenant,
        "project_id": project,
        "key_id": made(f"/projects/{project}/keys", name=name)["id"],
        "tier_id": made(f"/projects/{project}/tiers", name=name)["id"],
        "budget_id": made(f"/projects/{project}/budgets", scope="project", limit={"usd": "1"}, window="day")["id"],
        "revocation_id": made(f"/projects/{project}/revocations", jti=name)["id"],
        "provider_id": made(f"/projects/{project}/providers", name=name, kind="echo")["id"],
        "issuer_id": made(
            f"/projects/{project}/issuers", issuer=f"https://{name}.example", audiences=[name], algorithms=["ES256"]
        )["id"],
        "role_id": made(f"/tenants/{tenant}/roles", name=name, permissions=[])["id"],
        "member_id": made(f"/tenants/{tenant}/members", subject=name, role="member")["id"],
        "mcp_server_id": made(f"/projects/{project}/mcp-servers", name=name, url="https://a.example/mcp")["id"],
        "webhook_id": webhook,
        "delivery_id": made(f"{webhooks}/{webhook}/test")["id"],
        "agent_id": made(f"/projects/{project}/agents", name=name, model="echo")["id"],
        "operator_key_id": made("/operator-keys", name=name, tenant_id=tenant)["id"],
        "operator_id": made("/operators", name=name, email=f"{name}@example.com", tenant_id=tenant)["id"],
    }


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("schema") / "data"
    with Installation(folder) as installation:

        def made(path: str, **body: object) -> dict[str, Any]:
            return installation.admin.make(path, body)

        ids = {asker: things(made, f"a{number}") for number, asker in enumerate(ASKERS)}
        keys = {
            "nobody": None,
            "viewer": made("/operator-keys", name="viewer")["key"],
            "tenant admin": made(
                "/operator-keys", name="admin", role="admin", tenant_id=ids["tenant admin"]["tenant_id"]
            )["key"],
            "owner": made("/operator-keys", name="owner", role="owner")["key"],
        }
        schema = schemathesis.openapi.from_dict(httpx2.get(f"{installation.url}/admin/openapi.json").json())
        headers = {asker: {} if key is None else {"Authorization": f"Bearer {key}"} for asker, key in keys.items()}
        operations = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
        yield Site(operations=operations, url=installation.url, headers=headers, ids=ids, log=lambda: installation.log)


@pytest.mark.proof
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("asker", ASKERS)
def test_whatever_is_asked_is_answered_as_described(site: Site, asker: str) -> None:
    seen, others = Counter[int](), list[str]()
    # What removes comes last, and what removes the most last of all.
    for operation in sorted(site.operations, key=lambda each: (each.method == "delete", -len(each.path))):
        try_out(site, asker, operation, seen, others)
    assert "Traceback" not in site.log()
    print(seen)
    assert others == []
    assert set(seen) >= set(MAY_SEE[asker][:2])


def try_out(site: Site, asker: str, operation: Operation, seen: Counter[int], others: list[str]) -> None:
    """Send what the description allows, and what it does not.

    Counts the answers by status, and notes those whose status is none that this asker may see.
    """
    cases = st.sampled_from([GenerationMode.POSITIVE, GenerationMode.NEGATIVE]).flatmap(operation.as_strategy)

    @given(case=cases, known=st.booleans())
    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=not PROVE,
        suppress_health_check=SLOW, phases=[Phase.generate],
    )  # fmt: skip
    def asked(case: Any, known: bool) -> None:
        if known:
            case.path_parameters = {
                name: site.ids[asker].get(name, value) for name, value in case.path_parameters.items()
            }
        if asker != "nobody":
            case.headers = {**case.headers, **site.headers[asker]}
        response = case.call(base_url=site.url)
        case.validate_response(response, checks=CHECKS)
        seen[response.status_code] += 1
        if response.status_code not in MAY_SEE[asker]:
            others.append(f"{response.status_code} {response.request.method} {response.request.url}")

    asked()
