"""Events reach the webhooks that are to be told of them: signed, once or again and again, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from typing import Any, final

import pytest
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from bailiwick.bootstrap.webhooks import webhook_delivery
from bailiwick.services.delivering import ANSWER_SECONDS, LEASE, Delivering, forget_old
from bailiwick.storage import roles
from bailiwick.storage.scope import Database, open_pool
from tests.control import Audit, Control, controlled
from tests.database import CONTROL_KEYS, TestDatabase
from tests.receiver import HANGS, Received, Receiver, receiving
from tests.storage.test_ledger_trouble import until

LOOPBACK = (ip_network("127.0.0.0/8"),)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """A webhook, and how a test looks at it."""

    control: Control
    path: str
    secret: str

    @property
    def id(self) -> str:
        return self.path.rpartition("/")[2]

    async def test(self) -> dict[str, Any]:
        """Have a test event delivered."""
        return await self.control.make(f"{self.path}/test")

    async def deliveries(self) -> list[dict[str, Any]]:
        """What was and is to be told there, the first first."""
        found: list[dict[str, Any]] = (await self.control.read(f"{self.path}/deliveries"))["data"]
        return found[::-1]

    async def shown(self) -> dict[str, Any]:
        return await self.control.read(self.path)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Courier:
    """A control process's delivery."""

    delivering: Delivering
    trouble: list[BaseException] = field(default_factory=list)

    async def round(self) -> None:
        """Deliver what is due, one event a webhook."""
        await self.delivering.start()
        await self.delivering.finished()


@pytest.fixture
async def control(database: TestDatabase) -> AsyncIterator[Control]:
    database.run("DELETE FROM bailiwick.webhooks")
    async with controlled(database, outbound_allow=LOOPBACK) as made:
        yield made


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
async def couriers(control: Control, database: TestDatabase) -> AsyncIterator[list[Courier]]:
    """Those of two control processes."""
    trouble: list[BaseException] = []
    url, acts = database.url(roles.CONTROL), control.plane.acts
    async with (
        webhook_delivery(
            url, acts, sealing=CONTROL_KEYS.sealing, outbound_allow=LOOPBACK, report=trouble.append
        ) as one,
        webhook_delivery(
            url, acts, sealing=CONTROL_KEYS.sealing, outbound_allow=LOOPBACK, report=trouble.append
        ) as other,
    ):
        yield [Courier(delivering=one, trouble=trouble), Courier(delivering=other, trouble=trouble)]
    # What was under way has lost its connections.
    for delivering in (one, other):
        await delivering.finished()
    assert trouble == []


@pytest.fixture
def courier(couriers: list[Courier]) -> Courier:
    return couriers[0]


async def hook(control: Control, url: str, **fields: object) -> Hook:
    tenant = (await control.tenant())["id"]
    made = await control.make(
        f"/tenants/{tenant}/webhooks", **{"name": "Hook", "url": url, "events": ["budget.warning"], **fields}
    )
    return Hook(control=control, path=f"/tenants/{tenant}/webhooks/{made['id']}", secret=made["secret"])


def verified(received: Received, secret: str) -> Any:
    """What a receiver's own library makes of it; raises unless it is signed with this secret, and recent."""
    return Webhook(secret).verify(received.body, dict(received.headers))


async def test_an_event_is_signed_as_standard_webhooks_says(
    control: Control, courier: Courier, receiver: Receiver
) -> None:
    control.clock.time = datetime.now(UTC)
    one = await hook(control, receiver.url)
    test = await one.test()
    await courier.round()
    (received,) = receiver.received
    assert (received.path, received.id) == ("/hook", test["event_id"])
    assert received.headers["content-type"] == "application/json"
    tenant = one.path.split("/")[2]
    assert verified(received, one.secret) == {
        "type": "webhook.test",
        "timestamp": test["created_at"],
        "data": {"tenant_id": tenant, "webhook_id": one.id},
    }
    changes = [
        {"headers": {**received.headers, "webhook-id": "evt_other"}},
        {"headers": {**received.headers, "webhook-timestamp": str(int(received.headers["webhook-timestamp"]) + 1)}},
        {"body": received.body.replace(b"webhook.test", b"webhook.tes_")},
    ]
    for change in changes:
        tampered = Received(**{"path": "/hook", "headers": received.headers, "body": received.body, **change})
        with pytest.raises(WebhookVerificationError):
            verified(tampered, one.secret)
    (delivery,) = await one.deliveries()
    assert (delivery["status"], delivery["attempts"], delivery["last_status"]) == ("delivered", 1, 200)
    await courier.round()
    assert len(receiver.received) == 1


