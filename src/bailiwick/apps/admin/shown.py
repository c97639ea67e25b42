"""What operators are shown. A secret is in none of these, but for a key's text in the answer to its making."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from bailiwick.apps.admin.price_shown import PriceVersionShown
from bailiwick.domain.end_users import UNVERSIONED
from bailiwick.domain.merge_patch import Document
from bailiwick.domain.paging import Page

Shown = TypeVar("Shown")
Item = TypeVar("Item")


CreatedBy = Annotated[str, Field(description="`opk_…`, `opr_…`, `bootstrap` or `environment`.")]
Secret = Annotated[str | None, Field(description="Null in an answer that is given again.")]
Role = Literal["viewer", "admin", "owner"]


class ItemShown(BaseModel):
    """One resource. Its answers carry its version, to which fields of these two do not belong."""

    secrets: ClassVar[frozenset[str]] = frozenset()
    """What is shown once."""
    unversioned: ClassVar[frozenset[str]] = frozenset()
    """What goes on by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TenantShown(ItemShown):
    """A tenant."""

    id: str
    name: str
    slug: str
    status: Literal["active", "suspended"]
    default_project: str | None
    created_at: str
    created_by: CreatedBy


class ProjectShown(ItemShown):
    """A project."""

    id: str
    tenant_id: str
    name: str
    slug: str
    status: Literal["active", "suspended"]
    limits: dict[str, Any]
    aliases: dict[str, list[str]]
    default_tier: str | None
    require_end_user: bool
    cors_origins: list[str]
    on_disconnect: Literal["abort", "drain"]
    default_max_output_tokens: int | None
    tools: dict[str, Any] | None
    created_at: str
    created_by: CreatedBy


class KeyShown(ItemShown):
    """An API key. `prefix` is how its text begins; until `previous_until` the secret before is good too."""

    id: str
    tenant_id: str
    project_id: str
    name: str
    prefix: str
    status: Literal["active", "expired", "revoked"]
    scopes: list[str]
    models: list[str] | None
    agents: list[str] | None
    tools: dict[str, list[str]] | None
    act_as: bool
    tier: str | None
    ip_allow: list[str] | None
    expires_at: str | None
    revoked_at: str | None
    previous_until: str | None
    created_at: str
    created_by: CreatedBy


class IssuedKeyShown(KeyShown):
    """An API key with its text, which is shown this once."""

    secrets = frozenset({"key"})

    key: Secret


class OperatorKeyShown(ItemShown):
    """An operator key; without `tenant_id` it is the installation's."""

    id: str
    name: str
    role: Role
    tenant_id: str | None
    prefix: str
    status: Literal["active", "expired", "revoked"]
    expires_at: str | None
    revoked_at: str | None
    previous_until: str | None
    created_at: str
    created_by: CreatedBy


class IssuedOperatorKeyShown(OperatorKeyShown):
    """An operator key with its text, which is shown this once."""

    secrets = frozenset({"key"})

    key: Secret


class PersonShown(ItemShown):
    """A person who is an operator; without `tenant_id` of the installation."""

    id: str
    email: str
    name: str
    role: Role
    tenant_id: str | None
    status: Literal["invited", "active", "suspended"]
    created_at: str
    created_by: CreatedBy


class SessionShown(ItemShown):
    """Where a person is signed in; without `tenant_id` they are the installation's."""

    id: str
    operator_id: str
    operator_name: str
    tenant_id: str | None
    method: Literal["link", "password", "password_and_code", "password_and_recovery_code", "oidc"]
    ip: str
    user_agent: str
    opened_at: str
    seen_at: str
    expires_at: str


class SignInRuleShown(BaseModel):
    """Who becomes what."""

    email_domain: str | None
    claim: str | None
    value: str | None
    role: Role
    tenant_id: str | None


class SignInProviderShown(ItemShown):
    """A provider by which people sign in; whether it has a client secret, never which."""

    id: str
    name: str
    issuer: str
    client_id: str
    has_client_secret: bool
    scopes: list[str]
    rules: list[SignInRuleShown]
    created_at: str
    created_by: CreatedBy


class LinkShown(ItemShown):
    """A link that signs a person in once; it is shown this once."""

    secrets = frozenset({"link"})

    link: Secret
    expires_at: str


class PriceShown(BaseModel):
    """US dollars per million tokens, exact; and how many tokens the model reads at once, if that was said."""

    input_usd_per_million: str
    output_usd_per_million: str
    context_window: int | None = Field(default=None, exclude_if=lambda window: window is None)


