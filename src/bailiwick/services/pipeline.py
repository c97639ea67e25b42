"""One request, top to bottom: who asks, may they, does it take its place, what did it cost.

The order is a contract: credential, project and tenant, acting-as, permission, limits, ledger, provider, settlement.
The first refusal wins and nothing after it has been touched. A call refused by us costs the tenant nothing and reaches
no provider; a call that may have reached one has its open row before, and is settled exactly once after, whatever
happens in between. Nothing is held while the provider works: no lock, no connection, no transaction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from typing import Final, TypeVar, final

import msgspec

from bailiwick.domain.agent_calls import CalledAgent
from bailiwick.domain.errors import Code, ProviderFailed, Refused
from bailiwick.domain.form_data import FormRequest
from bailiwick.domain.json_body import LARGE
from bailiwick.domain.offered_tools import Offered
from bailiwick.domain.permissions import Permission
from bailiwick.domain.policy import Decision, authorize, authorize_agent, authorize_model, authorize_others
from bailiwick.domain.principal import Principal
from bailiwick.domain.requests import ModelRequest
from bailiwick.domain.tenancy import OnDisconnect
from bailiwick.domain.tool_requests import confined
from bailiwick.domain.usage import Outcome
from bailiwick.identity.keyring import pseudonym
from bailiwick.providers.provider import failure_of
from bailiwick.providers.transport_errors import TransportError
from bailiwick.services.acting import acting, called_agent
from bailiwick.services.admission import Admission
from bailiwick.services.attempts import Attempt, Attempts
from bailiwick.services.authentication import Authentication, Presented
from bailiwick.services.callers import Caller, Routed
from bailiwick.services.credential_errors import EndedCredential, Outsider
from bailiwick.services.doors import Door
from bailiwick.services.metering import Meter, Metering
from bailiwick.services.opening import Opening, Plan
from bailiwick.services.outcomes import cut_by, failed
from bailiwick.services.relay import relay_answer, relay_media, relay_stream
from bailiwick.services.reply import Reply
from bailiwick.services.serving import ProjectModels, Served, Serving
from bailiwick.services.writing import Writing
from bailiwick.storage.credentials import KeyOnFile
from bailiwick.telemetry.observer import Observation

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_PSEUDONYMS_KEPT: Final = 65_536
# By a name of its own, for every call: Python 3.11 takes 0.1 us to look up a member of an enumeration.
_DRAIN: Final = OnDisconnect.DRAIN

Result = TypeVar("Result")


@final
class Asked(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One call as it was asked for.

    `seen` takes what is learnt of it, `ip` is the address that limits count, `agent` the one that the head names.
    `headers` are lines that are meant for the provider, each with its end. `read_body` is told whose it
    is, and says whether it waited for it; `let_go` is told that the body is not needed any more.
    """

    seen: Observation
    caller: Caller
    ip: str
    content_type: bytes
    agent: str | None
    headers: bytes
    read_body: Callable[[Principal], Awaitable[tuple[bytes, bool]]]
    let_go: Callable[[], None]


