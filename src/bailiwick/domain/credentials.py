"""API keys: what can be asked of one, and what state it is in.

    Active ──expires_at──▶ Expired
      └─────revoke─────▶ Revoked      (also an expired one; there is no way back)

A rotated key is active with two secrets until `previous_until`. Operator keys have the same states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias, final

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Findings, invalid, read_name
from bailiwick.domain.ids import KeyId, ProjectId, TenantId
from bailiwick.domain.model_names import read_models
from bailiwick.domain.networks import read_networks
from bailiwick.domain.permissions import ALL_SCOPES, Permission
from bailiwick.domain.tiers import read_tier
from bailiwick.domain.tools import ToolRules, tool_rules

MAX_GRACE_SECONDS: Final = 30 * 24 * 3600


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Active:
    """Good until it expires or is revoked; the secret before the last rotation until `previous_until`."""

    previous_until: datetime | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Expired:
    """Good until `at`."""

    at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked:
    """Ended by an operator, at `at`."""

    at: datetime


KeyState: TypeAlias = Active | Expired | Revoked


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Lifetime:
    """The times of a key, from which its state follows."""

    expires_at: datetime | None
    revoked_at: datetime | None
    previous_until: datetime | None = None

    def state(self, now: datetime) -> KeyState:
        """The state at `now`."""
        if self.revoked_at is not None:
            return Revoked(at=self.revoked_at)
        if self.expires_at is not None and self.expires_at <= now:
            return Expired(at=self.expires_at)
        in_grace = self.previous_until is not None and self.previous_until > now
        return Active(previous_until=self.previous_until if in_grace else None)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class KeySpec:
    """What can be asked of a key. `models` and `agents` are glob patterns, None for any, and so are its `tools`.

    It mints the `tier` alone, None for any; it is good from the networks of `ip_allow` alone, None for any address.
    `scopes` are those asked for; `act_as` False takes `users:act_as` away from them and keeps them otherwise.
    """

    name: str
    scopes: frozenset[Permission]
    models: tuple[str, ...] | None
    agents: tuple[str, ...] | None
    tools: ToolRules | None
    act_as: bool
    tier: str | None
    ip_allow: tuple[str, ...] | None
    expires_at: datetime | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as it is, without its secret. `lookup_id` is the part of its text that may be shown."""

    id: KeyId
    tenant_id: TenantId
    project_id: ProjectId
    lookup_id: str
    spec: KeySpec
    lifetime: Lifetime
    created_at: datetime
    created_by: str

    @property
    def scopes(self) -> frozenset[Permission]:
        """The scopes that it holds."""
        return self.spec.scopes if self.spec.act_as else self.spec.scopes - {Permission.USERS_ACT_AS}

    def check_rotatable(self, now: datetime) -> None:
        """Raise `Refused` (409) unless it is active: a new secret would bring nothing back."""
        match self.lifetime.state(now):
            case Active():
                return
            case Expired():
                raise Refused(Code.CONFLICT, "The key has expired. Set expires_at before rotating it.")
            case Revoked():
                raise Refused(Code.CONFLICT, "The key was revoked. Create another one.")


def key_spec(
    *,
    name: str,
    now: datetime,
    scopes: Sequence[str] | None = None,
    models: Sequence[str] | None = None,
    agents: Sequence[str] | None = None,
    tools: Mapping[str, object] | None = None,
    act_as: bool | None = None,
    tier: str | None = None,
    ip_allow: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    expired_before: datetime | None = None,
) -> KeySpec:
    """Check what is asked of a key; raises `Invalid`.

    No scopes: all. `expires_at` must be ahead, unless the key already has it (`expired_before`), so that a key that
    has expired can still be given another name.
    """
    findings = Findings()
    held = ALL_SCOPES if scopes is None else findings.take(lambda: _read_scopes(scopes), ALL_SCOPES)
    if act_as is True and Permission.USERS_ACT_AS not in held:
        findings.add("act_as", "must not be true when scopes lack users:act_as")
    if expires_at is not None and expires_at <= now and expires_at != expired_before:
        findings.add("expires_at", "must be in the future")
    spec = KeySpec(
        name=findings.take(lambda: read_name("name", name), ""),
        scopes=held,
        models=findings.take(lambda: read_models("models", models), None),
        agents=findings.take(lambda: read_models("agents", agents), None),
        tools=findings.take(lambda: tool_rules("tools", tools), None),
        act_as=act_as is not False,
        tier=findings.take(lambda: None if tier is None else read_tier("tier", tier), None),
        ip_allow=findings.take(lambda: read_networks("ip_allow", ip_allow), None),
        expires_at=expires_at,
    )
    findings.or_raise()
    return spec


def _read_scopes(texts: Sequence[str]) -> frozenset[Permission]:
    findings = Findings()
    scopes: set[Permission] = set()
    for place, text in enumerate(texts):
        with findings.noted():
            scopes.add(_read_scope(f"scopes.{place}", text))
    findings.or_raise()
    return frozenset(scopes)


def _read_scope(field: str, text: str) -> Permission:
    try:
        return Permission(text)
    except ValueError:
        raise invalid(field, f"is no scope; scopes are {', '.join(Permission)}") from None
