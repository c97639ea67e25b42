"""Tenants and their projects.

A slug is a DNS label, because `{slug}.{base_domain}` is an address: 1 to 63 of `a-z`, `0-9` and `-`, no hyphen at
either end, nor at the third and fourth place (RFC 5891 keeps those for `xn--`). Slugs are unique in the installation.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NewType, final

from bailiwick.domain.fields import Findings, invalid, read_name
from bailiwick.domain.ids import ProjectId, TenantId
from bailiwick.domain.limit_settings import parse_limits
from bailiwick.domain.limits import InvalidLimit
from bailiwick.domain.model_names import read_model
from bailiwick.domain.models import RESERVED_NAMES
from bailiwick.domain.origins import read_origins
from bailiwick.domain.tiers import read_most, read_tier
from bailiwick.domain.tools import MODES, ToolRules, tool_rules

Slug = NewType("Slug", str)

# What has, or may one day have, an address of the installation's own.
RESERVED_SLUGS: Final = frozenset(
    {"admin", "agent", "api", "assets", "auth", "bailiwick", "control", "dashboard", "docs", "echo", "gateway",
     "healthz", "internal", "localhost", "login", "mail", "mcp", "metrics", "oauth", "operator", "p", "platform",
     "readyz", "register", "static", "status", "v1", "v2", "well-known", "www"}
)  # fmt: skip
USUAL_OUTPUT_TOKENS: Final = 4_096
"""How many tokens a model may write under a budget, if neither the request nor a tier or the project says."""

MAX_ALIASES: Final = 200
MAX_FALLBACKS: Final = 7
_SLUG: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
_NOT_SLUG: Final = re.compile(r"[^a-z0-9]+")
_MADE_LENGTH: Final = 40


class Status(StrEnum):
    """Whether calls are served. What is suspended keeps everything and answers 403."""

    ACTIVE = "active"
    SUSPENDED = "suspended"


class OnDisconnect(StrEnum):
    """What becomes of a call whose client goes away: the provider is left at once, or heard to the end."""

    ABORT = "abort"
    DRAIN = "drain"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TenantSpec:
    """What can be asked of a tenant. No slug: one is made; no default project: the first."""

    name: str
    slug: Slug | None = None
    status: Status = Status.ACTIVE
    default_project: ProjectId | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """A tenant as it is. `stated_default` is the default project that was chosen, `first_project` the oldest."""

    id: TenantId
    name: str
    slug: Slug
    status: Status
    stated_default: ProjectId | None
    first_project: ProjectId | None
    created_at: datetime
    created_by: str

    @property
    def default_project(self) -> ProjectId | None:
        """The project that a call enters when it names none."""
        return self.stated_default or self.first_project


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectSpec:
    """What can be asked of a project. `limits` is the contract's object, checked; `tools` None: it says nothing.

    `default_max_output_tokens` None: as many as are usual.
    """

    name: str
    slug: Slug | None
    status: Status
    limits: Mapping[str, object]
    aliases: Mapping[str, tuple[str, ...]]
    default_tier: str | None
    require_end_user: bool
    cors_origins: tuple[str, ...]
    on_disconnect: OnDisconnect
    default_max_output_tokens: int | None
    tools: ToolRules | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Project:
    """A project as it is."""

    id: ProjectId
    tenant_id: TenantId
    name: str
    slug: Slug
    status: Status
    limits: Mapping[str, object]
    aliases: Mapping[str, tuple[str, ...]]
    default_tier: str | None
    require_end_user: bool
    cors_origins: tuple[str, ...]
    on_disconnect: OnDisconnect
    default_max_output_tokens: int | None
    tools: ToolRules | None
    created_at: datetime
    created_by: str


def tenant_spec(
    *, name: str, slug: str | None = None, status: Status = Status.ACTIVE, default_project: ProjectId | None = None
) -> TenantSpec:
    """Check what is asked of a tenant; raises `Invalid`."""
    findings = Findings()
    spec = TenantSpec(
        name=findings.take(lambda: read_name("name", name), ""),
        slug=findings.take(lambda: None if slug is None else read_slug(slug), None),
        status=status,
        default_project=default_project,
    )
    findings.or_raise()
    return spec


def project_spec(
    *,
    name: str,
    slug: str | None = None,
    status: Status = Status.ACTIVE,
    limits: Mapping[str, object] | None = None,
    aliases: Mapping[str, Sequence[str]] | None = None,
    default_tier: str | None = None,
    require_end_user: bool = False,
    cors_origins: Sequence[str] | None = None,
    on_disconnect: OnDisconnect = OnDisconnect.ABORT,
    default_max_output_tokens: int | None = None,
    tools: Mapping[str, object] | None = None,
) -> ProjectSpec:
    """Check what is asked of a project; raises `Invalid`."""
    findings = Findings()
    spec = ProjectSpec(
        name=findings.take(lambda: read_name("name", name), ""),
        slug=findings.take(lambda: None if slug is None else read_slug(slug), None),
        status=status,
        limits=findings.take(lambda: _read_limits(limits or {}), {}),
        aliases=findings.take(lambda: _read_aliases(aliases or {}), {}),
        default_tier=findings.take(
            lambda: None if default_tier is None else read_tier("default_tier", default_tier), None
        ),
        require_end_user=require_end_user,
        cors_origins=findings.take(lambda: read_origins(cors_origins or ()), ()),
        on_disconnect=on_disconnect,
        default_max_output_tokens=findings.take(
            lambda: read_most("default_max_output_tokens", default_max_output_tokens), None
        ),
        tools=findings.take(lambda: tool_rules("tools", tools, modes=MODES), None),
    )
    findings.or_raise()
    return spec


def is_slug(text: str) -> bool:
    """Whether a slug can look like this."""
    return _SLUG.fullmatch(text) is not None


def read_slug(text: str) -> Slug:
    """Take a slug that somebody chose; raises `Invalid`."""
    if not is_slug(text):
        raise invalid("slug", "must be 1 to 63 of a-z, 0-9 and -, and neither begin nor end with -")
    if text[2:4] == "--":
        raise invalid("slug", "must not have -- at its third and fourth place")
    if text in RESERVED_SLUGS:
        raise invalid("slug", "is reserved")
    return Slug(text)


def made_slug(name: str, otherwise: str) -> Slug | None:
    """Make a slug from a name, or None if that would be a reserved one: then, or if it is taken, add a suffix.

    `otherwise` is what a name becomes that has no letter or digit of ASCII.
    """
    slug = _base(name, otherwise)
    return None if slug in RESERVED_SLUGS else Slug(slug)


def suffixed_slug(name: str, otherwise: str, suffix: str) -> Slug:
    """Make a slug that nobody has: `suffix` is random, of `a-z` and `0-9`, with at least 40 bits."""
    return Slug(f"{_base(name, otherwise)}-{suffix}")


def _base(name: str, otherwise: str) -> str:
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = _NOT_SLUG.sub("-", plain)[:_MADE_LENGTH].strip("-")
    return slug or otherwise


def _read_limits(document: Mapping[str, object]) -> Mapping[str, object]:
    try:
        parse_limits(document)
    except InvalidLimit as error:
        raise invalid(error.field, error.message) from None
    return document


def _read_aliases(aliases: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[str, ...]]:
    if len(aliases) > MAX_ALIASES:
        raise invalid("aliases", f"must be at most {MAX_ALIASES}")
    findings = Findings()
    read: dict[str, tuple[str, ...]] = {}
    for name, models in aliases.items():
        field = f"aliases.{name}"
        with findings.noted():
            read_model(field, name)
            if name.partition("/")[0] in RESERVED_NAMES:
                raise invalid(field, "is a reserved name")
            if not models:
                raise invalid(field, "must name a model")
            if len(models) > 1 + MAX_FALLBACKS:
                raise invalid(field, f"must name at most {MAX_FALLBACKS} fallbacks")
            if len(set(models)) < len(models):
                raise invalid(field, "must name each model once")
            read[name] = tuple([read_model(field, model) for model in models])
    findings.or_raise()
    return read
