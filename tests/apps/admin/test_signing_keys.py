"""`/admin/v1/signing-keys`: what signs tokens, for the installation's operators."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bailiwick.domain.audit import UPKEEP
from bailiwick.services import signing_keys
from tests.control import Control, controlled
from tests.database import TestServer

PATH = "/signing-keys"


@pytest.fixture
async def plane(server: TestServer) -> AsyncIterator[Control]:
    """A control plane over a database of its own, with the first key."""
    async with controlled(server.create()) as control:
        await control.plane.signing_keys.look_after(UPKEEP)
        yield control


async def test_the_next_key_waits_until_everybody_can_know_it(plane: Control) -> None:
    (first,) = (await plane.read(PATH))["data"]
    assert first == {
        "kid": first["kid"],
        "status": "signing",
        "signs_from": "2026-11-21T12:00:00Z",
        "published_until": None,
        "created_at": "2026-11-21T12:00:00Z",
        "created_by": "upkeep",
    }
    made = await plane.make(PATH)
    assert made == {
        "kid": made["kid"],
        "status": "next",
        "signs_from": "2026-11-21T12:10:01Z",
        "published_until": None,
        "created_at": "2026-11-21T12:00:01Z",
        "created_by": plane.operator_id,
    }
    assert (await plane.read(PATH))["data"] == [{**first, "published_until": "2026-11-22T12:15:01Z"}, made]
    status, problem = await plane.refused("POST", PATH, {})
    assert (status, problem["detail"]) == (409, "The next key is made already; it signs from 2026-11-21T12:10:01Z.")
    plane.clock.advance(minutes=10)
    assert [key["status"] for key in (await plane.read(PATH))["data"]] == ["published", "signing"]


async def test_a_key_signs_at_once_if_that_is_said(plane: Control) -> None:
    (first,) = (await plane.read(PATH))["data"]
    await plane.make(PATH, at_once=False)
    made = await plane.make(PATH, at_once=True)
    assert (made["status"], made["signs_from"]) == ("signing", made["created_at"])
    assert [key["status"] for key in (await plane.read(PATH))["data"]] == ["published", "signing", "next"]
    assert first["kid"] != made["kid"]


async def test_a_rotation_is_on_the_record_without_the_key(plane: Control) -> None:
    made = await plane.make(PATH)
    page = await plane.read("/audit?action=signing_key")
    entry = page["data"][0]
    assert (entry["actor"], entry["action"]) == (plane.operator_id, "signing_key.create")
    assert entry["detail"]["kid"] == made["kid"]
    assert "PRIVATE" not in str(page)


async def test_so_many_keys_are_published_and_no_more(plane: Control, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "MOST_KEYS", 3)
    plane.clock.advance(seconds=1)
    for _ in range(2):
        await plane.make(PATH, at_once=True)
    assert (await plane.refused("POST", PATH, {"at_once": True}))[0] == 409
    plane.clock.advance(days=1, minutes=6)
    await plane.plane.signing_keys.look_after(UPKEEP)
    await plane.make(PATH, at_once=True)


@pytest.mark.parametrize("body", [{"at_once": 1}, {"at_once": "true"}, {"kid": "x"}, {"at_once": None}])
async def test_a_rotation_that_cannot_be_is_refused_by_its_field(plane: Control, body: dict[str, object]) -> None:
    assert list(await plane.wrong_fields("POST", PATH, body)) == list(body)
    assert len((await plane.read(PATH))["data"]) == 1
