"""What operators send, and are shown, of a tenant's members."""

from __future__ import annotations

from pydantic import Field

from bailiwick.apps.admin.shown import CreatedBy, ItemShown
from bailiwick.apps.admin.wire import StrictBody, present
from bailiwick.domain.members import Member, MemberSpec, member_spec
from bailiwick.domain.merge_patch import Document


class MemberBody(StrictBody):
    """A member. Without an `issuer`, a user of tokens that are minted here with an operator key."""

    issuer: str | None = None
    subject: str
    role: str
    scopes: list[str] | None = None
    tier: str | None = None


class MemberShown(ItemShown):
    """Who may enter a tenant with a token of a platform issuer, or one that was minted with an operator key."""

    id: str
    tenant_id: str
    issuer: str
    subject: str
    role: str
    scopes: list[str] | None = Field(description="Null: all that the role lets.")
    tier: str | None = Field(description="Null: that of their token.")
    created_at: str
    created_by: CreatedBy


def member_body(member: Member) -> Document:
    """The body of a member as it is."""
    spec = member.spec
    return present(
        issuer=spec.issuer,
        subject=spec.subject,
        role=spec.role,
        scopes=None if spec.scopes is None else sorted(spec.scopes),
        tier=spec.tier,
    )


def member_asked(body: MemberBody, *, public_url: str) -> MemberSpec:
    """The member that a body asks for; raises `Invalid`. `public_url` is the issuer where none is said."""
    return member_spec(
        issuer=public_url if body.issuer is None else body.issuer,
        subject=body.subject,
        role=body.role,
        scopes=body.scopes,
        tier=body.tier,
    )
