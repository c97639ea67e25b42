"""What operators send: the bodies of POST, and of PATCH once merged into what is there.

A field that is absent or null has its default. Unknown fields are refused, never ignored, and so are those of the
contract that this version does not act on yet. Types are strict: no "true" for true, no 1 for "1".

Evolution: fields are added, with a default that changes nothing; their meaning never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, NoReturn, TypeVar, final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetJsonSchemaHandler, ValidationError
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import CoreSchema, PydanticCustomError

from bailiwick.apps.admin.problems import not_valid
from bailiwick.domain import ids
from bailiwick.domain.credentials import MAX_GRACE_SECONDS, ApiKey, KeySpec, key_spec
from bailiwick.domain.fields import invalid
from bailiwick.domain.ids import ProjectId
from bailiwick.domain.merge_patch import Document, merged
from bailiwick.domain.models import ProviderKind
from bailiwick.domain.permissions import Permission
from bailiwick.domain.providers import (
    DEFAULT_BASE_URLS,
    Provider,
    ProviderSpec,
    provider_spec,
    read_provider_secret,
)
from bailiwick.domain.tenancy import (
    OnDisconnect,
    Project,
    ProjectSpec,
    Status,
    Tenant,
    TenantSpec,
    project_spec,
    tenant_spec,
)
from bailiwick.domain.times import read_moment, written
from bailiwick.services.acts import Acts

Body = TypeVar("Body", bound=BaseModel)


def _not_yet(_value: object) -> NoReturn:
    raise PydanticCustomError("not_supported_yet", "not supported yet")


# A field of the contract that a later version acts on: whoever sends it must not believe that it holds.
NotYet = Annotated[SkipJsonSchema[None], BeforeValidator(_not_yet)]

Usd = Annotated[str | int | Decimal, Field(description="US dollars per million tokens, at most 9 decimals: exact.")]


class StrictBody(BaseModel):
    """A body whose every field is known, and of its very type."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)


class TenantBody(StrictBody):
    """A tenant. Without a slug one is made of the name; `default_project` is the first unless it says another."""

    name: str
    slug: str | None = None
    status: Literal["active", "suspended"] | None = None
    default_project: str | None = None


class ToolsBody(StrictBody):
    """Which tools may be offered to a model, and called: glob patterns. `deny` wins; without `allow`, any."""

    allow: list[str] | None = Field(None, examples=[["search_*", "web_search"]])
    deny: list[str] | None = Field(None, examples=[["delete_*", "mcp"]])


class ProjectToolsBody(ToolsBody):
    """The same for a project, and what becomes of a call with another tool: it goes on without, or is refused."""

    mode: Literal["remove", "refuse"] | None = None


class ProjectBody(StrictBody):
    """A project. Without a slug one is made of the name; what `limits` does not limit is unlimited.

    Whoever comes without a tier, or with an unknown one, is under the `default_tier`.
    """

    name: str
    slug: str | None = None
    status: Literal["active", "suspended"] | None = None
    limits: dict[str, Any] | None = Field(
        None,
        examples=[
            {
                "user": {"requests": 60, "tokens": 100000, "per": "1m", "burst": 60},
                "project": {"requests": 6000, "per": "1m"},
            }
        ],
    )
    aliases: dict[str, list[str]] | None = Field(
        None, examples=[{"fast": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]}]
    )
    require_end_user: bool | None = None
    cors_origins: list[str] | None = Field(None, examples=[["https://app.example.com"]])
    on_disconnect: Literal["abort", "drain"] | None = None
    default_max_output_tokens: int | None = Field(None, examples=[4096])
    default_tier: str | None = None
    tools: ProjectToolsBody | None = None
    memory: NotYet = None


