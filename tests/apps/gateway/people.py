"""People of a platform issuer, and the organizations that they are members of."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, final

import httpx2

from bailiwick.identity.signing_keys import SigningKey
from tests.serving import Caller, Site, error_of, until

AUDIENCE: Final = "https://api.example"
REFUSED: Final = (403, "not_a_member")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """An issuer that the whole platform trusts, and the key that it signs with."""

    site: Site
    key: SigningKey
    issuer: str

    def token(self, subject: str = "ada", **claims: Any) -> str:
        """A token of somebody's; a claim that is None is left out."""
        now = int(time.time())
        said = {"iss": self.issuer, "aud": AUDIENCE, "sub": subject, "iat": now, "exp": now + 600, **claims}
        return self.key.sign({name: value for name, value in said.items() if value is not None}, typ="JWT")

    def person(self, at: Caller, subject: str = "ada", **claims: Any) -> Caller:
        """Whoever holds such a token, and would be at home in the project `at`."""
        return replace(at, key=self.token(subject, **claims))


def platform(site: Site, key: SigningKey, **claims: Any) -> Platform:
    """Let the platform trust an issuer of this key, with this mapping of claims."""
    issuer = f"https://{os.urandom(6).hex()}.example"
    site.admin.make(
        "/issuers",
        {
            "issuer": issuer, "jwks": {"keys": [key.public_jwk()]}, "audiences": [AUDIENCE], "algorithms": ["ES256"],
            "user_prefix": f"{os.urandom(6).hex()}:", "claims": claims,
        },
    )  # fmt: skip
    return Platform(site=site, key=key, issuer=issuer)


def organization(site: Site, **fields: object) -> Caller:
    """A project, the only one of a new tenant."""
    return site.project(tenant_id=site.admin.tenant()["id"], **fields)


def tenant_of(caller: Caller) -> str:
    """The id of a project's tenant."""
    return str(caller.project["tenant_id"])


def enroll(caller: Caller, subject: str = "ada", *, role: str = "member", **fields: object) -> str:
    """Make somebody a member of a project's tenant; returns the address of the membership."""
    path = f"/tenants/{tenant_of(caller)}/members"
    return f"{path}/{caller.site.admin.make(path, {'subject': subject, 'role': role, **fields})['id']}"


def dismiss(site: Site, membership: str) -> None:
    """End a membership."""
    assert site.admin.request("DELETE", membership).status_code == 204


def me(person: Caller, headers: Mapping[str, str] | None = None, *, at: str = "") -> httpx2.Response:
    """Who the person is to us, at `/v1/me` below an address."""
    return person.ask("GET", f"{at}/v1/me", headers=headers or {})


def address(caller: Caller) -> str:
    """The project's own address."""
    return f"/p/{caller.project['slug']}"


def let_in(person: Caller, headers: Mapping[str, str] | None = None, *, at: str = "") -> dict[str, Any]:
    """Who the person is, once they are let in."""
    until(lambda: me(person, headers, at=at).status_code == 200)
    found: dict[str, Any] = me(person, headers, at=at).json()
    return found


def refused(answer: httpx2.Response) -> tuple[int, str] | None:
    """The status and the code of an answer that refuses; None for one that does not."""
    return None if answer.status_code == 200 else error_of(answer)
