"""Makes links that are good once: for the installation's first owner, for who was invited, for a password that is lost.

A link's secret is 256 random bits, of which there is an HMAC. A new link to the same person takes the place of the one
before.
"""

from __future__ import annotations

import base64
import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.administration import authorize_touch
from bailiwick.domain.audit import INSTALLATION, Actor
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.ids import OperatorId, TenantId
from bailiwick.domain.operators import Person, PersonStatus, read_email
from bailiwick.domain.times import written
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.storage.operators import OperatorRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in import NewLink, SignInLookup, add_link

LIFETIME: Final = timedelta(hours=24)
_TOKEN_BYTES: Final = 32
_PATH: Final = "/dashboard/sign-in/link/"


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class SignInLink:
    """A link that was just made, shown this once."""

    token: str
    expires_at: datetime

    def address(self, public_url: str) -> str:
        """Where it leads."""
        return f"{public_url.rstrip('/')}{_PATH}{self.token}"


def link_digest(pepper: bytes, token: str) -> bytes:
    """What is stored of a link: 32 bytes."""
    return hmac.digest(pepper, b"link/1" + token.encode(), "sha256")


@final
class LinkIssuer:
    """Makes links."""

    def __init__(self, database: Database, acts: Acts, *, pepper: bytes) -> None:
        """`pepper` makes of a link what is stored."""
        self._database = database
        self._acts = acts
        self._pepper = pepper

    async def make_for_owner(self, actor: Actor) -> SignInLink:
        """Make a link that makes an owner of the installation."""
        async with self._database.operating() as scope:
            return await self._make(scope, actor, None, resets_codes=False)

    async def make_for(self, actor: Actor, email: str, *, resets_codes: bool) -> SignInLink:
        """Make a link for whoever has this address; raises `Refused` (404, 409).

        With `resets_codes` it takes their second factor away, for a person who has lost it.
        """
        known = found(await SignInLookup(self._database).find_person(read_email("email", email)))
        return await self._make_for(actor, known.person.tenant_id, known.person.id, resets_codes=resets_codes)

    async def make_for_operator(self, actor: Actor, operator_id: OperatorId, *, resets_codes: bool) -> SignInLink:
        """Make a link for a person whom the actor reaches; raises `Refused` (403, 404, 409)."""
        return await self._make_for(actor, actor.authority.tenant_id, operator_id, resets_codes=resets_codes)

    async def _make_for(
        self, actor: Actor, reach: TenantId | None, operator_id: OperatorId, *, resets_codes: bool
    ) -> SignInLink:
        async with self._database.within(reach) as scope:
            person = found(await OperatorRows(scope, reach).lock(operator_id))
            if actor.operator is not None:
                authorize_touch(actor.operator, person.role).or_raise()
            if person.status is PersonStatus.SUSPENDED:
                raise Refused(Code.CONFLICT, "This person is suspended. Make them active first.")
            return await self._make(scope, actor, person, resets_codes=resets_codes)

    async def _make(self, scope: Scope, actor: Actor, person: Person | None, *, resets_codes: bool) -> SignInLink:
        now = self._acts.now()
        token = base64.urlsafe_b64encode(self._acts.entropy(_TOKEN_BYTES)).rstrip(b"=").decode()
        link = NewLink(
            digest=link_digest(self._pepper, token),
            person=person,
            resets_codes=resets_codes,
            created_at=now,
            created_by=actor.name,
            expires_at=now + LIFETIME,
        )
        await add_link(scope, link)
        target = INSTALLATION if person is None else ids.shown(ids.OPERATOR, person.id)
        tenant_id = None if person is None else person.tenant_id
        detail = {"after": {"resets_codes": resets_codes, "expires_at": written(link.expires_at)}}
        await self._acts.record(scope, actor, "sign_in_link.create", target, tenant_id=tenant_id, detail=detail)
        return SignInLink(token=token, expires_at=link.expires_at)
