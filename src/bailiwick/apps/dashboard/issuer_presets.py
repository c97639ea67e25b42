"""What issuers of known providers look like: what a form begins with, to be filled in with one's own names.

Capitals stand for what differs from one account to another. `docs/how-to/trust-an-identity-provider.md` says where each
is found, and its examples are tested with tokens of the provider's form.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, final


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A provider. `asked` is the body of an issuer, `hint` what is to be known of its tokens."""

    name: str
    label: str
    hint: str
    asked: Mapping[str, Any] = field(default_factory=dict)


PRESETS: Final = (
    Preset(
        name="auth0",
        label="Auth0",
        hint="The audience is the identifier of your API; without one Auth0 hands out tokens that nobody can verify."
        " Claims of your own have a URL as their name.",
        asked={
            "issuer": "https://TENANT.eu.auth0.com/",
            "audiences": ["https://API-IDENTIFIER"],
            "algorithms": ["RS256"],
            "claims": {"tier": {"claim": "https://YOUR-APP/plan", "default": "free"}},
        },
    ),
    Preset(
        name="clerk",
        label="Clerk",
        hint="Session tokens have no audience: name the origins of your application instead.",
        asked={
            "issuer": "https://clerk.YOUR-APP.com",
            "authorized_parties": ["https://YOUR-APP.com"],
            "algorithms": ["RS256"],
            "max_lifetime": 3600,
            "claims": {"session": "sid", "tier": {"claim": "pla", "default": "u:free"}, "role": "o.rol"},
        },
    ),
    Preset(
        name="supabase",
        label="Supabase",
        hint="Turn JWT signing keys on first: tokens of the legacy secret (HS256) are not taken, since whoever can"
        " verify one can make one. Take nothing from user_metadata, which users write themselves.",
        asked={
            "issuer": "https://PROJECT.supabase.co/auth/v1",
            "jwks_url": "https://PROJECT.supabase.co/auth/v1/.well-known/jwks.json",
            "audiences": ["authenticated"],
            "algorithms": ["RS256", "ES256"],
            "claims": {"session": "session_id", "tier": {"claim": "app_metadata.plan", "default": "free"}},
            "required": {"role": ["authenticated"], "is_anonymous": [False]},
        },
    ),
    Preset(
        name="firebase",
        label="Firebase",
        hint="With tenants of Identity Platform, the required claim keeps out those of any other tenant.",
        asked={
            "issuer": "https://securetoken.google.com/PROJECT",
            "audiences": ["PROJECT"],
            "algorithms": ["RS256"],
            "claims": {"tier": {"claim": "plan", "default": "free"}},
            "required": {"firebase.tenant": ["TENANT"]},
        },
    ),
    Preset(
        name="okta",
        label="Okta",
        hint="Of a custom authorization server: tokens of the org's own are for Okta alone. The user is uid, since sub"
        " is a sign-in name, which can become somebody else's.",
        asked={
            "issuer": "https://ORG.okta.com/oauth2/default",
            "audiences": ["api://default"],
            "algorithms": ["RS256"],
            "claims": {"user": "uid", "scopes": "scp"},
        },
    ),
    Preset(
        name="entra",
        label="Entra ID",
        hint="Tokens of version 2 (requestedAccessTokenVersion in the app's manifest). oid is the person in every"
        " application of your directory; scp is what tokens of applications alone do not have.",
        asked={
            "issuer": "https://login.microsoftonline.com/TENANT-ID/v2.0",
            "audiences": ["CLIENT-ID"],
            "algorithms": ["RS256"],
            "claims": {"user": "oid", "role": {"claim": "roles", "one_of": ["Admin", "User"]}},
            "required": {"tid": ["TENANT-ID"], "ver": ["2.0"], "scp": None},
        },
    ),
    Preset(
        name="keycloak",
        label="Keycloak",
        hint="Give the client an audience mapper: without one aud is “account”, which every client of the realm has.",
        asked={
            "issuer": "https://KEYCLOAK-HOST/realms/REALM",
            "audiences": ["YOUR-API"],
            "algorithms": ["RS256"],
            "claims": {"session": "sid", "role": {"claim": "realm_access.roles", "one_of": ["admin", "user"]}},
        },
    ),
)
