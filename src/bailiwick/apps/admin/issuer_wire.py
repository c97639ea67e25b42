"""What operators send and are shown of trusted issuers, and of what is thought of a token.

A claim is named by its path (`app_metadata.plan`), by a URL as it stands, or by the list of its parts; beside it can
stand a default, and which of several values counts (`domain/issuers.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import BaseModel, Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown
from bailiwick.apps.admin.wire import StrictBody
from bailiwick.domain import ids
from bailiwick.domain.access_tokens import ALGORITHMS
from bailiwick.domain.issuers import DEFAULT_LIFETIME, Issuer, IssuerSpec, issuer_spec
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.times import written
from bailiwick.services.issuer_tester import Verdict

_KEYS: Final = "By default where the issuer's discovery document says."


class IssuerBody(StrictBody):
    """A trusted issuer. Its keys are at `jwks_url`, or are `jwks`, or are found by discovery."""

    issuer: str = Field(examples=["https://acme.eu.auth0.com/"], description="As its tokens write it, to the letter.")
    jwks_url: str | None = Field(None, description=_KEYS)
    jwks: dict[str, Any] | None = Field(None, description="A JWK Set of public keys: no call to the issuer.")
    audiences: list[str] | None = Field(None, examples=[["https://api.acme.com"]])
    authorized_parties: list[str] | None = Field(None, description="`azp`, for issuers without audiences.")
    algorithms: list[str] = Field(examples=[["RS256"]], description=f"Of {', '.join(ALGORITHMS)}.")
    max_lifetime: int | None = Field(None, description=f"In seconds, {DEFAULT_LIFETIME} by default.")
    user_prefix: str | None = Field(None, description="Put before the user; one issuer of a project can be without.")
    claims: dict[str, Any] | None = Field(
        None, examples=[{"user": "sub", "tier": {"claim": "https://acme.com/plan", "default": "free"}}]
    )
    required: dict[str, Any] | None = Field(None, examples=[{"email_verified": [True], "org_id": None}])


class TokenBody(StrictBody):
    """A token to judge; it is neither kept nor logged."""

    token: str = Field(repr=False)


class IssuerShown(ItemShown):
    """A trusted issuer; without `project_id` it is the platform's."""

    id: str
    tenant_id: str | None
    project_id: str | None
    issuer: str
    jwks_url: str | None
    jwks: dict[str, Any] | None
    audiences: list[str]
    authorized_parties: list[str]
    algorithms: list[str]
    max_lifetime: int
    user_prefix: str | None
    claims: dict[str, Any]
    required: dict[str, Any]
    created_at: str
    created_by: CreatedBy


class FindingShown(BaseModel):
    """What is thought of one thing about a token; `problem` is null where it is accepted."""

    about: str
    accepted: bool
    problem: str | None


class IdentityShown(BaseModel):
    """Whom a token speaks for; without `scopes`, it holds all that a token may."""

    user_id: str
    session_id: str | None
    tier: str | None
    role: str | None
    scopes: list[str] | None
    expires_at: str


class VerdictShown(BaseModel):
    """What is thought of a token; `identity` is null if it cannot be told."""

    accepted: bool
    issuer_id: str | None
    findings: list[FindingShown]
    identity: IdentityShown | None


def verdict_document(verdict: Verdict) -> Document:
    """A verdict."""
    issuer, identity = verdict.issuer, verdict.identity
    return {
        "accepted": verdict.accepted,
        "issuer_id": None if issuer is None else ids.shown(ids.ISSUER, issuer.id),
        "findings": [
            {"about": finding.about, "accepted": finding.problem is None, "problem": finding.problem}
            for finding in verdict.findings
        ],
        "identity": None
        if identity is None
        else {
            "user_id": identity.uid,
            "session_id": identity.sid,
            "tier": identity.tier,
            "role": identity.role,
            "scopes": None if identity.scopes is None else sorted(identity.scopes),
            "expires_at": written(datetime.fromtimestamp(identity.expires_at, UTC)),
        },
    }


def issuer_body(issuer: Issuer) -> Document:
    """The body of an issuer as it is."""
    return {name: value for name, value in issuer.spec.written().items() if value is not None}


def issuer_asked(body: IssuerBody, reserved: Sequence[str] = ()) -> IssuerSpec:
    """The issuer that a body asks for; raises `Invalid`."""
    return issuer_spec(
        issuer=body.issuer,
        jwks_url=body.jwks_url,
        jwks=body.jwks,
        audiences=body.audiences or (),
        authorized_parties=body.authorized_parties or (),
        algorithms=body.algorithms,
        max_lifetime=body.max_lifetime,
        user_prefix=body.user_prefix,
        claims=body.claims,
        required=body.required,
        reserved=reserved,
    )
