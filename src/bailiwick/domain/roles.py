"""Roles: what the people of a tenant may do on the data plane; pure.

    {"name": "analyst", "permissions": ["chat:create", "models:list"], "models": ["gpt-4o*"]}

A role narrows, and never widens: whoever has one may what their credential lets and what the role lets. A tenant has
roles of its own besides those that are built in. A role that a token names and that nobody knows counts as `member`,
which is what a token without a role may; one that was removed holds nothing, for as long as a token may still name it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.confinement import Confinement
from bailiwick.domain.fields import Findings
from bailiwick.domain.globs import Globs
from bailiwick.domain.identifiers import identifier_field
from bailiwick.domain.ids import RoleId, TenantId
from bailiwick.domain.model_names import read_models
from bailiwick.domain.permissions import ALL_SCOPES, FOR_KEYS_ALONE, Permission
from bailiwick.domain.tools import ToolRules, tool_rules

FOR_TOKENS: Final = ALL_SCOPES - FOR_KEYS_ALONE
"""All that a token may hold."""
MEMBER: Final = "member"
"""The role of whoever comes with one that nobody knows."""
MAX_ROLES: Final = 200

_P = Permission

BUILT_IN: Final[Mapping[str, frozenset[Permission]]] = {
    "viewer": frozenset({_P.MODELS_LIST, _P.USAGE_READ, _P.THREADS_READ}),
    MEMBER: FOR_TOKENS,
    "developer": FOR_TOKENS,
    "admin": FOR_TOKENS,
    "owner": FOR_TOKENS,
}
"""Those that every tenant has, least first. The last four differ in nothing on the data plane so far."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleSpec:
    """What can be asked of a role. `models` and `agents` are globs; None of these three: any."""

    name: str
    permissions: frozenset[Permission]
    models: tuple[str, ...] | None
    tools: ToolRules | None
    agents: tuple[str, ...] | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A role of a tenant's own as it is."""

    id: RoleId
    tenant_id: TenantId
    spec: RoleSpec
    created_at: datetime
    created_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RoleTerms:
    """What a role lets, as calls need it. `name` is None for no role at all."""

    name: str | None
    permissions: frozenset[Permission]
    confinement: Confinement

    @property
    def said(self) -> tuple[str, frozenset[Permission] | None]:
        """What it says of scopes, and what it is called to people; of no role None, which lets all that a token may."""
        return self.confinement.source, None if self.name is None else self.permissions


OwnRoles = Mapping[str, RoleTerms | None]
"""A tenant's own roles by their names; None for one that was removed."""


def role_spec(
    *,
    name: str,
    permissions: Sequence[str],
    models: Sequence[str] | None = None,
    tools: Mapping[str, object] | None = None,
    agents: Sequence[str] | None = None,
) -> RoleSpec:
    """Check what is asked of a role; raises `Invalid`."""
    findings = Findings()
    spec = RoleSpec(
        name=findings.take(lambda: identifier_field("name", name), ""),
        permissions=findings.take(lambda: read_scopes("permissions", permissions), frozenset()),
        models=findings.take(lambda: read_models("models", models), None),
        tools=findings.take(lambda: tool_rules("tools", tools), None),
        agents=findings.take(lambda: read_models("agents", agents), None),
    )
    findings.or_raise()
    return spec


def read_scopes(field: str, names: Sequence[str]) -> frozenset[Permission]:
    """Take scopes that a token may hold; raises `Invalid`."""
    findings = Findings()
    for place, name in enumerate(names):
        if name not in ALL_SCOPES:
            findings.add(f"{field}.{place}", f"is no scope; scopes are {', '.join(Permission)}")
        elif name in FOR_KEYS_ALONE:
            findings.add(f"{field}.{place}", "is for keys alone")
    findings.or_raise()
    return frozenset(map(Permission, names))


def role_terms(spec: RoleSpec) -> RoleTerms:
    """What a role of a tenant's own lets."""
    return RoleTerms(
        name=spec.name,
        permissions=spec.permissions,
        confinement=Confinement(
            source=called(spec.name),
            models=None if spec.models is None else Globs(spec.models),
            tools=spec.tools,
            agents=None if spec.agents is None else Globs(spec.agents),
        ),
    )


def called(name: str | None) -> str:
    """What a role is called to people."""
    return f"the role {name!r}"


def role_of_token(name: str | None, own: OwnRoles) -> RoleTerms:
    """The role of a token that says `name`, or nothing of a role: never more than the latter."""
    if name is None:
        return _NO_ROLE
    if name in _BUILT_IN:
        return _BUILT_IN[name]
    if name in own:
        return own[name] or nothing(name)
    return _BUILT_IN[MEMBER]


def role_of_member(name: str, own: OwnRoles) -> RoleTerms:
    """The role of a membership, whose role must be known: else it holds nothing."""
    return _BUILT_IN.get(name) or own.get(name) or nothing(name)


def nothing(name: str) -> RoleTerms:
    """A role that is not there any more."""
    return RoleTerms(name=name, permissions=frozenset(), confinement=Confinement(source=called(name)))


_BUILT_IN: Final[Mapping[str, RoleTerms]] = {
    name: RoleTerms(name=name, permissions=permissions, confinement=Confinement(source=called(name)))
    for name, permissions in BUILT_IN.items()
}
_NO_ROLE: Final = RoleTerms(name=None, permissions=FOR_TOKENS, confinement=Confinement(source="no role"))
