"""Builds what lets people in: a part of the control plane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import final

from bailiwick.domain.sign_in import SessionLimits
from bailiwick.identity.keyring import ControlKeys
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.identity.passwords import Passwords
from bailiwick.identity.sealed_values import SealedValues
from bailiwick.providers.transport import Transport
from bailiwick.services.acts import Acts
from bailiwick.services.failed_sign_ins import Failures
from bailiwick.services.link_issuer import LinkIssuer
from bailiwick.services.oidc_client import OidcClient
from bailiwick.services.outside_documents import OutsideDocuments
from bailiwick.services.own_password import OwnPassword
from bailiwick.services.provider_sign_in import ProviderSignIn
from bailiwick.services.second_factor import SecondFactor
from bailiwick.services.sessions import Sessions
from bailiwick.services.sign_in import SignIn
from bailiwick.services.sign_in_links import SignInLinks
from bailiwick.services.sign_in_providers import SignInProviders
from bailiwick.storage.scope import Database


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PersonAccess:
    """How people come in, and what they change of that themselves."""

    sessions: Sessions
    sign_in: SignIn
    issuer: LinkIssuer
    links: SignInLinks
    password: OwnPassword
    second_factor: SecondFactor
    providers: SignInProviders
    provider_sign_in: ProviderSignIn


def person_access(
    database: Database,
    acts: Acts,
    keys: ControlKeys,
    passwords: Passwords,
    limits: SessionLimits,
    monotonic: Callable[[], float],
    *,
    transport: Transport,
    guard: OutboundGuard,
    public_url: str,
) -> PersonAccess:
    """Build it over the control role's connections; `monotonic` is in seconds."""
    pepper, sealing = keys.sign_in_pepper, keys.sign_in_sealing
    sealed = SealedValues(sealing, entropy=acts.entropy)
    sessions = Sessions(database, acts, pepper=pepper, limits=limits)
    own = OwnPassword(database, acts, sessions=sessions, passwords=passwords, monotonic=monotonic)
    second_factor = SecondFactor(
        database, acts, own=own, sealed=sealed, sealing=sealing, pepper=pepper, monotonic=monotonic
    )
    failures = Failures(acts)
    providers = SignInProviders(database, acts, sealing=sealing, guard=guard)
    return PersonAccess(
        sessions=sessions,
        sign_in=SignIn(
            database,
            acts,
            sessions=sessions,
            passwords=passwords,
            second_factor=second_factor,
            failures=failures,
            sealed=sealed,
            monotonic=monotonic,
        ),
        issuer=LinkIssuer(database, acts, pepper=pepper),
        links=SignInLinks(
            database,
            acts,
            sessions=sessions,
            passwords=passwords,
            second_factor=second_factor,
            failures=failures,
            pepper=pepper,
        ),
        password=own,
        second_factor=second_factor,
        providers=providers,
        provider_sign_in=ProviderSignIn(
            database,
            acts,
            providers=providers,
            client=OidcClient(OutsideDocuments(transport, guard), monotonic=monotonic),
            sessions=sessions,
            failures=failures,
            sealed=sealed,
            public_url=public_url,
        ),
    )
