"""What people sign in with, in the database: passwords, codes, links.

What is found before anybody is known is found by one exact value. Everything else is read and written in the scope of
the person's tenant, or of the installation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, final

from bailiwick.domain.ids import TenantId
from bailiwick.domain.operators import Person
from bailiwick.storage.operators import person_of
from bailiwick.storage.scope import Database, Row, Scope
from bailiwick.storage.sql import load

_SQL: Final = load("sign_in")


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class PersonOnFile:
    """A person, and what they are known by."""

    person: Person
    password_hash: str | None
    has_codes: bool


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOnFile:
    """A link, and whom it signs in: nobody yet, if it makes the first owner."""

    found: PersonOnFile | None
    resets_codes: bool
    expires_at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Secrets:
    """By what a person is known; `totp_secret` is sealed."""

    password_hash: str | None
    totp_secret: bytes | None
    totp_counter: int
    recovery_digests: tuple[bytes, ...]


_NO_SECRETS: Final = Secrets(password_hash=None, totp_secret=None, totp_counter=0, recovery_digests=())


@final
class SignInLookup:
    """Finds who signs in, as the control process's role."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_person(self, email: str) -> PersonOnFile | None:
        """Who has this address, in lower case; whatever their state. Raises `Unavailable`."""
        async with self._database.reading(None) as scope:
            row = await scope.fetch_one(_SQL["look_up_sign_in"], {"email": email})
        return None if row is None else _on_file(row)

    async def find_link(self, digest: bytes) -> LinkOnFile | None:
        """What a link is good for, expired or not. Raises `Unavailable`."""
        async with self._database.reading(None) as scope:
            row = await scope.fetch_one(_SQL["look_up_sign_in_link"], {"digest": digest})
        if row is None:
            return None
        found = None if row["id"] is None else _on_file(row)
        return LinkOnFile(found=found, resets_codes=row["resets_codes"], expires_at=row["expires_at"])


@final
class PersonSecrets:
    """What one person signs in with, in a scope that reaches them."""

    def __init__(self, scope: Scope, person: Person) -> None:
        self._scope = scope
        self._whose: dict[str, object] = {"operator": person.id, "tenant": person.tenant_id}

    async def activate(self) -> bool:
        """Let an invited person sign in; returns whether they had been invited."""
        return await self._do("activate_person")

    async def find(self) -> Secrets:
        """By what the person is known."""
        row = await self._scope.fetch_one(_SQL["find_secrets"], self._whose)
        if row is None:
            return _NO_SECRETS
        return Secrets(
            password_hash=row["password_hash"],
            totp_secret=None if row["totp_secret"] is None else bytes(row["totp_secret"]),
            totp_counter=row["totp_counter"],
            recovery_digests=tuple(bytes(digest) for digest in row["recovery_digests"]),
        )

    async def set_password(self, password_hash: str) -> None:
        """Give the person a password."""
        await self._do("set_password", hash=password_hash)

    async def set_codes(self, *, secret: bytes | None, counter: int, digests: Sequence[bytes]) -> None:
        """Give the person, who has a password, a second factor; or take it away with no `secret`."""
        await self._do("set_codes", secret=secret, counter=counter, digests=list(digests))

    async def use_code(self, counter: int) -> bool:
        """Take a code; returns False if it, or a later one, was used."""
        return await self._do("use_code", counter=counter)

    async def use_recovery_code(self, digest: bytes) -> bool:
        """Take a recovery code; returns False if it was used or is none."""
        return await self._do("use_recovery_code", digest=digest)

    async def _do(self, name: str, **values: object) -> bool:
        return await self._scope.execute(_SQL[name], {**self._whose, **values}) > 0


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class NewLink:
    """A link that is to be made: for `person`, or for whoever becomes the first owner."""

    digest: bytes
    person: Person | None
    resets_codes: bool
    created_at: datetime
    created_by: str
    expires_at: datetime


async def add_link(scope: Scope, link: NewLink) -> None:
    """Add a link, in place of any before it that leads to the same person, or makes an owner."""
    whose: dict[str, object] = {
        "operator": None if link.person is None else link.person.id,
        "tenant": None if link.person is None else link.person.tenant_id,
    }
    await scope.execute(_SQL["remove_links"], whose)
    await scope.execute(
        _SQL["add_link"],
        {
            **whose,
            "digest": link.digest,
            "resets_codes": link.resets_codes,
            "at": link.created_at,
            "by": link.created_by,
            "expires_at": link.expires_at,
        },
    )


async def use_link(scope: Scope, tenant_id: TenantId | None, digest: bytes, at: datetime) -> bool:
    """Take a link; returns False if it was used or has expired."""
    return await scope.execute(_SQL["use_link"], {"digest": digest, "tenant": tenant_id, "at": at}) > 0


def _on_file(row: Row) -> PersonOnFile:
    return PersonOnFile(person=person_of(row), password_hash=row["password_hash"], has_codes=row["has_codes"])
