"""Signing in by an OpenID provider: the authorization code flow with PKCE (RFC 7636), state and nonce (RFC 9700 §2.1).

A browser is sent to the provider with a state, a nonce and the challenge of a verifier that are made for this sign-in
and kept, sealed, in a cookie of this browser alone: an answer that another browser got opens nothing here. Each
provider answers at an address of its own, and what it says is believed only for its own issuer, so none can pass for
another. A sign-in is finished once.

Who comes for the first time becomes what the provider's rules say; who came before is who they were, with the role that
the rules say now. Where no rule fits, or the provider has not verified an e-mail address, nobody comes in.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, final
from urllib.parse import urlencode, urlsplit
from uuid import UUID

import msgspec

from bailiwick.domain import ids
from bailiwick.domain.audit import changes
from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import Invalid, read_name
from bailiwick.domain.ids import OperatorId, SignInProviderId
from bailiwick.domain.operators import Person, PersonSpec, PersonStatus
from bailiwick.domain.sign_in import Browser, SignInMethod
from bailiwick.domain.sign_in_providers import SignInProvider, SignInRule, verified_email
from bailiwick.identity import id_tokens
from bailiwick.identity.id_tokens import Expected
from bailiwick.identity.jws import InvalidToken, UnknownKey
from bailiwick.identity.sealed_values import SealedValues
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.documents import person_document
from bailiwick.services.failed_sign_ins import Failures
from bailiwick.services.oidc_client import OidcClient
from bailiwick.services.outside_documents import ProviderTrouble
from bailiwick.services.owners import check_owner_remains
from bailiwick.services.sessions import Sessions, SignedIn
from bailiwick.services.sign_in_providers import SignInProviders
from bailiwick.storage.operators import OperatorRows
from bailiwick.storage.scope import Database, Scope
from bailiwick.storage.sign_in import PersonSecrets
from bailiwick.storage.sign_in_providers import add_identity, find_identity, finish_sign_in

CALLBACK: Final = "/dashboard/sign-in/callback/"
_FLOW: Final = "oidc"
_LIFETIME: Final = timedelta(minutes=10)
_BYTES: Final = 32


@final
class _Flow(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that has begun: what only this browser has of it."""

    provider: UUID
    state: str
    nonce: str
    verifier: str
    next: str
    at: datetime


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Departure:
    """Where a browser goes, and what it keeps until it comes back."""

    address: str
    kept: str


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Answer:
    """What a browser came back with; `kept` is what it was given to keep."""

    kept: str
    state: str
    code: str
    issuer: str | None
    error: str


