"""What a start, and the commands at an installation itself, do to its database.

Apart from the control process', so that the process that starts it does not import what only it needs.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import final

from bailiwick.bootstrap.ambient import entropy, now
from bailiwick.domain.audit import BOOTSTRAP, COMMAND_LINE
from bailiwick.domain.providers import EnvironmentProvider
from bailiwick.identity.keyring import ControlKeys, MasterKey
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.audit_trail import AuditTrail, Verified, Witnessed
from bailiwick.services.installation import FirstKeys, Installing
from bailiwick.services.link_issuer import LinkIssuer
from bailiwick.services.master_key import MasterKeyRotation
from bailiwick.services.provider_accounts import ProviderAccounts
from bailiwick.services.signing_keys import SigningKeys
from bailiwick.storage import installation
from bailiwick.storage.rotation import rotating
from bailiwick.storage.scope import Database, open_pool


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Introduced:
    """What a start found or made; `owner_link` is a secret, and made at the first start only."""

    public_url: str
    notes: list[str]
    owner_link: str | None


async def introduce(
    *,
    control_url: str,
    keys: ControlKeys,
    master_check: str,
    public_url: str | None,
    default_public_url: str,
    providers: Sequence[EnvironmentProvider],
    before_commit: Callable[[FirstKeys], None],
) -> Introduced:
    """Make the installation if there is none, and the environment's providers what they are now.

    Returns what holds then, and what the operator should be told. Raises `WrongMasterKey`, `Unavailable`,
    and `Refused` for a provider's key that cannot be one.
    """
    async with control_database(control_url, 1) as database:
        acts = Acts(now=now, entropy=entropy, audit_key=keys.audit)
        accounts = ProviderAccounts(database, acts, sealing=keys.sealing, guard=OutboundGuard())
        installing = Installing(database, acts, keys=keys, accounts=accounts)
        made = await installing.first_start(
            master_check=master_check,
            public_url=public_url,
            default_public_url=default_public_url,
            before_commit=before_commit,
        )
        sync = await installing.sync_environment_providers(providers)
        notes = [
            f"the environment's key for {name} is not used: the control plane has a provider of that name"
            for name in sync.kept
        ]
        public_url = await installing.public_url()
        await SigningKeys(database, acts, sealing=keys.sealing).look_after(BOOTSTRAP)
        link = None
        if made is not None:
            link = await LinkIssuer(database, acts, pepper=keys.sign_in_pepper).make_for_owner(BOOTSTRAP)
        return Introduced(
            public_url=public_url, notes=notes, owner_link=None if link is None else link.address(public_url)
        )


async def sign_in_link(*, control_url: str, keys: ControlKeys, email: str | None, resets_codes: bool) -> str:
    """Make a link for the person with this address, or without one for a new owner; returns where it leads.

    Raises `Refused` (404, 409), `Invalid`, `Unavailable`.
    """
    async with control_database(control_url, 1) as database:
        issuer = LinkIssuer(database, Acts(now=now, entropy=entropy, audit_key=keys.audit), pepper=keys.sign_in_pepper)
        if email is None:
            link = await issuer.make_for_owner(COMMAND_LINE)
        else:
            link = await issuer.make_for(COMMAND_LINE, email, resets_codes=resets_codes)
        async with database.reading(None) as scope:
            return link.address(found(await installation.find(scope)).public_url)


async def rotate_master_key(*, owner_url: str, old: MasterKey, new: MasterKey, passwords: Mapping[str, str]) -> None:
    """Make everything anew that follows from the master key, in one transaction; `passwords` are roles' new ones.

    Raises `CannotOpen` if `old` is another database's; `psycopg.Error`, and then nobody knows whether it was done.
    """
    acts = Acts(now=now, entropy=entropy, audit_key=new.audit())
    async with rotating(owner_url) as rotation:
        await MasterKeyRotation(rotation, acts, old=old, new=new).carry_out(passwords)


async def verify_audit(*, control_url: str, key: bytes, witnessed: Witnessed) -> list[Verified]:
    """Walk every chain of the audit log; raises `Unavailable`."""
    async with control_database(control_url, 1) as database:
        trail = AuditTrail(database, Acts(now=now, entropy=entropy, audit_key=key))
        return [verified async for verified in trail.verify(key, witnessed)]


@asynccontextmanager
async def control_database(control_url: str, connections: int) -> AsyncGenerator[Database]:
    """A pool of the control role's connections; it opens without a database too, and is closed on the way out."""
    pool = open_pool(control_url, name="control", size=connections)
    await pool.open(wait=False)
    try:
        yield Database(pool)
    finally:
        await pool.close(timeout=1.0)