async def test_a_secret_that_was_replaced_signs_too_until_its_time_is_over(
    control: Control, courier: Courier, receiver: Receiver
) -> None:
    control.clock.time = datetime.now(UTC)
    one = await hook(control, receiver.url)
    new = (await control.make(f"{one.path}/rotate", grace_seconds=60))["secret"]
    await one.test()
    await courier.round()
    control.clock.advance(seconds=60)
    await one.test()
    await courier.round()
    within, after = receiver.received
    assert len(within.headers["webhook-signature"].split(" ")) == 2
    for received, secret in ((within, one.secret), (within, new), (after, new)):
        verified(received, secret)
    with pytest.raises(WebhookVerificationError):
        verified(after, one.secret)


async def test_what_fails_is_tried_again_later_each_time_and_given_up_in_the_end(
    control: Control, courier: Courier, receiver: Receiver, audit: Audit
) -> None:
    one = await hook(control, receiver.url)
    await one.test()
    waits = [timedelta(seconds=seconds) for seconds in (5, 300, 1800, 7200, 18_000, 36_000)]
    receiver.statuses = [500, 404, 301, 503, 400, 500, 429]
    for wait in waits:
        await courier.round()
        began = control.clock()
        (delivery,) = await one.deliveries()
        next_at = datetime.fromisoformat(delivery["next_attempt_at"])
        assert wait <= next_at - began <= wait * 1.2
        control.clock.time = next_at - timedelta(microseconds=1)
        await courier.round()
        control.clock.time = next_at
    assert (await one.shown())["failing_since"] is None
    control.clock.time = next_at
    await courier.round()
    (delivery,) = await one.deliveries()
    assert (delivery["status"], delivery["attempts"], delivery["last_status"]) == ("failed", 7, 429)
    assert delivery["next_attempt_at"] is None
    assert len({(received.id, received.body) for received in receiver.received}) == 1
    assert len({received.headers["webhook-timestamp"] for received in receiver.received}) == 7
    assert (await one.shown())["failing_since"] is not None
    assert [entry.action for entry in audit(one.id)] == ["webhook.create", "webhook.test", "webhook.fail"]
    await one.test()
    await courier.round()
    assert (await one.shown())["failing_since"] is None


async def test_what_was_given_up_is_delivered_again_under_its_id_when_somebody_asks(
    control: Control, courier: Courier, receiver: Receiver, database: TestDatabase
) -> None:
    one = await hook(control, receiver.url)
    delivery = await one.test()
    await courier.round()
    again = await control.ask("POST", f"{one.path}/deliveries/{delivery['id']}/redeliver")
    assert (again.status_code, again.json()["status"], again.json()["attempts"]) == (200, "pending", 0)
    await courier.round()
    first, second = receiver.received
    assert (first.id, first.body) == (second.id, second.body)


async def test_whoever_says_that_it_is_gone_is_told_nothing_more(
    control: Control, courier: Courier, receiver: Receiver, audit: Audit
) -> None:
    one = await hook(control, receiver.url)
    for _ in range(2):
        await one.test()
    receiver.statuses = [410]
    for _ in range(2):
        await courier.round()
    assert len(receiver.received) == 1
    assert (await one.shown())["status"] == "paused"
    assert [delivery["status"] for delivery in await one.deliveries()] == ["failed", "pending"]
    assert audit(one.id)[-1].action == "webhook.pause"
    await control.change(one.path, status="active")
    await courier.round()
    assert [delivery["status"] for delivery in await one.deliveries()] == ["failed", "delivered"]


async def test_a_redirect_is_not_followed(control: Control, courier: Courier, receiver: Receiver) -> None:
    with receiving() as elsewhere:
        one = await hook(control, receiver.url)
        await one.test()
        receiver.statuses, receiver.location = [307], elsewhere.url
        await courier.round()
        assert elsewhere.received == []
    (delivery,) = await one.deliveries()
    assert (delivery["status"], delivery["last_status"]) == ("pending", 307)


