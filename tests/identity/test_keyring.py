"""Keys derived from one master key, each for its purpose and its process."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bailiwick.identity.keyring import InvalidMasterKey, MasterKey, gateway_keys, pseudonym
from bailiwick.identity.sealing import CannotOpen

MASTER = MasterKey(secret=bytes(range(32)))
LASTING = bytes(range(32))


@given(st.binary(min_size=32, max_size=32))
def test_a_master_key_is_read_as_it_was_written(secret: bytes) -> None:
    key = MasterKey(secret=secret)
    assert len(key.written()) == 43
    assert MasterKey.parse(key.written()) == key
    assert MasterKey.parse(f"  {key.written()}=\n") == key


@pytest.mark.parametrize(
    "text", ["", "canary", "A" * 42, "A" * 44, "é" * 43, "A" * 86, "AAAA" * 100, "A" * 20 + " " + "A" * 22]
)
def test_what_is_no_master_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InvalidMasterKey) as caught:
        MasterKey.parse(text)
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_every_purpose_has_a_key_of_its_own() -> None:
    gateway, control = gateway_keys(LASTING), MASTER.control_keys(LASTING)
    keys = {
        gateway.pepper, gateway.pseudonyms, control.operator_pepper, control.sealing, control.audit,
        control.sign_in_pepper, control.sign_in_sealing, MASTER.derive("check"),
        *(bytes.fromhex(MASTER.role_password(role)) for role in ("bailiwick_app", "bailiwick_ledger", "postgres")),
    }  # fmt: skip
    assert len(keys) == 11
    assert all(len(key) == 32 for key in keys)
    assert MASTER.secret not in keys


def test_the_gateway_and_the_control_process_agree_on_what_they_share() -> None:
    assert gateway_keys(LASTING).pepper == MASTER.control_keys(LASTING).pepper


def test_what_lasts_does_not_follow_from_the_master_key() -> None:
    other = MasterKey(secret=bytes(32))
    one, same = MASTER.control_keys(LASTING), other.control_keys(LASTING)
    assert (one.pepper, one.operator_pepper, one.sign_in_pepper) == (
        same.pepper, same.operator_pepper, same.sign_in_pepper,
    )  # fmt: skip
    assert not {one.sealing, one.audit, one.sign_in_sealing} & {same.sealing, same.audit, same.sign_in_sealing}


def test_the_lasting_secret_is_opened_by_the_key_that_sealed_it_alone() -> None:
    sealed = MASTER.seal_lasting(bytes(range(32, 64)), bytes(12))
    assert MASTER.open_lasting(sealed) == bytes(range(32, 64))
    with pytest.raises(CannotOpen):
        MasterKey(secret=bytes(32)).open_lasting(sealed)


def test_derived_keys_never_change() -> None:
    # What they sealed and hashed is in databases: these values are for ever.
    assert gateway_keys(LASTING).pepper.hex() == GOLDEN["api-key-pepper/1"]
    assert MASTER.derive("provider-secrets/1").hex() == GOLDEN["provider-secrets/1"]
    assert MASTER.role_password("bailiwick_app") == GOLDEN["role/bailiwick_app"]
    assert MASTER.check_value() == GOLDEN["check"]


GOLDEN = {
    "api-key-pepper/1": "3e9f253bbb542465ee87f1f1d02713bda469fa9549ca2302c3803a5027a09a52",
    "provider-secrets/1": "dafbc267d9dde9dedb29bc81b6b51613045265297775ef41d5f391c5b4b9c4ed",
    "role/bailiwick_app": "4feb09792f89891c9fa297fb57e37742ad3e07e2fde2725c6c0b12b75820256d",
    "check": "109931619eccfc53e53095fd8ff24c689421931a26462a0195da036b128ac39f",
}


def test_another_master_key_has_another_check_value() -> None:
    assert MasterKey(secret=bytes(32)).check_value() != MASTER.check_value()


@pytest.mark.parametrize("key", [MASTER, gateway_keys(LASTING), MASTER.control_keys(LASTING)])
def test_no_key_shows_itself(key: object) -> None:
    for text in (repr(key), str(key), f"{key}"):
        assert MASTER.secret.hex() not in text
        assert gateway_keys(LASTING).pepper.hex() not in text
        assert repr(gateway_keys(LASTING).pepper) not in text


ONE, OTHER = UUID(int=1), UUID(int=2)


def test_a_pseudonym_is_stable_within_a_tenant_and_another_in_the_next() -> None:
    key = gateway_keys(LASTING).pseudonyms
    assert pseudonym(key, ONE, "alice") == pseudonym(key, ONE, "alice")
    assert pseudonym(key, ONE, "alice") != pseudonym(key, OTHER, "alice")
    assert pseudonym(bytes(32), ONE, "alice") != pseudonym(key, ONE, "alice")


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(st.characters(exclude_categories=["Cs"])))
def test_two_users_have_two_pseudonyms_that_do_not_tell_their_names(one: str, other: str) -> None:
    first, second = pseudonym(bytes(32), ONE, one), pseudonym(bytes(32), ONE, other)
    assert (first == second) is (one == other)
    assert len(first) == 34
    assert first.isascii()
