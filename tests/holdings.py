"""Everything that a tenant can have, and requests that would act on it: for tests that walk all addresses."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP
from bailiwick.identity import signing_keys
from bailiwick.services.sign_in_links import Chosen
from tests.control import Control
from tests.people import browser

# What would be done if the address were right.
BODIES: Final[Mapping[tuple[str, str], dict[str, Any]]] = {
    ("post", "tenants"): {"name": "Intruder"},
    ("post", "projects"): {"name": "Intruder"},
    ("post", "keys"): {"name": "Intruder"},
    ("post", "providers"): {"name": "intruder", "kind": "echo"},
    ("post", "tiers"): {"name": "intruder"},
    ("post", "budgets"): {"scope": "user", "subject": "intruder", "limit": {"usd": "1"}, "window": "day"},
    ("post", "revocations"): {"user_id": "intruder"},
    ("post", "signing-keys"): {},
    ("post", "issuers"): {"issuer": "https://intruder.example", "audiences": ["x"], "algorithms": ["ES256"]},
    ("post", "roles"): {"name": "intruder", "permissions": []},
    ("post", "members"): {"subject": "intruder", "role": "member"},
    ("post", "mcp-servers"): {"name": "intruder", "url": "https://intruder.example/mcp"},
    ("post", "agents"): {"name": "intruder", "model": "echo"},
    ("post", "operator-keys"): {"name": "Intruder"},
    ("post", "operators"): {"name": "Intruder", "email": "intruder@example.com"},
    ("post", "sign-in-link"): {},
    ("post", "rotate"): {"grace_seconds": 60},
    ("post", "revoke"): {},
    ("post", "webhooks"): {"name": "Intruder", "url": "https://intruder.example", "events": ["usage.hour"]},
    ("post", "test"): {},
    ("post", "redeliver"): {},
    ("post", "mint"): {"user_id": "intruder"},
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Holding:
    """Everything that one tenant has, by the names that ids have in addresses; `of_tenant`: of no project of its."""

    ids: Mapping[str, str]
    of_tenant: Mapping[str, str]

    def at(self, path: str) -> dict[str, str]:
        """What fills this address: below a tenant's own, what is the tenant's own."""
        return {**self.ids, **(self.of_tenant if "/tenants/{tenant_id}/" in path else {})}


async def holding(control: Control, name: str) -> Holding:
    """A tenant with all that it can have, a project, providers of both kinds and operators too; each carries `name`."""
    tenant = await control.tenant(name)
    project = await control.make(
        f"/tenants/{tenant['id']}/projects",
        name=name,
        aliases={name: [name]},
        limits={"ip": {"requests": 7, "per": "7m"}},
    )
    key = await control.make(f"/projects/{project['id']}/keys", name=name, models=[name])
    tier = await control.make(f"/projects/{project['id']}/tiers", name=name, models=[name])
    capped: dict[str, Any] = {"scope": "user", "subject": name, "limit": {"usd": "1"}, "window": "day"}
    budget = await control.make(f"/projects/{project['id']}/budgets", **capped)
    tenants_budget = await control.make(f"/tenants/{tenant['id']}/budgets", **capped)
    revocation = await control.make(f"/projects/{project['id']}/revocations", session_id=name)
    own = await control.make(f"/projects/{project['id']}/providers", name=name, kind="openai", api_key=name)
    tenants = await control.make(f"/tenants/{tenant['id']}/providers", name=name, kind="openai", models=[name])
    trusted = await control.make(
        f"/projects/{project['id']}/issuers",
        issuer=f"https://{os.urandom(6).hex()}.example",
        audiences=[name],
        algorithms=["ES256"],
        user_prefix=name,
        jwks={"keys": [signing_keys.make().public_jwk()]},
    )
    role = await control.make(f"/tenants/{tenant['id']}/roles", name=name, permissions=[], models=[name])
    member = await control.make(f"/tenants/{tenant['id']}/members", subject=name, role="member", tier=name)
    server = await control.make(
        f"/projects/{project['id']}/mcp-servers", name=name, url=f"https://{name}.example/mcp", credential=name
    )
    agent = await control.make(f"/projects/{project['id']}/agents", name=name, model=name, instructions=name)
    told = await control.make(
        f"/tenants/{tenant['id']}/webhooks", name=name, url=f"https://{name}.example/hook", events=["usage.hour"]
    )
    delivery = await control.make(f"/tenants/{tenant['id']}/webhooks/{told['id']}/test")
    operator_key = await control.make("/operator-keys", name=name, tenant_id=tenant["id"])
    email = f"{os.urandom(4).hex()}@example.com"
    person = await control.make("/operators", name=name, email=email, tenant_id=tenant["id"])
    issuer = f"https://{os.urandom(6).hex()}.example"
    by = await control.make("/sign-in/providers", name=name, issuer=issuer, client_id="x")
    access = control.plane.person
    link = await access.issuer.make_for(BOOTSTRAP, email, resets_codes=False)
    chosen = Chosen(email="", name="", password="a long walk by the sea", code="")
    opened = await access.links.use(link.token, chosen, browser())
    return Holding(
        ids={
            "tenant_id": tenant["id"],
            "project_id": project["id"],
            "key_id": key["id"],
            "tier_id": tier["id"],
            "budget_id": budget["id"],
            "revocation_id": revocation["id"],
            "provider_id": own["id"],
            "issuer_id": trusted["id"],
            "role_id": role["id"],
            "member_id": member["id"],
            "mcp_server_id": server["id"],
            "agent_id": agent["id"],
            "webhook_id": told["id"],
            "delivery_id": delivery["id"],
            "operator_key_id": operator_key["id"],
            "operator_id": person["id"],
            "uid": name,
            "sign_in_provider_id": by["id"],
            "session_id": ids.shown(ids.SESSION, opened.session.id),
        },
        of_tenant={"provider_id": tenants["id"], "budget_id": tenants_budget["id"]},
    )


async def addresses(control: Control) -> list[tuple[str, str]]:
    """Every method and address that has an id in it."""
    return [(method, path) for method, path in await every_address(control) if "{" in path]


async def every_address(control: Control) -> list[tuple[str, str]]:
    """Every method and address of the control plane."""
    document = (await control.http.get("/admin/openapi.json")).json()
    # Calls are not made here: `tests/apps/gateway/test_explanations.py` says who is told of them.
    paths = [path for path in document["paths"] if "{request_id}" not in path]
    return [(method, path) for path in paths for method in document["paths"][path]]


def filled(path: str, values: Mapping[str, str]) -> str:
    """The address with these ids, below `/admin/v1`."""
    return re.sub(r"\{(\w+)\}", lambda match: values[match[1]], path).removeprefix("/admin/v1")


def body_for(method: str, path: str) -> dict[str, Any] | None:
    """A body that the address takes."""
    if method == "patch" and "/issuers/" in path:
        return {"max_lifetime": 600}
    if method == "patch" and "/budgets/" in path:
        return {"max_wait": "1s"}
    if method == "patch" and "/roles/" in path:
        return {"permissions": ["chat:create"]}
    if method == "patch" and "/members/" in path:
        return {"role": "viewer"}
    if method == "patch":
        return {"blocked": True} if "/users/" in path else {"name": "renamed"}
    if path.endswith("/issuers/test"):
        return {"token": "e30.e30.e30"}
    if (method, path) == ("post", "/admin/v1/sign-in/providers"):
        return {"name": "OpenID", "issuer": "https://id.example.com", "client_id": "x"}
    return BODIES.get((method, path.rpartition("/")[2]))
