"""Builds what recognizes credentials in a gateway, and what mints them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from bailiwick.bootstrap.ambient import new_id, now
from bailiwick.identity.keyring import GatewayKeys
from bailiwick.services.authentication import KEYS_KEPT, Authentication
from bailiwick.services.minting import Minting
from bailiwick.services.remembered import Remembered
from bailiwick.services.signing import Signing
from bailiwick.services.taken_away import TakenAwayKeeper
from bailiwick.services.user_tokens import UserTokens
from bailiwick.storage.credentials import CredentialLookup
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.scope import Database
from bailiwick.storage.signing_keys import SigningKeyLookup
from bailiwick.storage.taken_away import TakenAwayChanges


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialParts:
    """Who calls, and what signs tokens."""

    authentication: Authentication
    minting: Minting
    signing: Signing


def credential_parts(
    database: Database,
    epoch: Epoch,
    keys: GatewayKeys,
    *,
    sealing: Callable[[], Sequence[bytes]],
    public_url: str,
) -> CredentialParts:
    """Build it over a pool of the gateway's role; `public_url` is who issues tokens, and for whom."""
    on_file = Remembered(CredentialLookup(database).find_key, epoch, capacity=KEYS_KEPT)
    signing = Signing(SigningKeyLookup(database), epoch, sealing=sealing, now=now)
    tokens = UserTokens(on_file, signing, public_url=public_url, now=now)
    taken_away = TakenAwayKeeper(TakenAwayChanges(database), epoch)
    return CredentialParts(
        authentication=Authentication(on_file, tokens, taken_away, pepper=keys.pepper, now=now),
        minting=Minting(signing, public_url=public_url, now=now, new_id=new_id),
        signing=signing,
    )