class KeyBody(StrictBody):
    """An API key. Without scopes it holds all; `act_as` false takes `users:act_as` away.

    `models` and `agents` are glob patterns. With a `tier` it mints tokens of that one alone; with `ip_allow` it is good
    from these networks alone.
    """

    name: str
    scopes: list[str] | None = Field(None, examples=[[Permission.CHAT_CREATE.value]])
    models: list[str] | None = None
    agents: list[str] | None = Field(None, examples=[["support", "sales-*"]])
    tools: ToolsBody | None = None
    act_as: bool | None = None
    tier: str | None = None
    ip_allow: list[str] | None = Field(None, examples=[["192.0.2.0/24", "2001:db8::/32"]])
    expires_at: str | None = Field(None, description="RFC 3339, in the future.")


class RotateBody(StrictBody):
    """How long the secret before stays good; not at all by default."""

    grace_seconds: int = Field(0, ge=0, le=MAX_GRACE_SECONDS)


class EmptyBody(StrictBody):
    """Nothing."""


class EndUserBody(StrictBody):
    """An end user."""

    blocked: bool | None = None


class PriceBody(StrictBody):
    """What a model costs, and how many tokens it reads at once, which budgets count for pictures and files."""

    input_usd_per_million: Usd
    output_usd_per_million: Usd
    context_window: int | None = None


class ProviderBody(StrictBody):
    """A model provider. `base_url` is its kind's own by default; without `models` it accepts any name."""

    name: str
    kind: Literal["openai", "anthropic", "gemini", "echo"]
    base_url: str | None = None
    api_key: str | None = Field(None, repr=False, description="Sealed, and never shown again.")
    models: list[str] | None = None
    prices: dict[str, PriceBody] | None = None