@final
class ProviderSignIn:
    """Opens sessions for people whom an OpenID provider knows."""

    def __init__(
        self,
        database: Database,
        acts: Acts,
        *,
        providers: SignInProviders,
        client: OidcClient,
        sessions: Sessions,
        failures: Failures,
        sealed: SealedValues,
        public_url: str,
    ) -> None:
        """`public_url` is where providers send browsers back to."""
        self._database = database
        self._acts = acts
        self._providers = providers
        self._client = client
        self._sessions = sessions
        self._failures = failures
        self._sealed = sealed
        self._public_url = public_url.rstrip("/")

    async def begin(self, provider_id: SignInProviderId, next_: str) -> Departure:
        """Begin a sign-in; raises `Refused` (401, 404)."""
        provider, _ = await self._providers.usable(provider_id)
        try:
            endpoints = await self._client.endpoints(provider.spec.issuer)
        except ProviderTrouble as trouble:
            raise _trouble(provider, trouble) from None
        flow = _Flow(
            provider=provider_id,
            state=self._secret(),
            nonce=self._secret(),
            verifier=self._secret(),
            next=next_,
            at=self._acts.now(),
        )
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": provider.spec.client_id,
            "redirect_uri": self._redirect_uri(provider_id),
            "scope": " ".join(provider.spec.scopes),
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        separator = "&" if urlsplit(endpoints.authorization).query else "?"
        address = f"{endpoints.authorization}{separator}{urlencode(asked)}"
        return Departure(address=address, kept=self._sealed.seal(_FLOW, flow))

    async def finish(self, provider_id: SignInProviderId, answer: Answer, browser: Browser) -> tuple[SignedIn, str]:
        """Come back from the provider; returns the session and where to go on to. Raises `Refused` (401, 403, …)."""
        flow = self._sealed.open(_FLOW, answer.kept, _Flow)
        if flow is None or flow.provider != provider_id or self._acts.now() >= flow.at + _LIFETIME:
            raise _not_begun()
        if not hmac.compare_digest(flow.state.encode(), answer.state.encode()):
            raise _not_begun()
        provider, secret = await self._providers.usable(provider_id)
        try:
            claims = await self._claims(provider, secret, flow, answer)
        except (ProviderTrouble, InvalidToken) as trouble:
            async with self._database.operating() as scope:
                await self._failures.record(scope, browser, None, "", f"provider: {trouble}")
            raise _trouble(provider, trouble) from None
        return await self._admit(provider, flow, claims, browser), flow.next

    async def _claims(
        self, provider: SignInProvider, secret: str | None, flow: _Flow, answer: Answer
    ) -> Mapping[str, Any]:
        issuer = provider.spec.issuer
        endpoints = await self._client.endpoints(issuer)
        # Whose answer it is (RFC 9207 §2.4): one that names another issuer, or none though it should, is not believed.
        if answer.issuer != issuer and (answer.issuer is not None or endpoints.names_issuer):
            raise InvalidToken("the answer is another issuer's")
        if answer.error or not answer.code:
            raise ProviderTrouble("the provider did not let you in")
        token = await self._client.redeem(
            issuer,
            client_id=provider.spec.client_id,
            secret=secret,
            code=answer.code,
            verifier=flow.verifier,
            redirect_uri=self._redirect_uri(provider.id),
        )
        expected = Expected(issuer=issuer, client_id=provider.spec.client_id, nonce=flow.nonce, now=self._acts.now())
        try:
            return id_tokens.verify(token, await self._client.keys(issuer), expected)
        except UnknownKey:
            return id_tokens.verify(token, await self._client.keys(issuer, again=True), expected)

    async def _admit(
        self, provider: SignInProvider, flow: _Flow, claims: Mapping[str, Any], browser: Browser
    ) -> SignedIn:
        issuer, subject = provider.spec.issuer, claims["sub"]
        email = verified_email(claims)
        rule = None if email is None else provider.spec.rule_for(email, claims)
        known = await find_identity(self._database, issuer, subject)
        if email is None or rule is None or (known is not None and known.tenant_id != rule.tenant_id):
            await self._refuse(known, email, browser)
            raise Refused(Code.FORBIDDEN, "Nobody has given you access here. Ask an owner of the installation.")
        async with self._database.within(rule.tenant_id) as scope:
            done = hashlib.sha256(flow.state.encode()).digest()
            at = self._acts.now()
            if not await finish_sign_in(scope, done, at=at, expires_at=flow.at + _LIFETIME):
                raise _not_begun()
            if known is None:
                person = await self._add(scope, provider, rule, claims, browser)
            else:
                person = await self._meet(scope, provider, rule, known, browser)
            return await self._sessions.open(scope, person, SignInMethod.OIDC, browser)

    async def _add(
        self, scope: Scope, provider: SignInProvider, rule: SignInRule, claims: Mapping[str, Any], browser: Browser
    ) -> Person:
        """Make an operator of somebody who comes for the first time; raises `Refused` (409)."""
        email = found(verified_email(claims))
        by = ids.shown(ids.SIGN_IN_PROVIDER, provider.id)
        asked = Person(
            id=OperatorId(self._acts.new_id()),
            email=email,
            name=_name(claims, email),
            role=rule.role,
            tenant_id=rule.tenant_id,
            status=PersonStatus.INVITED,
            created_at=self._acts.now(),
            created_by=by,
        )
        rows = OperatorRows(scope, rule.tenant_id)
        if await rows.add(asked) is None:
            # The address is somebody's who signs in otherwise, and an address proves nothing.
            raise Refused(Code.CONFLICT, "Somebody has your e-mail address here already, and signs in another way.")
        await PersonSecrets(scope, asked).activate()
        person = found(await rows.find(asked.id))
        await add_identity(scope, person, provider.spec.issuer, claims["sub"], self._acts.now())
        detail = {"after": person_document(person), "provider": by}
        await self._record(scope, browser, person, "create", detail)
        return person

    async def _meet(
        self, scope: Scope, provider: SignInProvider, rule: SignInRule, known: Person, browser: Browser
    ) -> Person:
        """Know somebody again, in the role that the rules say now; raises `Refused` (403, 409)."""
        rows = OperatorRows(scope, rule.tenant_id)
        before = found(await rows.lock(known.id))
        if before.status is not PersonStatus.ACTIVE:
            raise Refused(Code.FORBIDDEN, "Nobody has given you access here. Ask an owner of the installation.")
        if before.role is rule.role:
            return before
        if not rule.role.includes(before.role):
            await check_owner_remains(scope, before.operator)
        after = found(await rows.change(before.id, PersonSpec(name=before.name, role=rule.role, status=before.status)))
        detail = {
            **changes(person_document(before), person_document(after)),
            "provider": ids.shown(ids.SIGN_IN_PROVIDER, provider.id),
        }
        await self._record(scope, browser, after, "change", detail)
        await self._sessions.end_all(scope, browser.actor(after.operator), after, but=None)
        return after

    async def _refuse(self, known: Person | None, email: str | None, browser: Browser) -> None:
        async with self._database.within(None if known is None else known.tenant_id) as scope:
            await self._failures.record(scope, browser, known, email or "", "rules")

    async def _record(
        self, scope: Scope, browser: Browser, person: Person, verb: str, detail: Mapping[str, object]
    ) -> None:
        target, actor = ids.shown(ids.OPERATOR, person.id), browser.actor(person.operator)
        await self._acts.record(scope, actor, f"operator.{verb}", target, tenant_id=person.tenant_id, detail=detail)

    def _redirect_uri(self, provider_id: SignInProviderId) -> str:
        return f"{self._public_url}{CALLBACK}{ids.shown(ids.SIGN_IN_PROVIDER, provider_id)}"

    def _secret(self) -> str:
        return base64.urlsafe_b64encode(self._acts.entropy(_BYTES)).rstrip(b"=").decode()


def _name(claims: Mapping[str, Any], email: str) -> str:
    """What the provider calls somebody, if people can read it; else their address."""
    name = claims.get("name")
    try:
        return read_name("name", name) if isinstance(name, str) else email
    except Invalid:
        return email


def _not_begun() -> Refused:
    message = "This sign-in was not begun in this browser, took too long, or is over. Sign in again."
    return Refused(Code.INVALID_CREDENTIALS, message)


def _trouble(provider: SignInProvider, trouble: Exception) -> Refused:
    message = f"Signing in by {provider.spec.name} did not work: {trouble}."
    return Refused(Code.INVALID_CREDENTIALS, message)
