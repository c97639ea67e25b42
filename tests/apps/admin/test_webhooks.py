"""`/admin/v1/tenants/{id}/webhooks`: webhooks, their lives, their secrets, where they may be, what is told there."""

from __future__ import annotations

from typing import Any

import pytest

from bailiwick.domain import ids, webhooks
from bailiwick.identity.sealing import CannotOpen, unseal, webhook_row_identity
from bailiwick.services import webhooks as service
from tests.control import UNKNOWN, Audit, Control
from tests.database import MASTER_KEY, TestDatabase

URL = "https://billing.example/hook"


async def place(control: Control) -> str:
    """The address of a new tenant's webhooks."""
    return f"/tenants/{(await control.tenant())['id']}/webhooks"


async def webhook(control: Control, path: str, **fields: object) -> dict[str, Any]:
    return await control.make(path, **{"name": "Billing", "url": URL, "events": ["budget.warning"], **fields})


async def test_a_webhook_is_made_read_changed_and_removed(control: Control, audit: Audit) -> None:
    path = await place(control)
    made = await control.ask(
        "POST", path, {"name": "Billing", "url": URL, "events": ["usage.hour", "budget.warning"], "status": "paused"}
    )
    assert made.status_code == 201
    shown = made.json()
    address = f"{path}/{shown['id']}"
    assert made.headers["location"] == f"/admin/v1{address}"
    secret = shown.pop("secret")
    assert secret.startswith("whsec_")
    assert {name: shown[name] for name in ("name", "url", "events", "status", "failing_since", "old_secret_until")} == {
        "name": "Billing", "url": URL, "events": ["budget.warning", "usage.hour"], "status": "paused",
        "failing_since": None, "old_secret_until": None,
    }  # fmt: skip
    assert await control.read(address) == shown
    assert (await control.read(path))["data"] == [shown]
    changed = await control.change(address, name="Alerts", status=None, events=["usage.hour"])
    assert changed == {**shown, "name": "Alerts", "status": "active", "events": ["usage.hour"]}
    assert (await control.ask("DELETE", address)).status_code == 204
    assert (await control.ask("GET", address)).status_code == 404
    entries = audit(shown["id"])
    assert [entry.action for entry in entries] == ["webhook.create", "webhook.change", "webhook.remove"]
    assert secret not in repr(entries)


@pytest.mark.parametrize(
    ("fields", "wrong"),
    [
        ({"events": []}, {"events": "must be some of budget.warning, usage.hour, each once"}),
        ({"events": ["usage.hour", "usage.hour"]}, {"events": "must be some of budget.warning, usage.hour, each once"}),
        ({"events": ["webhook.test"]}, {"events": "must be some of budget.warning, usage.hour, each once"}),
        ({"name": " "}, {"name": "must not be empty"}),
        ({"url": "http://billing.example/hook"}, {"url": "is refused: the URL must start with https://"}),
        ({"url": "https://127.0.0.1/hook"}, {"url": "is refused: the address is not public"}),
        ({"url": "https://[::ffff:10.0.0.1]/hook"}, {"url": "is refused: the address is not public"}),
        ({"url": "https://u:p@billing.example/"}, {"url": "is refused: the URL holds a user name or password"}),
        ({"secret": "whsec_x"}, {"secret": "unknown field"}),
    ],
)
async def test_what_cannot_be_a_webhook_is_refused(
    control: Control, fields: dict[str, object], wrong: dict[str, str]
) -> None:
    path = await place(control)
    asked = {"name": "Billing", "url": URL, "events": ["usage.hour"], **fields}
    assert await control.wrong_fields("POST", path, asked) == wrong
    address = f"{path}/{(await webhook(control, path))['id']}"
    assert await control.wrong_fields("PATCH", address, fields) == wrong