@final
class _Opened(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A call that has its row, and what is to be tried."""

    attempt: Attempt
    meter: Meter
    usage_wanted: bool
    offered: Offered | None


@final
class Pipeline:
    """Decides and carries out the calls of the data plane."""

    def __init__(
        self,
        *,
        authentication: Authentication,
        serving: Serving,
        admission: Admission,
        metering: Metering,
        attempts: Attempts,
        pseudonym_key: bytes,
        aside: Executor,
    ) -> None:
        """`aside` is where large bodies are read and written, so that nobody else waits for them."""
        self._authentication = authentication
        self._serving = serving
        self._admission = admission
        self._opening = Opening(metering)
        self._executor = aside
        self._attempts = attempts
        self._pseudonym = lru_cache(maxsize=_PSEUDONYMS_KEPT)(partial(pseudonym, pseudonym_key))

    async def call(self, door: Door, asked: Asked, reply: Reply) -> None:
        """Carry out one call to a model; raises `Refused` while nothing of the answer was sent."""
        # An answer may go on for long: nothing here may keep in memory what was asked.
        await self._carry_out(door, await self._opened(door, asked, reply), reply, asked.let_go)

    async def _opened(self, door: Door, asked: Asked, reply: Reply) -> _Opened:
        """Decide on a call and open its row.

        The body is asked for only once the caller is known and may call.
        """
        principal = await self._let_in(asked.caller, door.permission, asked.seen)
        body, waited = await asked.read_body(principal)
        if waited:  # A body may be a minute on its way: what was taken away in the meantime is gone.
            principal = await self._let_in(asked.caller, door.permission, asked.seen)
        large = len(body) > LARGE
        if large:
            request = await self._aside(partial(door.read, body, asked.content_type, asked.agent))
        else:
            request = door.read(body, asked.content_type, asked.agent)
        plan = await self._plan(door, asked, principal, request, large=large)
        counted = door.billed and principal.grant.limits.on_tokens
        place = await self._admission.admit(
            principal,
            asked.ip,
            plan.tools.request.tokens() if counted else 0,
            len(plan.attempt.ask.body),
            recalled=asked.caller.recalled_as(principal),
        )
        try:
            again = partial(self._plan_again, door, asked, request, large=large)
            if place.waited:  # As above: it is decided on what holds now.
                plan = await again()
            else:
                plan = await self._first(plan)
            plan, meter = await self._opening.open(asked.seen, plan, place, again)
        except BaseException:
            await self._admission.give_back(place)
            raise
        attempt = plan.attempt
        reply.decision, reply.tools_removed = place.decision, plan.tools.removed
        reply.ask_again(partial(self._still_may, asked, door.permission, meter.opened_us))
        if asked.seen.for_provider:  # The call's span, which began when it was opened.
            headers = attempt.ask.headers + asked.seen.for_provider
            attempt = msgspec.structs.replace(attempt, ask=msgspec.structs.replace(attempt.ask, headers=headers))
        if plan.principal.grant.on_disconnect is _DRAIN:
            reply.hear_out()
        return _Opened(attempt=attempt, meter=meter, usage_wanted=request.usage_wanted, offered=plan.tools.offered)

    async def _let_in(self, caller: Caller, permission: Permission, seen: Observation) -> Principal:
        """The same as `authenticate`, in fewer steps for a caller who was let in before."""
        principal = await self._seen(self._authentication.recognize(caller), seen)
        recalled = caller.recalled_as(principal)
        if recalled is None or recalled.permission is not permission:
            authorize(principal, permission).or_raise()
            if recalled is not None:
                recalled.permission = permission
        return principal

    async def authenticate(self, presented: Presented, permission: Permission | None, seen: Observation) -> Principal:
        """Say who asks for something that goes to no model; raises `Refused` unless they may.

        Without a `permission` it is enough to be known, alive, and allowed to name the end user.
        """
        principal = await self._seen(self._authentication.authenticate(presented), seen)
        authorize(principal, permission).or_raise()
        return principal

    @staticmethod
    async def _seen(recognized: Awaitable[Principal], seen: Observation) -> Principal:
        """Note who asks; of who is refused, what is known of them."""
        try:
            principal = await recognized
        except EndedCredential as ended:
            seen.grant = ended.grant
            raise
        except Outsider as outsider:
            seen.outsider = outsider.crosser
            raise
        seen.grant, seen.principal = principal.grant, principal
        return principal

    async def _still_may(self, asked: Asked, permission: Permission, admitted_us: int) -> None:
        """Raise `Refused` if whoever was admitted may go on no more. What they came with may have run out since."""
        admitted = _EPOCH + timedelta(microseconds=admitted_us)
        presented = msgspec.structs.replace(asked.caller.presented, as_of=admitted)
        await self.authenticate(presented, permission, asked.seen)

    async def acting(self, principal: Principal, agent: str | None) -> Principal:
        """Whoever asks for what is no model, as the agent that the head names; raises `Refused` (403, 404)."""
        return await acting(self._serving, principal, agent)

    async def key_on_file(self, presented: Presented) -> KeyOnFile:
        """What is stored of the presented key; raises `Refused` (401), also for what is no key."""
        return await self._authentication.key_on_file(presented)

    async def project_of(self, presented: Presented) -> str:
        """The slug of the project that a credential belongs to; raises `Refused` (401) if it is none."""
        return (await self._authentication.authenticate(presented)).grant.project_slug

    async def models(self, presented: Presented, seen: Observation) -> list[str]:
        """The models that the caller may call, by name."""
        principal = await self.authenticate(presented, Permission.MODELS_LIST, seen)
        models = await self._serving.of(principal.grant.tenant_id, principal.grant.project_id)
        listed = models.listed() if authorize_agent(principal).allowed else ()
        agents = [
            (named.model_name, [served.route for served in models.resolve(named.model, self._serving.today())])
            for named in models.agents
            if authorize_agent(principal, *named.names).allowed
        ]
        return [
            name
            for name, routes in (*listed, *agents)
            if any(authorize_model(principal, *route.names).allowed for route in routes)
        ]

    async def _aside(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    async def _plan_again(self, door: Door, asked: Asked, request: ModelRequest | FormRequest, *, large: bool) -> Plan:
        """Decide on a call that has waited, on what holds now; raises `Refused`."""
        principal = await self._let_in(asked.caller, door.permission, asked.seen)
        return await self._first(await self._plan(door, asked, principal, request, large=large))

    async def _first(self, plan: Plan) -> Plan:
        """A plan whose first attempt may be made now; raises `Refused`."""
        if self._attempts.circuits.let_through(plan.attempt.served.circuit):
            return plan
        return msgspec.structs.replace(plan, attempt=await self._attempts.instead_of(plan.attempt))

    async def _plan(
        self, door: Door, asked: Asked, principal: Principal, request: ModelRequest | FormRequest, *, large: bool
    ) -> Plan:
        """Find who may serve a request as agent and rules of tools have it, and write it for the first of them.

        Raises `Refused`.
        """
        named = request.model
        routed, agent, request = await self._routed(door, asked, principal, request, large=large)
        if agent is not None:
            principal = agent.called_by(principal)
        grant = principal.grant
        if large:
            tools = await self._aside(partial(confined, request, grant.tools, grant.max_output_tokens))
        else:
            tools = confined(request, grant.tools, grant.max_output_tokens)
        served, *later = routed.served
        usual = grant.usual_output_tokens if door.billed and grant.budgets is not None else None
        write = Writing(door, tools.request, routed.user, asked.headers, asked.seen, self._executor, large, usual)
        ask = await write(served, None) if large else write.ask(served, None)
        attempt = Attempt(served=served, ask=ask, later=tuple(later), write=write)
        return Plan(principal=principal, attempt=attempt, tools=tools, agent=agent, billed=door.billed, asked=named)

    async def _routed(
        self, door: Door, asked: Asked, principal: Principal, request: ModelRequest | FormRequest, *, large: bool
    ) -> tuple[Routed, CalledAgent | None, ModelRequest | FormRequest]:
        """Find who may serve a request, the agent that it calls, and the request as that makes it; raises `Refused`.

        Where a name leads is recalled with what was decided on the caller, unless an agent or the body has a say in it.
        """
        today = self._serving.today()
        recalled = asked.caller.recalled_as(principal) if asked.agent is None and request.others is None else None
        if recalled is not None and (routed := recalled.routes.get(request.model)) and routed.today == today:
            return routed, None, request
        agent = await called_agent(self._serving, principal, request, door.as_agent, asked.agent)
        if agent is not None and isinstance(request, ModelRequest) and door.as_agent is not None:
            asked.seen.agent, principal = agent.spec.name, agent.called_by(principal)
            apply = partial(agent.applied, request, door.as_agent)
            request = await self._aside(apply) if large else apply()
        grant = principal.grant
        models = await self._serving.of(grant.tenant_id, grant.project_id)
        user = None if principal.uid is None else self._pseudonym(grant.tenant_id, principal.uid)
        routed = Routed(today, self._served(models, principal, request, door, today), user)
        if recalled is not None and agent is None and self._serving.still_of(models, grant.tenant_id, grant.project_id):
            recalled.keep_route(request.model, routed)
        return routed, agent, request

    def _served(
        self,
        models: ProjectModels,
        principal: Principal,
        request: ModelRequest | FormRequest,
        door: Door,
        today: int,
    ) -> list[Served]:
        """Who may serve the call, in order, at least one: who has this door, by a model that the caller may use."""
        model = request.model
        found = models.resolve(model, today)
        if not found:
            message = f"The model {model!r} does not exist in this project."
            raise Refused(Code.MODEL_NOT_FOUND, message, param="model")
        allowed: list[Served] = []
        refused: Decision | None = None
        for target in found:
            if target.route.offer.kind not in door.kinds:
                continue
            decision = _authorized(principal, target, request.others)
            if decision.allowed:
                allowed.append(target)
            else:
                refused = refused or decision
        if not allowed:
            if refused is not None:
                refused.or_raise()
            message = f"The provider of the model {model!r} cannot be asked at /v1{door.path}."
            raise Refused(Code.MODEL_NOT_FOUND, message, param="model")
        # Our price is that of one model.
        return allowed if request.others is None else [replace(target, price=None) for target in allowed]

    async def _carry_out(self, door: Door, opened: _Opened, reply: Reply, let_go: Callable[[], None]) -> None:
        """Take an open call to its provider and back. Every way out of here settles it."""
        meter, usage_wanted, stream = opened.meter, opened.usage_wanted, opened.attempt.ask.stream
        form = door.answer
        if (guard := form.guard(opened.offered)) is not None:
            meter.blocked = guard.blocked
        try:
            served, exchange = await self._attempts.send(opened.attempt, meter, reply)
            del opened
            # A provider may answer what it does not read: then the request stays where it is counted.
            if exchange.sent:
                let_go()
            try:
                if stream:
                    broken = await relay_stream(
                        form, served.provider, exchange, meter, reply, guard, usage_wanted=usage_wanted
                    )
                elif door.media:
                    broken = await relay_media(form, served.provider, exchange, meter, reply)
                else:
                    broken = await relay_answer(form, served.provider, exchange, meter, reply, guard)
            except BaseException as error:
                exchange.abort()
                if isinstance(error, (ProviderFailed, TransportError)):
                    self._attempts.ended(served, exchange, error)
                raise
            self._attempts.ended(served, exchange, broken)
        except (ProviderFailed, TransportError) as error:
            await meter.settle(failed(failure_of(error)))
            if isinstance(error, ProviderFailed):
                raise
            raise failure_of(error) from error
        except asyncio.CancelledError:
            # What was generated is still to be paid for.
            meter.settle_behind(cut_by(reply))
            raise
        except BaseException:
            await meter.settle(Outcome.OUR_FAILURE)
            raise


def _authorized(principal: Principal, target: Served, others: str | None) -> Decision:
    decision = authorize_model(principal, *target.route.names)
    if not decision.allowed:
        return decision
    return authorize_others(principal, others, shared_account=target.route.offer.shared)
