"""Trusted issuers: of a project, and of the platform. Each change is audited in its own transaction.

An issuer is registered whether or not it answers just now: what it publishes is asked for with the first token, and by
the test of a token. What it says of where its keys are is judged again at every connection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import INSTALLATION, Actor, changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Findings, invalid
from bailiwick.domain.ids import IssuerId
from bailiwick.domain.issuers import MAX_ISSUERS, Issuer, IssuerSpec
from bailiwick.domain.paging import Page, PageRequest
from bailiwick.domain.providers import Place
from bailiwick.domain.versions import WHATEVER, Expected
from bailiwick.identity.jws import InvalidKeys, PublicKeys
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import issuer_document
from bailiwick.services.places import check_place, reading
from bailiwick.storage import issuers as storage
from bailiwick.storage.issuers import IssuerRows
from bailiwick.storage.projects import ProjectRows
from bailiwick.storage.scope import Database, Scope

Reserved = Sequence[str]


@final
class Issuers:
    """The issuers that are trusted."""

    def __init__(self, database: Database, acts: Acts, *, guard: OutboundGuard, public_url: str) -> None:
        """`guard` judges where keys are asked for; `public_url` is the issuer of this installation's own tokens."""
        self._database = database
        self._acts = acts
        self._guard = guard
        self._public_url = public_url

    async def list(self, actor: Actor, place: Place, page: PageRequest, *, is_there: bool = False) -> Page[Issuer]:
        """A page of the issuers of one place; raises `Refused` (404) unless whoever asks knows that it is there."""
        async with reading(self._database, self._acts, actor, place, "issuer.list", INSTALLATION) as scope:
            if not is_there:
                await check_place(scope, place)
            return await IssuerRows(scope, place).list(page)

    async def find(self, actor: Actor, place: Place, issuer_id: IssuerId) -> Issuer:
        """One issuer; raises `Refused` (404)."""
        target = ids.shown(ids.ISSUER, issuer_id)
        async with reading(self._database, self._acts, actor, place, "issuer.read", target) as scope:
            return found(await IssuerRows(scope, place).find(issuer_id))

    async def create(self, actor: Actor, place: Place, ask: Callable[[Reserved], IssuerSpec]) -> Issuer:
        """Trust an issuer; `ask` says which, given those that cannot be registered. Raises `Refused` (404, 409)."""
        spec = ask([self._public_url, *(() if place.tenant_id is None else await self._platforms())])
        self._check(spec)
        async with self._database.within(place.tenant_id) as scope:
            if place.tenant_id is not None and place.project_id is not None:
                # Who counts holds the project, so that two at once count one another.
                found(await ProjectRows(scope, place.tenant_id).lock(place.project_id))
            rows = IssuerRows(scope, place)
            if await rows.count() >= MAX_ISSUERS:
                raise Refused(Code.CONFLICT, f"There are {MAX_ISSUERS} issuers already, and not more than that.")
            issuer_id = IssuerId(self._acts.new_id())
            issuer = await rows.add(issuer_id, spec, created_at=self._acts.now(), created_by=actor.name)
            await self._record(scope, actor, "create", issuer, {"after": issuer_document(issuer)})
            return issuer

    async def change(
        self,
        actor: Actor,
        place: Place,
        issuer_id: IssuerId,
        change: Callable[[Issuer], IssuerSpec],
        *,
        expected: Expected = WHATEVER,
    ) -> Issuer:
        """Make an issuer what `change` says of it; raises `Refused` (404, 409, 412) and `Invalid`."""
        async with self._database.within(place.tenant_id) as scope:
            rows = IssuerRows(scope, place)
            before = found(await rows.lock(issuer_id))
            expected.check(issuer_document(before))
            spec = change(before)
            if spec.issuer != before.spec.issuer:
                raise invalid("issuer", "cannot be changed: whoever came by it would be somebody else's")
            self._check(spec)
            after = found(await rows.change(issuer_id, spec))
            detail = changes(issuer_document(before), issuer_document(after))
            await self._record(scope, actor, "change", after, detail)
            return after

    async def remove(self, actor: Actor, place: Place, issuer_id: IssuerId, *, expected: Expected = WHATEVER) -> None:
        """Trust an issuer no more: its tokens are refused within a second. Raises `Refused` (404, 412)."""
        async with self._database.within(place.tenant_id) as scope:
            rows = IssuerRows(scope, place)
            before = found(await rows.lock(issuer_id))
            expected.check(issuer_document(before))
            await rows.remove(issuer_id)
            await self._record(scope, actor, "remove", before, {"before": issuer_document(before)})

    async def _platforms(self) -> Reserved:
        async with self._database.operating() as scope:
            return [issuer.spec.issuer for issuer in await storage.platform(scope)]

    def _check(self, spec: IssuerSpec) -> None:
        findings = Findings()
        if spec.jwks is not None:
            with findings.noted():
                _check_given(spec)
        else:
            for field, url in (("issuer", spec.issuer), ("jwks_url", spec.jwks_url)):
                with findings.noted():
                    self._check_url(field, url)
        findings.or_raise()

    def _check_url(self, field: str, url: str | None) -> None:
        # The name of an issuer whose keys are elsewhere need not be a URL.
        if url is None or "://" not in url:
            return
        try:
            self._guard.check_url(url)
        except OutboundRefused as refused:
            raise invalid(field, f"is refused: {refused.reason}") from None

    async def _record(self, scope: Scope, actor: Actor, verb: str, issuer: Issuer, detail: dict[str, object]) -> None:
        target, tenant_id = ids.shown(ids.ISSUER, issuer.id), issuer.place.tenant_id
        await self._acts.record(scope, actor, f"issuer.{verb}", target, tenant_id=tenant_id, detail=detail)


def _check_given(spec: IssuerSpec) -> None:
    """Refuse given keys of which none verifies anything, or nothing by the algorithms that are named."""
    try:
        keys = PublicKeys.parse(spec.jwks)
    except InvalidKeys as wrong:
        raise invalid("jwks", f"cannot be used: {wrong}") from None
    if not any(keys.has(algorithm) for algorithm in spec.algorithms):
        raise invalid("algorithms", "must name one that a key in jwks is for")
