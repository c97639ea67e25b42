"""Our own signing keys: named by what they are, written and read again, and good to everybody else's libraries."""

from __future__ import annotations

import itertools
import json

import pytest
from joserfc import jws as other_library
from joserfc.jwk import ECKey, RSAKey

from bailiwick.identity import jws, signing_keys
from bailiwick.identity.jws import InvalidToken, PublicKeys

CLAIMS = {"iss": "https://gateway.example", "sub": "zoë", "exp": 7}


def test_what_a_key_signs_another_library_and_we_ourselves_verify() -> None:
    key = signing_keys.make()
    text = key.sign(CLAIMS)
    read = other_library.deserialize_compact(text, ECKey.import_key(key.public_jwk()), algorithms=["ES256"])
    assert read.headers() == {"alg": "ES256", "typ": "at+jwt", "kid": key.kid}
    assert json.loads(read.payload or b"") == CLAIMS
    token = jws.read(text)
    PublicKeys.parse({"keys": [key.public_jwk()]}).choose(token.kid, token.alg).verify(token)
    assert token.claims == CLAIMS


def test_what_another_key_signed_is_refused() -> None:
    key, other = signing_keys.make(), signing_keys.make()
    token = jws.read(other.sign(CLAIMS))
    with pytest.raises(InvalidToken):
        PublicKeys.parse({"keys": [key.public_jwk()]}).choose(None, "ES256").verify(token)


def test_a_key_is_named_by_its_thumbprint_and_shows_its_public_half_alone() -> None:
    key = signing_keys.make()
    shown = key.public_jwk()
    assert key.kid == ECKey.import_key({n: shown[n] for n in ("kty", "crv", "x", "y")}).thumbprint()
    assert shown.keys() == {"kty", "crv", "x", "y", "kid", "use", "alg"}


def test_a_key_is_written_and_read_again() -> None:
    key = signing_keys.make()
    again = signing_keys.from_private_pem(key.private_pem())
    assert (again.kid, again.public_jwk()) == (key.kid, key.public_jwk())
    assert jws.read(again.sign({}, typ="logout+jwt")).header["typ"] == "logout+jwt"


@pytest.mark.parametrize(
    "text",
    ["", "x", ECKey.generate_key("P-384").as_pem().decode(), RSAKey.generate_key(2048).as_pem().decode(),
     ECKey.generate_key("P-256").as_pem(private=False).decode()],
    ids=itertools.count(),
)  # fmt: skip
def test_what_is_no_private_key_of_ours_is_not_read(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        signing_keys.from_private_pem(text)
