"""Rotating the master key: everything that follows from it is made anew from another one, in one transaction.

What cannot be opened or does not hold with the key of before stays as it is: it is found out afterwards as it was
before, and stops nobody from replacing a key that somebody has seen. Nothing else is written by whoever must sign or
seal with these keys: see `storage/rotation.py`.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, final
from uuid import UUID

from bailiwick.domain.audit import COMMAND_LINE, INSTALLATION, changes
from bailiwick.domain.audit_chain import signed_head
from bailiwick.identity.keyring import MasterKey
from bailiwick.identity.sealing import (
    CannotOpen,
    mcp_server_row_identity,
    provider_row_identity,
    seal,
    second_factor_row_identity,
    sign_in_provider_row_identity,
    signing_key_row_identity,
    unseal,
    webhook_row_identity,
)
from bailiwick.services.acts import Acts
from bailiwick.storage.rotation import SEALED, Rotation
from bailiwick.storage.scope import Row

_NONCE: Final = 12


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _Sealing:
    """How values of one kind are sealed: by which key of a master key, and for which row."""

    key: Callable[[MasterKey], bytes]
    row: Callable[[Row], bytes]


_WEBHOOK: Final = _Sealing(key=MasterKey.sealing, row=lambda row: webhook_row_identity(row["tenant_id"], row["id"]))
_KINDS: Final[Mapping[str, _Sealing]] = {
    "provider_secrets": _Sealing(
        key=MasterKey.sealing,
        row=lambda row: provider_row_identity(row["tenant_id"], row["project_id"], row["id"]),
    ),
    "mcp_credentials": _Sealing(
        key=MasterKey.sealing,
        row=lambda row: mcp_server_row_identity(row["tenant_id"], row["project_id"], row["id"]),
    ),
    "webhook_secrets": _WEBHOOK,
    "old_webhook_secrets": _WEBHOOK,
    "second_factors": _Sealing(key=MasterKey.sign_in_sealing, row=lambda row: second_factor_row_identity(row["id"])),
    "client_secrets": _Sealing(key=MasterKey.sign_in_sealing, row=lambda row: sign_in_provider_row_identity(row["id"])),
    "signing_secrets": _Sealing(key=MasterKey.sealing, row=lambda row: signing_key_row_identity(row["id"])),
}


@final
class MasterKeyRotation:
    """Makes anew what follows from the master key `old`, from `new`."""

    def __init__(self, rotation: Rotation, acts: Acts, *, old: MasterKey, new: MasterKey) -> None:
        """`acts` signs with the new key."""
        self._rotation = rotation
        self._acts = acts
        self._old = old
        self._new = new

    async def carry_out(self, passwords: Mapping[str, str]) -> None:
        """Do all of it; `passwords` are those that roles get. Raises `CannotOpen` if `old` is another's key."""
        sealed = await self._rotation.lasting_secret()
        if sealed is None:
            raise CannotOpen
        lasting = self._old.open_lasting(sealed)
        await self._rotation.change_lasting_secret(
            self._new.seal_lasting(lasting, self._acts.entropy(_NONCE)), self._new.check_value()
        )
        for kind in SEALED:
            await self._seal_anew(kind)
        await self._sign_anew()
        fingerprints = ({"master_key": key.fingerprint()} for key in (self._old, self._new))
        await self._acts.record(
            self._rotation.scope,
            COMMAND_LINE,
            "installation.rotate_master_key",
            INSTALLATION,
            tenant_id=None,
            detail=changes(*fingerprints),
        )
        await self._rotation.set_passwords(passwords)

    async def _seal_anew(self, kind: str) -> None:
        sealing = _KINDS[kind]
        old, new = sealing.key(self._old), sealing.key(self._new)
        async for rows in self._rotation.sealed(kind):
            anew: dict[UUID, bytes] = {}
            for row in rows:
                identity = sealing.row(row)
                try:
                    secret = unseal(old, identity, bytes(row["sealed"]))
                except CannotOpen:
                    continue
                anew[row["id"]] = seal(new, identity, secret, self._acts.entropy(_NONCE))
            await self._rotation.change_sealed(kind, anew)

    async def _sign_anew(self) -> None:
        """Sign the same heads with the new key: what was wrong with a chain before is as wrong after."""
        old, new = self._old.audit(), self._new.audit()
        async for heads in self._rotation.heads():
            anew: dict[UUID, bytes] = {}
            for row, chain, head in heads:
                if hmac.compare_digest(signed_head(old, chain, head.seq, head.digest).signature, head.signature):
                    anew[row] = signed_head(new, chain, head.seq, head.digest).signature
            await self._rotation.change_signatures(anew)
