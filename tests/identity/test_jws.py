"""The strict front: what is a token at all, and which key may say that it is genuine."""

from __future__ import annotations

import base64
import hmac
import itertools
import json
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from bailiwick.identity import jws
from bailiwick.identity.jws import InvalidKeys, InvalidToken, PublicKeys, UnknownKey
from tests.identity.tokens import ALGORITHMS, bits_of, key_for, part, public, signed, signed_text

CLAIMS = {"iss": "https://issuer.example", "sub": "ada"}
GOOD = signed(CLAIMS)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


def keys(*jwks: object) -> PublicKeys:
    return PublicKeys.parse({"keys": list(jwks) or [public(key_for("ES256"))]})


def verified(text: str, *jwks: object) -> Any:
    token = jws.read(text)
    keys(*jwks).choose(token.kid, token.alg).verify(token)
    return token.claims


def refused(text: str, *jwks: object) -> str:
    with pytest.raises(InvalidToken) as raised:
        verified(text, *jwks)
    return raised.value.reason


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_of_another_library_is_verified_and_any_changed_one_is_not(alg: str) -> None:
    text, jwk = signed(CLAIMS, alg=alg), public(key_for(alg))
    assert verified(text, jwk) == CLAIMS
    head, _, signature = text.split(".")
    octets = base64.urlsafe_b64decode(signature + "==")
    assert refused(f"{head}.{part({**CLAIMS, 'sub': 'eve'})}.{signature}", jwk) == "the signature is wrong"
    for changed in (bytes([octets[0] ^ 1]) + octets[1:], octets[:-1], octets + b"\0", bytes(len(octets)), b"\xff"):
        assert refused(f"{text.rpartition('.')[0]}.{part(changed)}", jwk) == "the signature is wrong"
    other = RSAKey.generate_key(2048) if alg[0] in "RP" else type(key_for(alg)).generate_key(jwk["crv"])
    assert refused(text, public(other, kid="k1")) == "the signature is wrong"


@pytest.mark.parametrize(
    "header", [{"cat": "cl_B7d4PD111AAA"}, {"nonce": "n"}, {"typ": "JWT"}, {"x5t": "t"}, {"kid": None}]
)
def test_a_header_may_say_what_is_none_of_our_business(header: dict[str, object]) -> None:
    assert verified(signed(CLAIMS, **header)) == CLAIMS


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none"}, {"alg": "nOnE"}, {"alg": ""}, {"alg": None}, {"alg": ["ES256"]}, {"alg": 7}, {"alg": "es256"},
        {"alg": "HS256"}, {"alg": "ES256K"}, {"alg": "RSA-OAEP", "enc": "A256GCM"},
        {"jwk": public(key_for("ES256"))}, {"jku": "https://evil.example/jwks"}, {"x5u": "https://evil.example/x"},
        {"x5c": ["MIIB"]}, {"crit": ["x"], "x": 1}, {"crit": []}, {"crit": ["b64"], "b64": False}, {"b64": False},
        {"b64": True}, {"kid": 1}, {"kid": ["k1"]}, {"kid": {}},
    ],
)  # fmt: skip
def test_a_header_that_asks_for_what_is_not_done_is_refused(header: dict[str, object]) -> None:
    members = {name: value for name, value in {"alg": "ES256", "kid": "k1", **header}.items() if value is not None}
    with pytest.raises(InvalidToken):
        jws.read(signed_text(json.dumps(members), json.dumps(CLAIMS).encode()))


def test_no_public_key_is_taken_for_a_secret() -> None:
    pem = key_for("RS256").public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    text = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(CLAIMS)}"
    for secret in (pem, json.dumps(public(key_for("RS256"))).encode()):
        forged = f"{text}.{part(hmac.digest(secret, text.encode(), 'sha256'))}"
        assert "algorithm" in refused(forged, public(key_for("RS256")))
    secret_jwk = OctKey.generate_key(256).as_dict()
    with pytest.raises(InvalidKeys):
        keys({**secret_jwk, "alg": "ES256", "kid": "k1"})


