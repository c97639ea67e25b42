"""Looks up credentials before any tenant is known (`storage/look_ups.py`): API keys, with what their projects say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, Final, NewType, final
from uuid import UUID

from bailiwick.domain.budgets import tier_caps, tier_terms
from bailiwick.domain.confinement import THE_KEY, Confinement, confining, the_tier
from bailiwick.domain.globs import Globs
from bailiwick.domain.ids import IssuerId, KeyId, OperatorKeyId, ProjectId, TenantId, TierId
from bailiwick.domain.issuers import IssuerSpec, issuer_spec
from bailiwick.domain.permissions import ALL_SCOPES, CredentialKind, Permission
from bailiwick.domain.principal import Grant, Resolution
from bailiwick.domain.roles import role_spec, role_terms
from bailiwick.domain.tenancy import USUAL_OUTPUT_TOKENS, OnDisconnect
from bailiwick.domain.terms import ProjectTerms, TierTerms
from bailiwick.domain.tools import MODES, tool_rules
from bailiwick.storage.budgets import budget_terms
from bailiwick.storage.look_ups import LookUps
from bailiwick.storage.scope import Database, Row
from bailiwick.storage.sql import load

_SQL: Final = load("credentials")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeyOnFile:
    """What is stored of an API key. Digests are HMAC-SHA-256 under the pepper, 32 bytes.

    `grant` is what the key itself stands for, `confinements` what it says of its own, `terms` what its project says,
    `tier` the only one that it mints.
    """

    lookup_id: str
    grant: Grant
    confinements: tuple[Confinement, ...]
    terms: ProjectTerms
    tier: str | None
    digest: bytes
    previous_digest: bytes | None
    previous_until: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


Trust = NewType("Trust", str)
"""An issuer and who trusts it, as `look_up_issuer` in `0011_issuers.sql` takes them."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedIssuer:
    """An issuer as somebody trusts it: a project, by its `slug`, or the platform (None)."""

    id: IssuerId
    tenant_id: TenantId | None
    project_id: ProjectId | None
    slug: str | None
    spec: IssuerSpec


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorEnd:
    """Whose operator a key is, None for the installation's, and when it ends or ended."""

    tenant_id: TenantId | None
    expires_at: datetime | None
    revoked_at: datetime | None


@final
class CredentialLookup:
    """Reads API keys, issuers and projects as the gateway's role. Belongs to one event loop."""

    def __init__(self, database: Database) -> None:
        self._look_ups = LookUps(database, _SQL["look_up_api_keys"], by="asked")
        self._database = database
        self._issuers = LookUps(database, _SQL["look_up_issuers"], by="asked")
        self._operators = LookUps(database, _SQL["look_up_operator_ends"], by="asked")
        self._projects = LookUps(database, _SQL["look_up_projects"], by="asked")

    async def find_key(self, wanted: str) -> KeyOnFile | None:
        """The key with this look-up id, or this id as UUID, whatever its state; None if there is none.

        Raises `Unavailable`.
        """
        row = await self._look_ups.find(wanted)
        return None if row is None else _key(row)

    async def find_issuer(self, trust: Trust) -> TrustedIssuer | None:
        """An issuer as somebody trusts it; None if nobody does. Raises `Unavailable`."""
        row = await self._issuers.find(trust)
        return None if row is None else _issuer(row)

    async def issuer_marks(self, *, after: int) -> AsyncIterator[tuple[int, bytes]]:
        """What can be found of issuers as of a change: changes in their order, with 8 bytes of each `Trust`'s SHA-256.

        Raises `Unavailable`.
        """
        rows: Sequence[Row] = [{"change": after}]
        while rows:
            async with self._database.reading(None) as scope:
                rows = await scope.fetch_all(_SQL["list_issuer_marks"], (rows[-1]["change"],))
            for row in rows:
                yield row["change"], bytes(row["marks"])

    async def find_operator_end(self, key_id: OperatorKeyId) -> OperatorEnd | None:
        """When an operator key ends; None if there is none. Raises `Unavailable`."""
        row = await self._operators.find(str(key_id))
        if row is None:
            return None
        tenant = row["tenant_id"]
        return OperatorEnd(
            tenant_id=None if tenant is None else TenantId(_uuid(tenant)),
            expires_at=row["expires_at"],
            revoked_at=row["revoked_at"],
        )

    async def find_project(self, project_id: ProjectId) -> ProjectTerms | None:
        """What a project says of calls; None if there is none. Raises `Unavailable`."""
        row = await self._projects.find(str(project_id))
        return None if row is None else _terms(row["terms"])