@final
@dataclass(frozen=True, slots=True)
class PatchOf:
    """Describes the parameter that it annotates as a PATCH of `body`: every field may be absent, and null resets it."""

    body: type[BaseModel]

    def __get_pydantic_json_schema__(self, _core: CoreSchema, _handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Its JSON Schema, made when somebody wants it."""
        whole = self.body.model_json_schema(ref_template="#/components/schemas/{model}")
        name = self.body.__name__
        return {
            "title": name.replace("Body", "Patch"),
            "type": "object",
            "description": f"A merge patch (RFC 7396) of a {name}: null resets a field to its default.",
            "properties": whole["properties"],
            "additionalProperties": False,
        }


def read_body_as(kind: type[Body], document: Document) -> Body:
    """Take a document as a body of this kind; raises `Invalid`."""
    try:
        return kind.model_validate(document)
    except ValidationError as error:
        raise not_valid(error) from None


def read_patched(kind: type[Body], before: Document, patch: Mapping[str, object]) -> Body:
    """Take what a merge patch makes of `before` as a body of this kind; raises `Invalid`.

    A field that nobody knows is refused with null, too, which would only take it away.
    """
    unknown = dict.fromkeys(patch.keys() - kind.model_fields.keys())
    return read_body_as(kind, {**unknown, **merged(before, patch)})


# What is there, as the body that would make it: what a PATCH is merged into ------------------------------------------


def tenant_body(tenant: Tenant) -> Document:
    """The body of a tenant as it is."""
    return present(
        name=tenant.name,
        slug=tenant.slug,
        status=tenant.status.value,
        default_project=None if tenant.stated_default is None else ids.shown(ids.PROJECT, tenant.stated_default),
    )


def project_body(project: Project) -> Document:
    """The body of a project as it is."""
    return present(
        name=project.name,
        slug=project.slug,
        status=project.status.value,
        limits=project.limits,
        aliases={name: list(models) for name, models in project.aliases.items()},
        default_tier=project.default_tier,
        require_end_user=project.require_end_user,
        cors_origins=list(project.cors_origins),
        on_disconnect=project.on_disconnect.value,
        default_max_output_tokens=project.default_max_output_tokens,
        tools=None if project.tools is None else project.tools.document(),
    )


def key_body(key: ApiKey) -> Document:
    """The body of a key as it is."""
    return present(
        name=key.spec.name,
        scopes=sorted(key.spec.scopes),
        models=None if key.spec.models is None else list(key.spec.models),
        agents=None if key.spec.agents is None else list(key.spec.agents),
        tools=None if key.spec.tools is None else key.spec.tools.document(),
        act_as=None if key.spec.act_as else False,
        tier=key.spec.tier,
        ip_allow=None if key.spec.ip_allow is None else list(key.spec.ip_allow),
        expires_at=None if key.spec.expires_at is None else written(key.spec.expires_at),
    )


def provider_body(provider: Provider) -> Document:
    """The body of a provider as it is, but for its API key. An address that is its kind's own goes with the kind."""
    spec = provider.spec
    return present(
        name=spec.name,
        kind=spec.kind.value,
        base_url=None if spec.base_url == DEFAULT_BASE_URLS[spec.kind] else spec.base_url,
        models=None if spec.models is None else list(spec.models),
        prices={model: price.document() for model, price in spec.prices.items()},
    )


# What a body asks for ------------------------------------------------------------------------------------------------


def tenant_asked(body: TenantBody) -> TenantSpec:
    """The tenant that a body asks for; raises `Invalid`."""
    default_project: ProjectId | None = None
    if body.default_project is not None:
        read = ids.parsed(ids.PROJECT, body.default_project)
        if read is None:
            raise invalid("default_project", "must be a project of this tenant")
        default_project = ProjectId(read)
    return tenant_spec(name=body.name, slug=body.slug, status=_status(body.status), default_project=default_project)


def project_asked(body: ProjectBody) -> ProjectSpec:
    """The project that a body asks for; raises `Invalid`."""
    return project_spec(
        name=body.name,
        slug=body.slug,
        status=_status(body.status),
        limits=body.limits,
        aliases=body.aliases,
        default_tier=body.default_tier,
        require_end_user=body.require_end_user is True,
        cors_origins=body.cors_origins,
        on_disconnect=OnDisconnect.ABORT if body.on_disconnect is None else OnDisconnect(body.on_disconnect),
        default_max_output_tokens=body.default_max_output_tokens,
        tools=tools_asked(body.tools),
    )


def key_asked(body: KeyBody, acts: Acts, before: ApiKey | None = None) -> KeySpec:
    """The key that a body asks for, `before` being what it is now; raises `Invalid`."""
    expires_at = None if body.expires_at is None else read_moment(body.expires_at)
    if body.expires_at is not None and expires_at is None:
        raise invalid("expires_at", "must be a moment by RFC 3339, such as 2027-01-01T00:00:00Z")
    return key_spec(
        name=body.name,
        now=acts.now(),
        scopes=body.scopes,
        models=body.models,
        agents=body.agents,
        tools=tools_asked(body.tools),
        act_as=body.act_as,
        tier=body.tier,
        ip_allow=body.ip_allow,
        expires_at=expires_at,
        expired_before=None if before is None else before.lifetime.expires_at,
    )


def tools_asked(body: ToolsBody | None) -> Document | None:
    """The rules of tools that a body asks for, if any."""
    return None if body is None else body.model_dump(exclude_none=True)


def provider_asked(body: ProviderBody) -> ProviderSpec:
    """The provider that a body asks for; raises `Invalid`."""
    if body.api_key is not None:
        read_provider_secret(body.api_key)
    return provider_spec(
        name=body.name,
        kind=ProviderKind(body.kind),
        base_url=body.base_url,
        models=body.models,
        prices={
            model: (price.input_usd_per_million, price.output_usd_per_million)
            for model, price in (body.prices or {}).items()
        },
        windows={
            model: price.context_window
            for model, price in (body.prices or {}).items()
            if price.context_window is not None
        },
    )


_ACTIVE: Final = Status.ACTIVE


def _status(text: str | None) -> Status:
    return _ACTIVE if text is None else Status(text)


def present(**fields: object) -> Document:
    """The fields that say something, as plain JSON."""
    return {
        name: dict(value) if isinstance(value, Mapping) else value
        for name, value in fields.items()
        if value is not None
    }
