"""OpenID providers by which operators sign in, and the rules that say who becomes what.

    {"email_domain": "acme.com", "role": "viewer", "tenant_id": "ten_…"}
    {"claim": "groups", "value": "platform-owners", "role": "owner"}

The first rule that fits says role and tenant; where none does, nobody comes in. Who somebody is, is the provider's
issuer and their subject there, and never their e-mail address: an address can be given to another.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, final

from bailiwick.domain.fields import Findings, Invalid, invalid, read_name
from bailiwick.domain.ids import SignInProviderId, TenantId
from bailiwick.domain.operators import OperatorRole, read_email

OPENID: Final = "openid"
DEFAULT_SCOPES: Final = (OPENID, "email", "profile")
MAX_RULES: Final = 100
_MAX_TEXT: Final = 500
_SCOPE: Final = re.compile(r"[!#-\[\]-~]{1,100}")  # RFC 6749 §3.3
_DOMAIN: Final = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9-]{2,63}")
_VISIBLE: Final = re.compile(r"[!-~]+")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SignInRule:
    """Who becomes what: by the domain of their e-mail address, or by a value of a claim; one of the two is None."""

    email_domain: str | None
    claim: str | None
    value: str | None
    role: OperatorRole
    tenant_id: TenantId | None

    def fits(self, email: str, claims: Mapping[str, Any]) -> bool:
        """Whether it is about somebody with this address (in lower case) and these claims."""
        if self.email_domain is not None:
            return email.rpartition("@")[2] == self.email_domain
        said = claims.get(self.claim or "")
        return self.value in said if isinstance(said, list) else said == self.value


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProviderSpec:
    """What can be asked of a provider; `issuer` is compared as it is written."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    rules: tuple[SignInRule, ...]

    def rule_for(self, email: str, claims: Mapping[str, Any]) -> SignInRule | None:
        """The first rule that fits."""
        return next((rule for rule in self.rules if rule.fits(email, claims)), None)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SignInProvider:
    """A provider as it is, without its secret."""

    id: SignInProviderId
    spec: SignInProviderSpec
    has_secret: bool
    created_at: datetime
    created_by: str


def sign_in_rule(
    field: str, *, email_domain: str | None, claim: str | None, value: str | None, role: OperatorRole,
    tenant_id: TenantId | None,
) -> SignInRule:  # fmt: skip
    """Check a rule; raises `Invalid`."""
    if (email_domain is None) == (claim is None) or (claim is None) != (value is None):
        raise invalid(field, "must have either email_domain, or claim and value")
    if email_domain is not None and _DOMAIN.fullmatch(email_domain.lower()) is None:
        raise invalid(f"{field}.email_domain", "must be a domain such as example.com")
    for name, text in (("claim", claim), ("value", value)):
        if text is not None and not 0 < len(text) <= _MAX_TEXT:
            raise invalid(f"{field}.{name}", f"must be 1 to {_MAX_TEXT} characters long")
    return SignInRule(
        email_domain=None if email_domain is None else email_domain.lower(),
        claim=claim,
        value=value,
        role=role,
        tenant_id=tenant_id,
    )


def sign_in_provider_spec(
    *, name: str, issuer: str, client_id: str, scopes: Sequence[str] | None, rules: Sequence[SignInRule]
) -> SignInProviderSpec:
    """Check what is asked of a provider; raises `Invalid`. Whether its address may be asked is judged elsewhere."""
    findings = Findings()
    asked = DEFAULT_SCOPES if scopes is None else tuple(dict.fromkeys(scopes))
    if OPENID not in asked or not all(map(_SCOPE.fullmatch, asked)):
        findings.add("scopes", "must be scopes, openid among them")
    if not 0 < len(client_id) <= _MAX_TEXT or _VISIBLE.fullmatch(client_id) is None:
        findings.add("client_id", "must be visible ASCII")
    if len(rules) > MAX_RULES:
        findings.add("rules", f"must be at most {MAX_RULES}")
    read = findings.take(lambda: read_name("name", name), "")
    findings.or_raise()
    return SignInProviderSpec(name=read, issuer=issuer, client_id=client_id, scopes=asked, rules=tuple(rules))


def verified_email(claims: Mapping[str, Any]) -> str | None:
    """The address that the provider has verified, in lower case; None if there is none."""
    email = claims.get("email")
    if claims.get("email_verified") is not True or not isinstance(email, str):
        return None
    try:
        return read_email("email", email)
    except Invalid:
        return None
