"""Secrets at rest: each opens with its key and for its row, unchanged, and otherwise not at all."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.identity.sealing import CannotOpen, provider_row_identity, seal, unseal

KEY, ROW, NONCE = bytes(range(32)), b"row", bytes(range(12))
uuids = st.none() | st.uuids()


@given(st.text(st.characters(exclude_categories=["Cs"])), st.binary(min_size=12, max_size=12), st.binary())
def test_what_was_sealed_opens_with_the_same_key_and_row(secret: str, nonce: bytes, row: bytes) -> None:
    sealed = seal(KEY, row, secret, nonce)
    assert unseal(KEY, row, sealed) == secret
    assert len(secret) < 4 or secret.encode() not in sealed


@given(st.data())
def test_any_change_of_the_sealed_bytes_is_noticed(data: st.DataObject) -> None:
    sealed = bytearray(seal(KEY, ROW, "secret", NONCE))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CannotOpen):
        unseal(KEY, ROW, bytes(sealed))


@given(st.integers(0, 100))
def test_a_sealed_secret_that_was_cut_does_not_open(length: int) -> None:
    sealed = seal(KEY, ROW, "secret", NONCE)
    if length < len(sealed):
        with pytest.raises(CannotOpen):
            unseal(KEY, ROW, sealed[:length])


def test_another_key_does_not_open_it() -> None:
    with pytest.raises(CannotOpen):
        unseal(bytes(32), ROW, seal(KEY, ROW, "secret", NONCE))


def test_the_refusal_tells_nothing() -> None:
    with pytest.raises(CannotOpen) as caught:
        unseal(bytes(32), ROW, seal(KEY, ROW, "canary", NONCE))
    assert str(caught.value) == ""
    assert caught.value.__cause__ is None


@given(st.tuples(uuids, uuids, st.uuids()), st.tuples(uuids, uuids, st.uuids()))
def test_a_secret_that_is_copied_into_another_row_opens_for_nobody(
    one: tuple[UUID | None, UUID | None, UUID], other: tuple[UUID | None, UUID | None, UUID]
) -> None:
    sealed = seal(KEY, provider_row_identity(*one), "secret", NONCE)
    if one == other:
        assert unseal(KEY, provider_row_identity(*other), sealed) == "secret"
    else:
        with pytest.raises(CannotOpen):
            unseal(KEY, provider_row_identity(*other), sealed)


def test_a_row_of_a_tenant_is_not_the_same_row_of_a_project() -> None:
    tenant, project, provider = UUID(int=1), UUID(int=2), UUID(int=3)
    identities = {
        provider_row_identity(None, None, provider),
        provider_row_identity(tenant, None, provider),
        provider_row_identity(tenant, project, provider),
        provider_row_identity(None, tenant, provider),
        provider_row_identity(project, tenant, provider),
    }
    assert len(identities) == 5


def test_the_stored_form_never_changes() -> None:
    sealed = "01000102030405060708090a0b3467b569a091e9b74b831e78fe36a8600b1ddd21fe49"
    assert seal(KEY, ROW, "secret", NONCE).hex() == sealed
    assert unseal(KEY, ROW, bytes.fromhex(sealed)) == "secret"