def spellings() -> list[str]:
    head, body, tail = GOOD.split(".")
    return [
        f"{GOOD}=", f"{head}=.{body}.{tail}", f"{GOOD}\n", f"\n{GOOD}", f" {GOOD}", f"{head}\n.{body}.{tail}",
        f"{head}.{body}\r\n.{tail}", f"{head}.{body[:4]} {body[4:]}.{tail}", f"{head}.{body}.{tail}A",
        f"{head}.{body}.{tail[:-1]}+", f"{head}.{body}.{tail[:-1]}/",
        f"{head}.{body}.{tail}\x00", f"{head}.{body}.é{tail}",
        f"{head}.{body}", f"{head}.{body}.", f".{body}.{tail}", f"{head}..{tail}", "..", "", ".", f"{GOOD}.{tail}",
        f"{head}.{body}.{tail}.{head}.{body}",
        json.dumps({"protected": head, "payload": body, "signature": tail}),
        json.dumps({"payload": body, "signatures": [{"protected": head, "signature": tail}]}),
        *bits_of(GOOD, 0), *bits_of(GOOD, 1), *bits_of(GOOD, 2),
    ]  # fmt: skip


@pytest.mark.parametrize("text", spellings(), ids=itertools.count())
def test_a_token_has_one_spelling(text: str) -> None:
    assert refused(text)


def test_the_spellings_differ_in_what_careless_readers_pass_over() -> None:
    assert verified(GOOD) == CLAIMS
    assert bits_of(GOOD, 2), "the signature's last letter has spare bits"


@pytest.mark.parametrize(
    "payload",
    [
        b"[]", b"7", b"null", b'"x"', b"{", b"{} {}", b'{"a":1,"a":2}', b'{"a":{"b":1,"b":1}}', b'{"exp":NaN}',
        b'{"exp":Infinity}', b'{"exp":-Infinity}', b"\xff\xfe{\x00}\x00", b'{"a":"\xff"}', b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"), '{"a":1}'.encode("utf-32-le"), b'{"sub":"\\ud800"}', b'{"\\udfff":1}',
        b'{"exp":' + b"9" * 5000 + b"}", b'{"a":' + b"[" * 33 + b"]" * 33 + b"}", b"[" * 2500 + b"]" * 2500,
    ],
)  # fmt: skip
def test_claims_that_are_no_plain_object_are_refused(payload: bytes) -> None:
    with pytest.raises(InvalidToken, match="claims"):
        jws.read(signed(payload))


@pytest.mark.parametrize("header", ['{"alg":"ES256","alg":"none"}', '{"alg":"none","alg":"ES256"}', "[]", '"x"', "{"])
def test_a_header_that_is_no_plain_object_is_refused(header: str) -> None:
    assert "header" in refused(signed_text(header, b"{}"))


def test_what_is_deep_but_not_too_deep_and_what_is_written_by_escapes_is_read() -> None:
    wide = {"a": [{} for _ in range(100)], "b": {"c": {"d": "é"}}, "half": "\U0001f600"}
    assert verified(signed(wide)) == wide


@pytest.mark.parametrize("depth", [1000, 20_000, 200_000])
def test_a_token_that_is_too_long_or_too_deep_is_refused_and_breaks_nothing(depth: int) -> None:
    deep = signed(b'{"a":' + b"[" * depth + b"]" * depth + b"}")
    assert refused(deep)
    with pytest.raises(InvalidToken):
        jws.read(deep, longest=1_000_000)
    assert refused(signed({**CLAIMS, "x": "y" * 8192})) == "it is too long"
    with pytest.raises(InvalidToken):
        jws.read(signed_text('{"alg":' * depth, b"{}"), longest=10_000_000)


def test_the_twin_of_a_signature_is_as_good_so_nothing_may_be_revoked_by_text() -> None:
    text, _, tail = GOOD.rpartition(".")
    octets = base64.urlsafe_b64decode(tail + "==")
    r, s = octets[:32], int.from_bytes(octets[32:])
    twin = f"{text}.{part(r + (ORDER - s).to_bytes(32))}"
    assert twin != GOOD
    assert verified(twin) == CLAIMS


