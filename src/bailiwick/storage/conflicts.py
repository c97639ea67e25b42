"""What the database's unique constraints come to for whoever asked."""

from __future__ import annotations

from bailiwick.domain.errors import Code, Refused


def slug_taken() -> Refused:
    """Another tenant or project has this slug."""
    return Refused(Code.CONFLICT, "The slug is taken.", param="slug")


def provider_name_taken() -> Refused:
    """Another provider has this name in the same place."""
    return Refused(Code.CONFLICT, "A provider of this name exists already.", param="name")


def tier_name_taken() -> Refused:
    """Another tier of the project has this name."""
    return Refused(Code.CONFLICT, "A tier of this name exists already.", param="name")


def role_name_taken() -> Refused:
    """The tenant has a role of this name, or every tenant has."""
    return Refused(Code.CONFLICT, "A role of this name exists already.", param="name")


def role_held() -> Refused:
    """Whoever has the role would have none."""
    return Refused(Code.CONFLICT, "Members have this role: give them another one first.")


def member_taken() -> Refused:
    """The tenant has this member already."""
    return Refused(Code.CONFLICT, "There is a member of this issuer and subject already.", param="subject")


def mcp_server_name_taken() -> Refused:
    """Another tool server of the project has this name."""
    return Refused(Code.CONFLICT, "A tool server of this name exists already.", param="name")


def agent_name_taken() -> Refused:
    """Another agent of the project has this name."""
    return Refused(Code.CONFLICT, "An agent of this name exists already.", param="name")


def email_taken() -> Refused:
    """Another person has this address."""
    return Refused(Code.CONFLICT, "Somebody has this e-mail address already.", param="email")


def issuer_taken() -> Refused:
    """The place trusts this issuer already."""
    return Refused(Code.CONFLICT, "This issuer is registered already.", param="issuer")


def user_prefix_taken() -> Refused:
    """Two people of one name would be one."""
    message = "Another issuer has this user_prefix, or none as well: give each its own, so that no two users meet."
    return Refused(Code.CONFLICT, message, param="user_prefix")