class ProviderShown(ItemShown):
    """A model provider; whether it has an API key, never which."""

    id: str
    tenant_id: str | None
    project_id: str | None
    name: str
    kind: Literal["openai", "anthropic", "gemini", "echo"]
    base_url: str | None
    has_api_key: bool
    models: list[str] | None
    prices: dict[str, PriceShown]
    from_environment: bool
    created_at: str
    created_by: CreatedBy


class EntryShown(BaseModel):
    """An entry of the audit log. `digest` covers it and the entry before, in hex."""

    id: str
    tenant_id: str | None
    seq: int
    at: str
    actor: str
    actor_name: str | None
    ip: str | None
    action: str
    target: str
    detail: dict[str, Any]
    request_id: str | None
    digest: str


class ProviderTestShown(BaseModel):
    """How a provider answered; `status` is its answer's, null where there was none."""

    ok: bool
    status: int | None
    latency_ms: int
    detail: str


class UsageShown(BaseModel):
    """What some calls came to."""

    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    latency_p50_ms: int | None
    latency_p95_ms: int | None


class UsageGroupShown(BaseModel):
    """What the calls of one group came to; `key` is null for those that name none."""

    key: str | None
    name: str | None = Field(default=None, description="Of a project or an agent; null once it is gone.")
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    latency_p50_ms: int | None
    latency_p95_ms: int | None


class ErasedShown(BaseModel):
    """What stands for an erased end user, and at how many settled calls."""

    pseudonym: str
    calls: int


class EndUserShown(ItemShown):
    """An end user of a project; what they used is that of the span that is asked for."""

    unversioned: ClassVar[frozenset[str]] = UNVERSIONED

    project_id: str
    uid: str
    blocked: bool
    blocked_at: str | None
    blocked_by: str | None
    last_seen: str | None = Field(description="When the last of their settled calls was opened.")
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    latency_p50_ms: int | None
    latency_p95_ms: int | None


class EndUsersShown(BaseModel):
    """A page of end users, the last seen first; `next` is the `after` of the following one."""

    model_config = ConfigDict(populate_by_name=True)

    since: str = Field(alias="from")
    to: str
    data: list[EndUserShown]
    has_more: bool
    next: str | None


class RefusalCountShown(BaseModel):
    """So many calls of a project were refused with a code within the hour, or the day, that began `at`."""

    at: str
    project_id: str
    code: str
    requests: int


class RefusalsShown(BaseModel):
    """Refused calls over time; `from` and `to` are whole hours."""

    model_config = ConfigDict(populate_by_name=True)

    since: str = Field(alias="from")
    to: str
    step: Literal["hour", "day"]
    data: list[RefusalCountShown]


class DecisionShown(BaseModel):
    """One decision of a call; `reason` is null where it was not reached."""

    step: Literal[
        "credential", "tenant", "project", "organization", "end_user", "permission", "request", "agent", "model",
        "tools", "limits", "budgets", "ledger", "provider", "service",
    ]  # fmt: skip
    outcome: Literal["passed", "refused", "not_reached", "open", "failed"]
    code: str | None
    reason: str | None


class RequestUsageShown(BaseModel):
    """What a settled call came to."""

    provider: str
    model: str
    outcome: str
    usage_source: str
    input_tokens: int
    output_tokens: int
    cost_usd: str | None
    price: PriceVersionShown | None
    model_asked: str
    latency_ms: int


class AgentRunShown(BaseModel):
    """The agent that a call was made as, and the version that it then had."""

    id: str
    version: int


class RequestShown(BaseModel):
    """A call, and the decisions that it met, in order."""

    request_id: str
    state: Literal["refused", "open", "settled"]
    tenant_id: str
    project_id: str
    key_id: str | None
    user_id: str | None
    session_id: str | None
    agent: AgentRunShown | None
    at: str
    address: str | None
    status: int | None
    code: str | None
    decisions: list[DecisionShown]
    usage: RequestUsageShown | None


class UsageReportShown(BaseModel):
    """Usage by group; `total` is over all groups, whatever the page."""

    model_config = ConfigDict(populate_by_name=True)

    since: str = Field(alias="from")
    to: str
    group_by: Literal["day", "hour", "project", "user", "model", "provider", "key", "session", "agent", "tier"]
    data: list[UsageGroupShown]
    total: UsageShown
    has_more: bool
    next: str | None


class Listed(BaseModel, Generic[Shown]):
    """A page; `next` is the `after` of the following one."""

    data: list[Shown]
    has_more: bool
    next: str | None


def listed(page: Page[Item], show: Callable[[Item], Document]) -> Document:
    """A page of resources, each as `show` writes it."""
    data = [show(item) for item in page.items]
    return {"data": data, "has_more": page.has_more, "next": data[-1]["id"] if page.has_more else None}
