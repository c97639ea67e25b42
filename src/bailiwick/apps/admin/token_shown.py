"""What operators are shown of tiers, revocations and signing keys."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown, Secret


class TierShown(ItemShown):
    """A named plan of a project."""

    id: str
    tenant_id: str
    project_id: str
    name: str
    limits: dict[str, Any]
    models: list[str] | None
    agents: list[str] | None
    tools: dict[str, list[str]] | None
    max_output_tokens: int | None
    budgets: list[dict[str, Any]]
    created_at: str
    created_by: CreatedBy


class RevocationShown(ItemShown):
    """What was taken away, at `created_at`: one of three."""

    id: str
    tenant_id: str
    project_id: str
    jti: str | None
    session_id: str | None
    user_id: str | None
    created_at: str
    created_by: CreatedBy


class MintedShown(ItemShown):
    """A token, which is shown this once."""

    secrets = frozenset({"token"})
    unversioned = frozenset({"token"})

    token: Secret
    token_type: Literal["Bearer"]
    ttl: int = Field(description="Seconds.")
    session_id: str
    expires_at: int = Field(description="Unix seconds.")
    project_id: str


class SigningKeyShown(BaseModel):
    """A key that signs tokens, by the id that they name; its private half is shown nowhere."""

    kid: str
    status: Literal["next", "signing", "published"] = Field(
        description="It will sign, it signs, or it is published for the tokens that it signed."
    )
    signs_from: str
    published_until: str | None = Field(description="Null as long as no later key says it.")
    created_at: str
    created_by: CreatedBy
