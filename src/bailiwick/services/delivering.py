"""Delivers what is in the outbox of webhooks: each event at least once, or until it is given up.

Several processes may deliver at once, at each webhook one of them. Each attempt is signed anew and has its own time;
the event's id stays. A slow receiver holds nothing but its own webhook's turn, and one of the places of this process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Final, final

from bailiwick.domain import ids
from bailiwick.domain.audit import UPKEEP
from bailiwick.domain.errors import Unavailable
from bailiwick.domain.webhooks import GONE, DeliveryStatus, Outcome, next_attempt
from bailiwick.identity.outbound import OutboundGuard, OutboundRefused
from bailiwick.identity.sealing import CannotOpen, unseal, webhook_row_identity
from bailiwick.identity.webhook_signing import signature
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Transport, TransportError
from bailiwick.services.acts import Acts
from bailiwick.services.outside_requests import origin_of, request_bytes
from bailiwick.storage import outbox
from bailiwick.storage.outbox import Claimed
from bailiwick.storage.scope import Database, Scope

ANSWER_SECONDS: Final = 15.0
# Longer than an attempt with all that is written of it: what a process that died had in its hands waits so long.
LEASE: Final = timedelta(seconds=60)
_PLACES: Final = 64
_LOOK_SECONDS: Final = 1.0
_KEPT: Final = timedelta(days=30)
_FORGOTTEN_AT_ONCE: Final = 1_000
_CHANCES: Final = 0xFFFF

Post = Callable[[str, Mapping[str, str], bytes], Awaitable[Outcome]]


@final
class Poster:
    """Sends an event to a webhook's address."""

    def __init__(self, transport: Transport, guard: OutboundGuard, *, seconds: float = ANSWER_SECONDS) -> None:
        """An answer is waited for `seconds` altogether; `guard` judges addresses, those of `transport` too."""
        self._transport = transport
        self._guard = guard
        self._seconds = seconds

    async def __call__(self, url: str, headers: Mapping[str, str], body: bytes) -> Outcome:
        """Post once. Of the answer the status counts, and nothing else is read of it; a redirect is a failure."""
        timeouts = Timeouts().within(self._seconds)
        try:
            self._guard.check_url(url)
            async with asyncio.timeout(self._seconds):
                response = await self._transport.send(
                    origin_of(url), request_bytes("POST", url, headers, body), timeouts=timeouts
                )
        except OutboundRefused as refused:
            return Outcome(error=f"the address is refused: {refused.reason}")
        except TimeoutError:
            return Outcome(error="there was no answer in time")
        except TransportError as error:
            cause = error.__cause__
            return Outcome(error=f"{error}: {cause.reason}" if isinstance(cause, OutboundRefused) else str(error))
        response.abort()
        return Outcome(status=response.status)