def _issuer(row: Row) -> TrustedIssuer:
    tenant, project = row["tenant_id"], row["project_id"]
    return TrustedIssuer(
        id=IssuerId(_uuid(row["id"])),
        tenant_id=None if tenant is None else TenantId(_uuid(tenant)),
        project_id=None if project is None else ProjectId(_uuid(project)),
        slug=row["slug"],
        spec=issuer_spec(**row["document"]),
    )


def _key(row: Row) -> KeyOnFile:
    scopes = frozenset(Permission(scope) for scope in row["scopes"]) & ALL_SCOPES
    if not row["act_as"]:
        scopes -= {Permission.USERS_ACT_AS}
    project = _terms(row["terms"])
    terms = project.under(row["tier"])
    own = confining(
        Confinement(
            source=THE_KEY,
            models=_globs(row["models"]),
            tools=tool_rules("tools", row["tools"]),
            agents=_globs(row["agents"]),
        )
    )
    return KeyOnFile(
        lookup_id=row["lookup_id"],
        grant=Grant(
            kind=CredentialKind.API_KEY,
            tenant_id=project.tenant_id,
            project_id=project.project_id,
            project_slug=project.slug,
            key_id=KeyId(_uuid(row["id"])),
            scopes=scopes,
            limits=terms.limits,
            require_end_user=project.require_end_user,
            on_disconnect=project.on_disconnect,
            tenant_active=project.tenant_active,
            project_active=project.project_active,
            bucket=project.project_id.hex,
            key_bucket=row["id"].hex,
            tier=terms.tier,
            resolution=Resolution(limits=terms.sources, scopes=((THE_KEY, scopes),), tier=row["tier"], tier_by=THE_KEY),
            confinements=own + terms.confinements,
            max_output_tokens=terms.max_output_tokens,
            usual_output_tokens=project.usual_output_tokens,
            budgets=terms.budgets,
            ip_allow=_networks(row["ip_allow"]),
        ),
        confinements=own,
        terms=project,
        tier=row["tier"],
        digest=bytes(row["digest"]),
        previous_digest=None if row["previous_digest"] is None else bytes(row["previous_digest"]),
        previous_until=row["previous_until"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
    )


def _terms(said: Mapping[str, Any]) -> ProjectTerms:
    return ProjectTerms(
        tenant_id=TenantId(UUID(said["tenant_id"])),
        project_id=ProjectId(UUID(said["project_id"])),
        tenant_slug=said["tenant_slug"],
        slug=said["project_slug"],
        limits=said["limits"],
        tiers={name: _tier(name, tier) for name, tier in (said["tiers"] or {}).items()},
        budgets=tuple(map(budget_terms, said["budgets"] or ())),
        default_tier=said["default_tier"],
        tools=tool_rules("tools", said["tools"], modes=MODES),
        roles={
            **dict.fromkeys(said["removed_roles"] or ()),
            **{name: role_terms(role_spec(name=name, **role)) for name, role in (said["roles"] or {}).items()},
        },
        require_end_user=said["require_end_user"],
        on_disconnect=OnDisconnect(said["on_disconnect"]),
        usual_output_tokens=said["default_max_output_tokens"] or USUAL_OUTPUT_TOKENS,
        tenant_active=said["tenant_status"] == "active",
        project_active=said["project_status"] == "active",
    )


def _tier(name: str, said: Mapping[str, Any]) -> TierTerms:
    return TierTerms(
        limits=said["limits"],
        confinement=Confinement(
            source=the_tier(name),
            models=_globs(said["models"]),
            tools=tool_rules("tools", said["tools"]),
            agents=_globs(said["agents"]),
        ),
        max_output_tokens=said["max_output_tokens"],
        budgets=tier_terms(TierId(UUID(said["id"])), tier_caps("budgets", said["budgets"])),
    )


def _globs(patterns: list[str] | None) -> Globs | None:
    return None if patterns is None else Globs(tuple(patterns))


def _networks(texts: list[str] | None) -> tuple[IPv4Network | IPv6Network, ...] | None:
    return None if texts is None else tuple(map(ip_network, texts))


def _uuid(value: object) -> UUID:
    if not isinstance(value, UUID):
        raise TypeError(value)
    return value