@pytest.mark.parametrize(
    ("alg", "jwk", "own"),
    [
        ("RS256", public(key_for("ES256")), "ES256"),
        ("ES256", public(key_for("RS256")), "RS256"),
        ("ES256", public(key_for("ES384")), "ES384"),
        ("ES384", public(key_for("ES256")), "ES256"),
        ("ES256", public(key_for("EdDSA")), "EdDSA"),
        ("RS256", public(key_for("RS256"), alg="RS512"), "RS512"),
        ("PS256", public(key_for("PS256"), alg="RS256"), "RS256"),
    ],
)
def test_a_key_verifies_only_what_its_type_and_its_algorithm_are_for(alg: str, jwk: dict[str, Any], own: str) -> None:
    assert refused(signed(CLAIMS, alg=alg), jwk) == "its key is not for its algorithm"
    with pytest.raises(InvalidToken, match="none that the key is for"):
        keys(jwk).choose("k1", own).verify(jws.read(signed(CLAIMS, alg=alg)))


def test_the_key_is_the_one_that_is_named_else_the_only_one_that_could_be_it() -> None:
    own, other = public(key_for("ES256")), public(key_for("ES256", "k2"))
    assert verified(GOOD, own, other) == CLAIMS
    assert refused(GOOD, {**other, "kid": "k1"}, other) == "the signature is wrong"
    nameless = signed(CLAIMS, kid=None)
    assert verified(nameless, own, public(key_for("RS256"))) == CLAIMS
    assert refused(nameless, own, other) == "more than one key could be its own"
    assert refused(GOOD, own, {**other, "kid": "k1"}) == "more than one key could be its own"
    assert refused(nameless, public(key_for("RS256"))) == "its key is not for its algorithm"
    with pytest.raises(UnknownKey):
        verified(signed(CLAIMS, kid="k3"), own, other)
    with pytest.raises(UnknownKey):
        verified(GOOD, {name: value for name, value in own.items() if name != "kid"})


def broken() -> list[Any]:
    own, rsa, ed = public(key_for("ES256")), public(key_for("RS256")), public(key_for("EdDSA"))
    return [
        key_for("ES256").as_dict(private=True), key_for("RS256").as_dict(private=True),
        key_for("EdDSA").as_dict(private=True), OctKey.generate_key(256).as_dict(),
        {**own, "use": "enc"}, {**own, "use": None}, {**own, "key_ops": ["sign"]}, {**own, "key_ops": "verify"},
        {**own, "alg": "HS256"}, {**own, "alg": "none"}, {**own, "alg": ["ES256"]}, {**own, "alg": None},
        {**own, "kid": 1}, {**own, "kty": "RSA"}, {**own, "crv": "P-384"}, {**own, "crv": ["P-256"]},
        {**own, "x": own["y"], "y": own["x"]}, {**own, "x": own["x"] + "="}, {**own, "x": part(bytes(33))},
        {**own, "x": part(b"\0" + base64.urlsafe_b64decode(own["x"] + "="))}, {**own, "y": 7}, {**own, "y": "é"},
        {**rsa, "n": part(b"\xff" * 128)}, {**rsa, "e": part(b"\1")}, {**rsa, "e": part(b"\2")}, {**rsa, "e": rsa["n"]},
        {**rsa, "n": part(b"\xff" * 2048)}, {**rsa, "n": ""}, {**ed, "x": part(bytes(31))},
        {**ed, "crv": "X25519"}, {**ed, "crv": "Ed448"},
        ECKey.generate_key("secp256k1").as_dict(private=False), OKPKey.generate_key("X25519").as_dict(private=False),
        {}, {"kty": "EC"}, {"kty": ["EC"]}, None, 7, "key", [],
    ]  # fmt: skip


@pytest.mark.parametrize("jwk", broken())
def test_a_key_that_is_broken_weak_private_or_for_something_else_is_passed_over(jwk: Any) -> None:
    with pytest.raises(InvalidKeys):
        keys(jwk)
    assert len(keys(jwk, public(key_for("ES256", "k2")))) == 1


@pytest.mark.parametrize(
    "document",
    [None, [], "keys", 7, {}, {"keys": None}, {"keys": {}}, {"keys": []}, {"keys": "x"}, public(key_for("ES256")),
     {"keys": [public(key_for("ES256"))] * 201}],
)  # fmt: skip
def test_what_is_no_set_of_keys_is_refused(document: object) -> None:
    with pytest.raises(InvalidKeys):
        PublicKeys.parse(document)