@final
class Delivering:
    """Runs until it is cancelled."""

    def __init__(
        self, database: Database, acts: Acts, post: Post, *, sealing: bytes, report: Callable[[BaseException], None]
    ) -> None:
        """`sealing` opens what signs; `report` is told of what nobody expected."""
        self._database = database
        self._acts = acts
        self._post = post
        self._sealing = sealing
        self._report = report
        self._under_way: set[asyncio.Task[None]] = set()
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Deliver whatever is due, again and again."""
        try:
            while True:
                self._news.clear()
                if not await self.start():
                    with suppress(TimeoutError):
                        await asyncio.wait_for(self._news.wait(), _LOOK_SECONDS)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def start(self) -> bool:
        """Begin to deliver what is due, as far as there are places; returns whether anything was begun."""
        places = _PLACES - len(self._under_way)
        claimed = await self._claim(places) if places else []
        for one in claimed:
            task = asyncio.create_task(self._deliver(one))
            self._under_way.add(task)
            task.add_done_callback(self._done)
        return bool(claimed)

    async def finished(self) -> None:
        """Wait until nothing is under way."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    async def _claim(self, most: int) -> list[Claimed]:
        now = self._acts.now()
        try:
            async with self._database.operating() as scope:
                return await outbox.claim(scope, now, now + LEASE, most)
        except Unavailable:
            return []  # Whatever is due waits for the database, as everybody does.
        except Exception as error:  # noqa: BLE001 - one look's trouble is not the end of all deliveries
            self._report(error)
            return []

    def _done(self, task: asyncio.Task[None]) -> None:
        self._under_way.discard(task)
        self._news.set()

    async def _deliver(self, claimed: Claimed) -> None:
        """One attempt. What cannot be written down of it is tried again when the lease is over."""
        try:
            outcome = await self._attempt(claimed)
            async with self._database.operating() as scope:
                await self._finish(scope, claimed, outcome)
        except Unavailable:
            pass
        except Exception as error:  # noqa: BLE001 - one event's trouble is not the end of all deliveries
            self._report(error)

    async def _attempt(self, claimed: Claimed) -> Outcome:
        now = self._acts.now()
        row = webhook_row_identity(claimed.tenant_id, claimed.webhook_id)
        sealed = [claimed.secret]
        if claimed.old_secret is not None and claimed.old_secret_until is not None and claimed.old_secret_until > now:
            sealed.append(claimed.old_secret)
        try:
            secrets = [unseal(self._sealing, row, one) for one in sealed]
        except CannotOpen:
            return Outcome(error="the signing secret cannot be opened: rotate it")
        event, timestamp, body = ids.shown(ids.EVENT, claimed.event_id), int(now.timestamp()), claimed.body.encode()
        headers = {
            "content-type": "application/json",
            "user-agent": "Bailiwick-Webhooks/1",
            "webhook-id": event,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secrets, event, timestamp, body),
        }
        return await self._post(claimed.url, headers, body)

    async def _finish(self, scope: Scope, claimed: Claimed, outcome: Outcome) -> None:
        now = self._acts.now()
        again = None
        if not outcome.delivered and outcome.status != GONE:
            chance = int.from_bytes(self._acts.entropy(2), "big") / _CHANCES
            again = next_attempt(claimed.attempts + 1, now, chance)
        status = DeliveryStatus.PENDING if again is not None else DeliveryStatus.FAILED
        if outcome.delivered:
            status = DeliveryStatus.DELIVERED
        webhook_id = claimed.webhook_id
        if await outbox.finish(scope, claimed, status, outcome, now=now, next_attempt_at=again):
            if status is DeliveryStatus.DELIVERED:
                await outbox.note_delivered(scope, webhook_id)
            elif outcome.status == GONE:
                if await outbox.pause(scope, webhook_id):
                    await self._record(scope, "pause", claimed, outcome)
            elif status is DeliveryStatus.FAILED and await outbox.note_failing(scope, webhook_id, now):
                await self._record(scope, "fail", claimed, outcome)
        await outbox.release(scope, webhook_id, claimed.leased_until)

    async def _record(self, scope: Scope, verb: str, claimed: Claimed, outcome: Outcome) -> None:
        target = ids.shown(ids.WEBHOOK, claimed.webhook_id)
        detail = {
            "delivery": ids.shown(ids.DELIVERY, claimed.id),
            "event": claimed.event.value,
            "status": outcome.status,
            "error": outcome.error,
        }
        await self._acts.record(scope, UPKEEP, f"webhook.{verb}", target, tenant_id=claimed.tenant_id, detail=detail)


async def forget_old(database: Database, acts: Acts) -> None:
    """Remove what happened a month ago, told or not; raises `Unavailable`."""
    removed = _FORGOTTEN_AT_ONCE
    while removed == _FORGOTTEN_AT_ONCE:
        async with database.operating() as scope:
            removed = await outbox.forget(scope, acts.now() - _KEPT, _FORGOTTEN_AT_ONCE)
