"""What is sent about sign-in: the bodies of POST, and of PATCH once merged into what is there.

Evolution: fields are added, with a default that gives nothing; their meaning never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field

from bailiwick.apps.admin.wire import StrictBody
from bailiwick.domain import ids
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import TenantId
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.operators import OperatorRole
from bailiwick.domain.sign_in_providers import (
    SignInProvider,
    SignInProviderSpec,
    SignInRule,
    sign_in_provider_spec,
    sign_in_rule,
)
from bailiwick.services.documents import sign_in_provider_document
from bailiwick.services.provider_accounts import SecretChange


class SignInRuleBody(StrictBody):
    """Who becomes what: by the domain of their verified e-mail address, or by a value of a claim."""

    email_domain: str | None = Field(None, examples=["example.com"])
    claim: str | None = Field(None, examples=["groups"])
    value: str | None = Field(None, examples=["platform-owners"])
    role: Literal["viewer", "admin", "owner"]
    tenant_id: str | None = Field(None, description="Whose operators they are; absent: the installation's.")


class SignInProviderBody(StrictBody):
    """An OpenID provider. Nobody comes in by it whom no rule fits."""

    name: str
    issuer: str = Field(examples=["https://accounts.example.com"])
    client_id: str
    client_secret: str | None = Field(None, description="Encrypted, and never shown again.")
    scopes: list[str] | None = None
    rules: list[SignInRuleBody] | None = None


def sign_in_provider_asked(body: SignInProviderBody) -> SignInProviderSpec:
    """Read what is asked; raises `Invalid`."""
    findings = Findings()
    if body.client_secret is not None and not body.client_secret.strip():
        findings.add("client_secret", "must not be empty")
    rules: list[SignInRule] = []
    for place, asked in enumerate(body.rules or []):
        with findings.noted():
            rules.append(_rule(f"rules.{place}", asked))
    findings.or_raise()
    return sign_in_provider_spec(
        name=body.name, issuer=body.issuer, client_id=body.client_id, scopes=body.scopes, rules=rules
    )


def sign_in_provider_body(provider: SignInProvider) -> Document:
    """What would make the provider as it is, but for its secret."""
    document = sign_in_provider_document(provider)
    return {name: document[name] for name in ("name", "issuer", "client_id", "scopes", "rules")}


def secret_asked(body: SignInProviderBody, patch: Mapping[str, Any]) -> SecretChange | None:
    """What a patch says of the client secret; None if it says nothing."""
    return SecretChange(secret=body.client_secret) if "client_secret" in patch else None


def _rule(field: str, asked: SignInRuleBody) -> SignInRule:
    tenant = None if asked.tenant_id is None else ids.parsed(ids.TENANT, asked.tenant_id)
    if asked.tenant_id is not None and tenant is None:
        raise invalid(f"{field}.tenant_id", "must be a tenant of this installation")
    return sign_in_rule(
        field,
        email_domain=asked.email_domain,
        claim=asked.claim,
        value=asked.value,
        role=OperatorRole(asked.role),
        tenant_id=None if tenant is None else TenantId(tenant),
    )
