"""`bailiwick webhooks`: webhooks from the command line."""

from __future__ import annotations

import pytest

from tests.apps.cli.commands import Commands, commands
from tests.receiver import receiving
from tests.serving import Site, until


@pytest.fixture
def shell(site: Site) -> Commands:
    return commands(site)


def test_a_webhook_is_made_tried_rotated_paused_and_removed(shell: Commands, site: Site) -> None:
    where = ("--tenant", site.admin.tenant()["slug"])
    with receiving() as receiver:
        asked = ("--webhook-url", receiver.url, "--event", "usage.hour", "--event", "budget.warning", *where)
        made = shell.document("webhooks", "create", "Billing", *asked)
        assert made["secret"].startswith("whsec_")
        assert receiver.url in shell.run("webhooks", "list", *where).out
        test = shell.document("webhooks", "test", "Billing", *where)
        until(lambda: receiver.received)
        assert receiver.received[0].id == test["event_id"]
        assert "webhook.test" in shell.run("webhooks", "deliveries", "Billing", *where).out
        again = shell.document("webhooks", "redeliver", test["id"], "--webhook", "Billing", *where)
        assert again["id"] == test["id"]
        until(lambda: len(receiver.received) > 1)
    rotated = shell.document("webhooks", "rotate", "Billing", "--grace-seconds", "60", *where)
    assert rotated["secret"] != made["secret"]
    paused = shell.document("webhooks", "update", "Billing", "--status", "paused", *where)
    assert (paused["status"], paused["events"]) == ("paused", ["budget.warning", "usage.hour"])
    assert shell.document("webhooks", "show", made["id"], *where) == paused
    assert shell.run("webhooks", "delete", "Billing", *where, "--yes").status == 0
    assert shell.run("webhooks", "show", "Billing", *where).status == 1
