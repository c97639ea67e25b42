"""What operators do to a key is what the data plane makes of it: rotated, revoked, expired, removed, suspended."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, cast, final

import pytest

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.globs import Globs
from bailiwick.domain.permissions import ALL_SCOPES, Permission
from bailiwick.domain.principal import Grant
from bailiwick.services.authentication import Authentication, Presented
from bailiwick.services.remembered import Remembered
from bailiwick.services.taken_away import TakenAwayKeeper
from bailiwick.storage import roles
from bailiwick.storage.credentials import CredentialLookup
from bailiwick.storage.epoch import Epoch
from bailiwick.storage.scope import Database, open_pool
from bailiwick.storage.taken_away import TakenAwayChanges
from tests.control import Control
from tests.database import GATEWAY_KEYS, TestDatabase


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Authentication as the gateway does it, asking the database each time."""

    authentication: Authentication

    async def let_in(self, text: str) -> Grant:
        """What the key stands for."""
        presented = Presented(
            credential=text, address=lambda: None, slug=None, uid=None, sid=None, organization=None, project=None
        )
        return (await self.authentication.authenticate(presented)).grant

    async def refused(self, text: str) -> Code:
        """Why the key is not let in."""
        with pytest.raises(Refused) as caught:
            await self.let_in(text)
        return caught.value.code


@pytest.fixture
async def gate(database: TestDatabase, control: Control) -> AsyncIterator[Gate]:
    pool = open_pool(database.url(roles.APP), name="test", size=1)
    async with pool:
        never_fresh = Epoch(lambda: 0.0)
        keys = Remembered(CredentialLookup(Database(pool)).find_key, never_fresh, capacity=10)
        yield Gate(
            authentication=Authentication(
                keys,
                cast("Any", None),
                TakenAwayKeeper(TakenAwayChanges(Database(pool)), never_fresh),
                pepper=GATEWAY_KEYS.pepper,
                now=control.clock,
            )
        )


async def test_a_key_is_let_in_with_what_it_was_given(control: Control, gate: Gate) -> None:
    key = await control.key(models=["gpt-*"], act_as=False)
    grant = await gate.let_in(key["key"])
    assert grant.scopes == ALL_SCOPES - {Permission.USERS_ACT_AS}
    assert [confinement.models for confinement in grant.confinements] == [Globs(("gpt-*",))]
    await control.change(f"/keys/{key['id']}", models=None, act_as=None, scopes=["models:list"])
    grant = await gate.let_in(key["key"])
    assert (set(grant.scopes), grant.confinements) == ({Permission.MODELS_LIST}, ())


async def test_both_texts_of_a_rotated_key_are_good_until_its_grace_ends(control: Control, gate: Gate) -> None:
    key = await control.key()
    rotated = await control.make(f"/keys/{key['id']}/rotate", grace_seconds=60)
    assert (await gate.let_in(key["key"])).key_id == (await gate.let_in(rotated["key"])).key_id
    control.clock.advance(seconds=60)
    assert await gate.refused(key["key"]) is Code.EXPIRED_CREDENTIALS
    assert await gate.let_in(rotated["key"])


async def test_a_rotation_without_grace_leaves_one_good_text(control: Control, gate: Gate) -> None:
    key = await control.key()
    rotated = await control.make(f"/keys/{key['id']}/rotate")
    assert await gate.refused(key["key"]) is Code.INVALID_CREDENTIALS
    assert await gate.let_in(rotated["key"])


async def test_revoking_beats_a_rotations_grace(control: Control, gate: Gate) -> None:
    key = await control.key()
    rotated = await control.make(f"/keys/{key['id']}/rotate", grace_seconds=3600)
    await control.ask("POST", f"/keys/{key['id']}/revoke")
    assert await gate.refused(key["key"]) is Code.REVOKED_CREDENTIALS
    assert await gate.refused(rotated["key"]) is Code.REVOKED_CREDENTIALS


async def test_a_removed_key_is_unknown(control: Control, gate: Gate) -> None:
    key = await control.key()
    await control.ask("DELETE", f"/keys/{key['id']}")
    assert await gate.refused(key["key"]) is Code.INVALID_CREDENTIALS


async def test_a_key_expires_at_its_moment(control: Control, gate: Gate) -> None:
    key = await control.key(expires_at="2026-11-21T12:30:00Z")
    assert await gate.let_in(key["key"])
    control.clock.advance(minutes=30)
    assert await gate.refused(key["key"]) is Code.EXPIRED_CREDENTIALS


async def test_a_suspended_project_or_tenant_is_told_to_the_data_plane(control: Control, gate: Gate) -> None:
    key = await control.key()
    await control.change(
        f"/projects/{key['project_id']}", status="suspended", limits={"ip": {"requests": 1, "per": "1s"}}
    )
    grant = await gate.let_in(key["key"])
    assert (grant.tenant_active, grant.project_active) == (True, False)
    assert grant.limits.ip is not None
    await control.change(f"/tenants/{key['tenant_id']}", status="suspended")
    assert (await gate.let_in(key["key"])).tenant_active is False


async def test_every_change_of_what_processes_keep_moves_the_epoch(control: Control, database: TestDatabase) -> None:
    def epoch() -> int:
        return int(database.rows("SELECT value FROM bailiwick.epoch")[0][0])

    key = await control.key()
    provider = await control.make(f"/projects/{key['project_id']}/providers", name="p", kind="echo")
    acts: list[tuple[str, str, dict[str, Any] | None]] = [
        ("PATCH", f"/tenants/{key['tenant_id']}", {"name": "A"}),
        ("PATCH", f"/projects/{key['project_id']}", {"name": "A"}),
        ("PATCH", f"/keys/{key['id']}", {"name": "A"}),
        ("POST", f"/keys/{key['id']}/rotate", None),
        ("POST", f"/keys/{key['id']}/revoke", None),
        ("DELETE", f"/keys/{key['id']}", None),
        ("PATCH", f"/projects/{key['project_id']}/providers/{provider['id']}", {"name": "a"}),
        ("DELETE", f"/projects/{key['project_id']}/providers/{provider['id']}", None),
        ("DELETE", f"/projects/{key['project_id']}", None),
        ("DELETE", f"/tenants/{key['tenant_id']}", None),
    ]
    for method, path, body in acts:
        before = epoch()
        assert (await control.ask(method, path, body)).status_code < 300
        assert epoch() > before, (method, path)
    before = epoch()
    await control.read("/tenants")
    assert epoch() == before