async def test_a_tenant_has_no_more_webhooks_than_it_may(control: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_WEBHOOKS", 2)
    path = await place(control)
    for _ in range(2):
        await webhook(control, path)
    status, problem = await control.refused("POST", path, {"name": "x", "url": URL, "events": ["usage.hour"]})
    assert (status, problem["detail"]) == (409, "A tenant has at most 2 webhooks.")
    assert webhooks.MAX_WEBHOOKS == 10


def sealed(database: TestDatabase, shown: dict[str, Any]) -> tuple[list[bytes | None], bytes]:
    """The secrets of a webhook as they are kept, and what they are sealed for."""
    ((secret, old, tenant_id, webhook_id),) = database.rows(
        "SELECT secret, old_secret, tenant_id, id FROM bailiwick.webhooks WHERE id = %s",
        ids.parsed(ids.WEBHOOK, shown["id"]),
    )
    row = webhook_row_identity(tenant_id, webhook_id)
    return [None if one is None else bytes(one) for one in (secret, old)], row


def opened(database: TestDatabase, shown: dict[str, Any]) -> list[str | None]:
    values, row = sealed(database, shown)
    return [None if one is None else unseal(MASTER_KEY.sealing(), row, one) for one in values]


async def test_a_secret_is_kept_sealed_for_its_own_row(control: Control, database: TestDatabase) -> None:
    path = await place(control)
    one, other = [await webhook(control, path) for _ in range(2)]
    assert opened(database, one) == [one["secret"], None]
    (kept, _), _ = sealed(database, one)
    assert kept is not None
    assert one["secret"].encode() not in kept
    _, row = sealed(database, other)
    with pytest.raises(CannotOpen):
        unseal(MASTER_KEY.sealing(), row, kept)


async def test_a_rotated_secret_signs_beside_the_new_one_as_long_as_it_is_asked_to(
    control: Control, database: TestDatabase, audit: Audit
) -> None:
    path = await place(control)
    made = await webhook(control, path)
    address = f"{path}/{made['id']}"
    now = control.clock()
    rotated = await control.make(f"{address}/rotate", grace_seconds=3600)
    assert rotated["secret"] != made["secret"]
    assert rotated["old_secret_until"] == now.replace(hour=now.hour + 1).isoformat().replace("+00:00", "Z")
    assert opened(database, made) == [rotated["secret"], made["secret"]]
    at_once = await control.make(f"{address}/rotate")
    assert at_once["old_secret_until"] is None
    assert opened(database, made) == [at_once["secret"], None]
    assert [entry.action for entry in audit(made["id"])] == ["webhook.create", *["webhook.rotate"] * 2]


async def test_an_answer_that_is_given_again_has_no_secret(control: Control) -> None:
    path = await place(control)
    asked = {"name": "Billing", "url": URL, "events": ["usage.hour"]}
    first, again = [
        (await control.ask("POST", path, asked, headers={"Idempotency-Key": "once"})).json() for _ in range(2)
    ]
    assert first["secret"] is not None
    assert again == {**first, "secret": None}


async def test_a_test_event_waits_to_be_delivered_and_is_listed(control: Control, audit: Audit) -> None:
    path = await place(control)
    address = f"{path}/{(await webhook(control, path))['id']}"
    asked = [await control.ask("POST", f"{address}/test") for _ in range(3)]
    assert [answer.status_code for answer in asked] == [201] * 3
    tests = [answer.json() for answer in asked]
    assert asked[0].headers["location"] == f"/admin/v1{address}/deliveries/{tests[0]['id']}"
    assert (tests[0]["event"], tests[0]["status"], tests[0]["attempts"]) == ("webhook.test", "pending", 0)
    assert tests[0]["next_attempt_at"] == tests[0]["created_at"]
    assert len({test["event_id"] for test in tests}) == 3
    page = await control.read(f"{address}/deliveries?limit=2")
    assert page["data"] == [tests[2], tests[1]]
    rest = await control.read(f"{address}/deliveries?limit=2&after={page['next']}")
    assert (rest["data"], rest["has_more"]) == ([tests[0]], False)
    assert await control.read(f"{address}/deliveries/{tests[0]['id']}") == tests[0]
    assert [entry.action for entry in audit(address.rpartition("/")[2])] == ["webhook.create", *["webhook.test"] * 3]


async def test_a_delivery_is_found_at_its_own_webhook_alone(control: Control) -> None:
    path = await place(control)
    one, other = [f"{path}/{(await webhook(control, path))['id']}" for _ in range(2)]
    delivery = (await control.make(f"{one}/test"))["id"]
    foreign = f"{await place(control)}/{one.rpartition('/')[2]}"
    for address in (other, foreign):
        for method, asked in (("GET", delivery), ("POST", f"{delivery}/redeliver")):
            assert (await control.ask(method, f"{address}/deliveries/{asked}")).status_code == 404
    for address in (f"{one}/deliveries/{UNKNOWN[ids.DELIVERY]}", f"{path}/{UNKNOWN[ids.WEBHOOK]}/deliveries"):
        assert (await control.ask("GET", address)).status_code == 404
    assert (await control.ask("POST", f"{path}/{UNKNOWN[ids.WEBHOOK]}/test")).status_code == 404
