"""Who calls: what authentication yields and everything later decides by.

A `Grant` is what a credential carries, the same for all its calls until something about it changes; it is cached. A
`Principal` is one caller of one call: a grant, and the end user and session that the call is for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import final

import msgspec

from bailiwick.domain.budget_terms import Budgets
from bailiwick.domain.confinement import Confinement
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.limit_settings import Limits
from bailiwick.domain.permissions import CredentialKind, Permission
from bailiwick.domain.tenancy import USUAL_OUTPUT_TOKENS, OnDisconnect
from bailiwick.domain.tool_policy import ToolPolicy, tool_policy


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """Where what a grant holds comes from, for people: the tier and the role that were said, and by what.

    `limits` says of each level whose it is, `scopes` what each place lets: what all of them let is held.
    """

    limits: Mapping[str, str]
    scopes: tuple[tuple[str, frozenset[Permission]], ...] = ()
    tier: str | None = None
    tier_by: str | None = None
    role: str | None = None
    role_by: str | None = None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a credential stands for. All of its `confinements` hold at once.

    `key_id` is that of the key, or of the key that a token was minted with. `bucket` and `key_bucket` name project and
    key in the limit store; written once, since every call needs them. `ip_allow` are the networks from which alone it
    may be used, None for any. `max_output_tokens` is what a tier lets a model write, None for any number,
    and `usual_output_tokens` what it may under budgets where a call says nothing.
    `tools` is what the confinements say of these. `budgets` None: no call meets any.
    """

    kind: CredentialKind
    tenant_id: TenantId
    project_id: ProjectId
    project_slug: str
    key_id: KeyId | None
    scopes: frozenset[Permission]
    limits: Limits
    require_end_user: bool
    on_disconnect: OnDisconnect
    tenant_active: bool
    project_active: bool
    bucket: str
    key_bucket: str | None
    confinements: tuple[Confinement, ...] = ()
    tier: str | None = None
    role: str | None = None
    resolution: Resolution = Resolution(limits={})
    max_output_tokens: int | None = None
    usual_output_tokens: int = USUAL_OUTPUT_TOKENS
    budgets: Budgets | None = None
    ip_allow: tuple[IPv4Network | IPv6Network, ...] | None = None
    tools: ToolPolicy = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Make ready what each call would otherwise ask of the confinements."""
        object.__setattr__(self, "tools", tool_policy(self.confinements))


@final
class Principal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Who calls, and for whom. `uid` and `sid` are the application's own ids, byte for byte.

    Of a user token they are the token's own; `named_uid` and `named_sid` are then what the headers say. `blocked` says
    that an operator blocked the end user, `outside` that the call comes from an address that the credential may not be
    used from. `organization` and `project` are the ids, as shown outside, of where the call asks to be carried out.
    """

    grant: Grant
    uid: str | None
    sid: str | None
    named_uid: str | None = None
    named_sid: str | None = None
    blocked: bool = False
    outside: bool = False
    organization: str | None = None
    project: str | None = None
