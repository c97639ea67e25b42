"""What a process remembers of failing providers: bounded, told once a change, nothing of those that answer."""

from __future__ import annotations

from uuid import UUID

import pytest

from bailiwick.domain.circuit import FAILURES, PAUSE
from bailiwick.domain.ids import ProviderId, TenantId
from bailiwick.domain.models import ProviderKind
from bailiwick.services import circuits
from bailiwick.services.circuits import CircuitKey, Circuits


class World:
    """Circuits, a clock, and what was told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.told: list[tuple[str, bool]] = []
        self.circuits = Circuits(
            now=lambda: self.now, report=lambda key, is_open: self.told.append((key.model, is_open))
        )

    def fail(self, key: CircuitKey, times: int = FAILURES) -> None:
        for _ in range(times):
            self.circuits.failed(key)


@pytest.fixture
def world() -> World:
    return World()


def key(model: str = "m", tenant: int = 1) -> CircuitKey:
    return CircuitKey(TenantId(UUID(int=tenant)), ProviderId(UUID(int=9)), model, ProviderKind.OPENAI)


def test_open_circuits_and_openings_are_counted_by_the_kind_of_provider(world: World) -> None:
    echo = key("e")._replace(kind=ProviderKind.ECHO)
    for failing in (key(), key("n"), echo):
        world.fail(failing)
    world.fail(key("still well"), FAILURES - 1)
    assert {kind: count for kind, count in world.circuits.open_now().items() if count} == {"openai": 2, "echo": 1}
    world.circuits.succeeded(key())
    world.now += PAUSE
    world.fail(echo)
    assert world.circuits.open_now()[ProviderKind.OPENAI] == 1
    assert {kind: count for kind, count in world.circuits.openings.items() if count} == {"openai": 2, "echo": 1}


def test_each_change_is_told_once(world: World) -> None:
    world.fail(key(), FAILURES + 3)
    world.circuits.succeeded(key())
    world.circuits.succeeded(key())
    assert world.told == [("m", True), ("m", False)]


def test_an_answer_that_begins_and_breaks_off_is_no_change(world: World) -> None:
    world.fail(key())
    for _ in range(3):
        world.circuits.begun(key())
        world.circuits.failed(key(), broken=True)
    world.circuits.begun(key())
    world.circuits.succeeded(key())
    assert world.told == [("m", True), ("m", False)]


def test_an_open_circuit_says_when_to_come_back(world: World) -> None:
    world.fail(key())
    assert (world.circuits.let_through(key()), world.circuits.seconds_left(key())) == (False, PAUSE)
    world.now = PAUSE - 0.5
    assert world.circuits.seconds_left(key()) == 1
    world.now = PAUSE
    assert [world.circuits.let_through(key()) for _ in range(3)] == [True, False, False]


def test_each_tenant_and_model_has_its_own(world: World) -> None:
    world.fail(key())
    others = (key("n"), key(tenant=2), CircuitKey(TenantId(UUID(int=1)), None, "m", ProviderKind.ECHO))
    assert all(world.circuits.let_through(other) for other in others)


def test_no_more_is_remembered_than_there_is_room_for(world: World) -> None:
    world.fail(key("first"))
    for number in range(circuits._KEPT):
        world.circuits.failed(key(str(number)))
    assert len(world.circuits._circuits) == circuits._KEPT
    assert world.circuits.let_through(key("first"))