async def test_a_dead_receiver_is_told_of_in_words(control: Control, courier: Courier) -> None:
    with receiving() as gone:
        one = await hook(control, gone.url)
    await one.test()
    await courier.round()
    (delivery,) = await one.deliveries()
    assert (delivery["status"], delivery["last_status"], delivery["attempts"]) == ("pending", None, 1)
    assert delivery["last_error"].startswith("cannot connect")


async def test_a_receiver_that_does_not_answer_in_time_has_failed(
    control: Control, database: TestDatabase, receiver: Receiver
) -> None:
    assert ANSWER_SECONDS == 15
    one = await hook(control, receiver.url)
    await one.test()
    receiver.statuses = [HANGS]
    trouble: list[BaseException] = []
    async with webhook_delivery(
        database.url(roles.CONTROL),
        control.plane.acts,
        sealing=CONTROL_KEYS.sealing,
        outbound_allow=LOOPBACK,
        report=trouble.append,
        answer_seconds=0.2,
    ) as delivering:
        await Courier(delivering=delivering, trouble=trouble).round()
    (delivery,) = await one.deliveries()
    assert (delivery["status"], delivery["attempts"]) == ("pending", 1)
    assert delivery["last_error"] in {"there was no answer in time", "timed out: first_byte", "timed out: total"}
    assert trouble == []


async def test_an_address_that_is_not_allowed_any_more_is_not_asked(
    control: Control, database: TestDatabase, receiver: Receiver
) -> None:
    one = await hook(control, receiver.url)
    await one.test()
    async with webhook_delivery(
        database.url(roles.CONTROL), control.plane.acts, sealing=CONTROL_KEYS.sealing, outbound_allow=(), report=print
    ) as delivering:
        await Courier(delivering=delivering).round()
    assert receiver.received == []
    (delivery,) = await one.deliveries()
    assert delivery["last_error"] == "the address is refused: the address is not public"


async def test_at_a_webhook_one_process_delivers_at_a_time_and_a_slow_one_holds_up_no_other(
    control: Control, couriers: list[Courier], receiver: Receiver, database: TestDatabase
) -> None:
    slow = await hook(control, receiver.url)
    for _ in range(2):
        await slow.test()
    receiver.statuses = [HANGS]
    first, second = couriers
    assert await first.delivering.start()
    await until(lambda: receiver.received)
    # Nothing of the database is held while the receiver is waited for.
    assert database.rows(
        "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'bailiwick control webhooks'"
        " AND datname = current_database() AND state <> 'idle'"
    ) == [(0,)]
    with receiving() as other:
        quick = await hook(control, other.url)
        await quick.test()
        await second.round()
        await second.round()
        assert len(other.received) == 1
    assert len(receiver.received) == 1
    control.clock.advance(seconds=LEASE.total_seconds())
    await second.round()  # As if the first had died.
    await second.round()
    assert [delivery["status"] for delivery in await slow.deliveries()] == ["delivered"] * 2
    assert len(receiver.received) == 3
    assert receiver.received[1].id == receiver.received[0].id


async def test_a_loop_delivers_whatever_comes(control: Control, courier: Courier, receiver: Receiver) -> None:
    one = await hook(control, receiver.url)

    async def all_delivered() -> bool:
        return [delivery["status"] for delivery in await one.deliveries()] == ["delivered"] * 3

    running = asyncio.create_task(courier.delivering.run())
    try:
        for _ in range(3):
            await one.test()
        await until(all_delivered)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert len({received.id for received in receiver.received}) == 3


async def test_events_of_a_month_ago_are_forgotten(control: Control, database: TestDatabase) -> None:
    one = await hook(control, "https://billing.example/hook")
    await one.test()
    control.clock.advance(days=29)
    kept = await one.test()
    control.clock.advance(days=1, minutes=1)
    async with open_pool(database.url(roles.CONTROL), name="test", size=1) as pool:
        await forget_old(Database(pool), control.plane.acts)
    assert [delivery["id"] for delivery in await one.deliveries()] == [kept["id"]]
