"""Builds what recognizes credentials in a gateway, and what mints them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, final

from bailiwick.bootstrap.ambient import new_id, now
from bailiwick.identity.keyring import GatewayKeys
from bailiwick.services.authentication import KEYS_KEPT, Authentication
from bailiwick.services.back_channel_logout import BackChannelLogout
from bailiwick.services.client_tokens import ClientTokens
from bailiwick.services.entering import Entering
from bailiwick.services.granting import Granting
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.services.issuer_tokens import IssuerTokens
from bailiwick.services.minting import Minting
from bailiwick.services.operator_tokens import OperatorTokens
from bailiwick.services.outside_documents import OutsideDocuments
from bailiwick.services.remembered import Remembered
from bailiwick.services.signing import Signing
from bailiwick.services.taken_away import TakenAwayKeeper
from bailiwick.services.tokens import Tokens
from bailiwick.services.trusted_issuers import TrustedIssuers
from bailiwick.services.user_tokens import UserTokens
from bailiwick.storage.credentials import CredentialLookup
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.memberships import MembershipLookup
from bailiwick.storage.scope import Database
from bailiwick.storage.signing_keys import SigningKeyLookup
from bailiwick.storage.taken_away import TakenAwayChanges

_PROJECTS_KEPT: Final = 20_000
_OPERATORS_KEPT: Final = 1_000
_MEMBERSHIPS_KEPT: Final = 50_000


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialParts:
    """Who calls, and what signs tokens."""

    authentication: Authentication
    minting: Minting
    granting: Granting
    client_tokens: ClientTokens
    logout: BackChannelLogout
    signing: Signing


def credential_parts(
    stack: AsyncExitStack,
    database: Database,
    epoch: Epoch,
    keys: GatewayKeys,
    documents: OutsideDocuments,
    *,
    sealing: Callable[[], Sequence[bytes]],
    public_url: str,
) -> CredentialParts:
    """Build it over a pool of the gateway's role; `public_url` is who issues tokens, and for whom.

    By `documents` issuers are asked for their keys.
    """
    lookup = CredentialLookup(database)
    on_file = Remembered(lookup.find_key, epoch, capacity=KEYS_KEPT)
    signing = Signing(SigningKeyLookup(database), epoch, sealing=sealing, now=now)
    issuer_keys = IssuerKeys(documents, monotonic=time.monotonic)
    stack.push_async_callback(issuer_keys.aclose)
    issuers = TrustedIssuers(lookup, epoch)
    projects = Remembered(lookup.find_project, epoch, capacity=_PROJECTS_KEPT)
    entering = Entering(Remembered(MembershipLookup(database).find, epoch, capacity=_MEMBERSHIPS_KEPT), projects)
    foreign = IssuerTokens(issuers, projects, entering, issuer_keys)
    ends = Remembered(lookup.find_operator_end, epoch, capacity=_OPERATORS_KEPT)
    operators = OperatorTokens(ends, projects, entering)
    own = UserTokens(on_file, operators, issuers, signing, public_url=public_url)
    tokens = Tokens(own, foreign, public_url=public_url)
    changes = TakenAwayChanges(database)
    taken_away = TakenAwayKeeper(changes, epoch)
    authentication = Authentication(on_file, tokens, taken_away, pepper=keys.pepper, now=now)
    return CredentialParts(
        authentication=authentication,
        minting=Minting(signing, public_url=public_url, now=now, new_id=new_id),
        granting=Granting(authentication, signing, public_url=public_url, now=now, new_id=new_id),
        client_tokens=ClientTokens(authentication, changes, now=now),
        logout=BackChannelLogout(issuers, issuer_keys, changes, now=now),
        signing=signing,
    )
