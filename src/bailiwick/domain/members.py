"""Members: who belongs to a tenant, with which role and scopes; pure.

    {"issuer": "https://login.example.com/", "subject": "auth0|abc", "role": "member", "scopes": ["chat:create"]}

Somebody is an issuer and a subject, compared byte for byte: the same subject of another issuer is another person. May
be a member of several tenants, of each with a role of its own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.fields import Findings
from bailiwick.domain.identifiers import identifier_field
from bailiwick.domain.ids import MemberId, ProjectId, TenantId
from bailiwick.domain.permissions import Permission
from bailiwick.domain.roles import read_scopes

_ISSUER: Final = re.compile(r"[!-~]{1,500}")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpec:
    """What can be asked of a member.

    `scopes` None: all that the role lets. `tier` is the one that their calls run under, None for that of their token.
    """

    issuer: str
    subject: str
    role: str
    scopes: frozenset[Permission] | None
    tier: str | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member as it is."""

    id: MemberId
    tenant_id: TenantId
    spec: MemberSpec
    created_at: datetime
    created_by: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A member's place in a tenant, as calls need it.

    `names` are those of the tenant: its id as shown outside, and its slug. `project_id` is the project that is entered,
    None if the tenant has no such one.
    """

    tenant_id: TenantId
    names: frozenset[str]
    project_id: ProjectId | None
    role: str
    scopes: frozenset[Permission] | None
    tier: str | None

    def is_among(self, organizations: Sequence[str]) -> bool:
        """Whether its tenant is one of these."""
        return not self.names.isdisjoint(organizations)


def member_spec(
    *, issuer: str, subject: str, role: str, scopes: Sequence[str] | None = None, tier: str | None = None
) -> MemberSpec:
    """Check what is asked of a member; raises `Invalid`. Whether there is such a role, its tenant says."""
    findings = Findings()
    if _ISSUER.fullmatch(issuer) is None:
        findings.add("issuer", "must be 1 to 500 characters of visible ASCII, as `iss` in their tokens")
    spec = MemberSpec(
        issuer=issuer,
        subject=findings.take(lambda: identifier_field("subject", subject), ""),
        role=role,
        scopes=findings.take(lambda: None if scopes is None else read_scopes("scopes", scopes), None),
        tier=findings.take(lambda: None if tier is None else identifier_field("tier", tier), None),
    )
    findings.or_raise()
    return spec
