"""Signed tokens: one strict reader and one verifier for every JWS that we ever take (RFC 7515, RFC 7519, RFC 8725).

    token = jws.read(text)                                # the form alone: nothing in it may be believed yet
    keys.choose(token.kid, token.alg).verify(token)       # keys = PublicKeys.parse(the issuer's JWK Set)

No JOSE library stands between: what comes from outside is read here, strictly, and the signature is judged by
`cryptography`. A token has exactly one spelling: three parts of canonical base 64, UTF-8, no name twice, no number that
is none. Its header names one asymmetric algorithm and may ask for nothing else (`crit`, `b64`) and bring no key of its
own (`jwk`, `jku`, `x5u`, `x5c`); other members are none of our business. A key verifies only what its type, its curve
and its own `alg` and `use` are for, so that no public key is ever taken for a secret.

An ECDSA signature still has a twin, (r, n - s): revoke by `jti`, `sid` or user, never by a token's text.
"""

from __future__ import annotations

import binascii
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, TypeAlias, final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from bailiwick.domain.access_tokens import ALGORITHMS
from bailiwick.domain.errors import BailiwickError

LONGEST: Final = 8 * 1024
_DEEPEST: Final = 32
_MOST_KEYS: Final = 200
_RSA_BITS: Final = (2048, 8192)
_RSA_EXPONENT_BITS: Final = 32  # a longer one is none that anybody uses, and makes each verification slow
_REFUSED_HEADERS: Final = frozenset({"crit", "b64", "jwk", "jku", "x5u", "x5c"})
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_LETTERS: Final = re.compile("[A-Za-z0-9_-]+")
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")
_STANDARD_LETTERS: Final = str.maketrans("-_", "+/")
# What a last letter can be when two or three are left over: its spare bits are zero (RFC 4648 §3.5).
_LAST_OF: Final = {2: frozenset("AQgw"), 3: frozenset("AEIMQUYcgkosw048")}

_SHA: Final = {"256": hashes.SHA256(), "384": hashes.SHA384(), "512": hashes.SHA512()}
_ECDSA: Final = {bits: ec.ECDSA(sha) for bits, sha in _SHA.items()}
_PKCS1: Final = padding.PKCS1v15()
_PSS: Final = {bits: padding.PSS(padding.MGF1(sha), sha.digest_size) for bits, sha in _SHA.items()}
_CURVES: Final[dict[str, tuple[type[ec.EllipticCurve], str, int]]] = {
    # by the JWK's name: the curve, its one algorithm (RFC 7518 §3.4) and the octets of a coordinate
    "P-256": (ec.SECP256R1, "ES256", 32),
    "P-384": (ec.SECP384R1, "ES384", 48),
    "P-521": (ec.SECP521R1, "ES512", 66),
}
_RSA: Final = frozenset(alg for alg in ALGORITHMS if alg.startswith(("RS", "PS")))
_ALGORITHMS: Final = frozenset(ALGORITHMS)


def _names_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) < len(pairs):
        raise ValueError("a name stands twice")
    return document


def _no_number(_name: str) -> float:
    raise ValueError("NaN and infinities are no JSON")


_JSON: Final = json.JSONDecoder(object_pairs_hook=_names_once, parse_constant=_no_number)

_Check: TypeAlias = Callable[[bytes, bytes, str], None]
"""Raises InvalidSignature unless the signature is of the data under the algorithm."""


class InvalidToken(BailiwickError):
    """The token says nothing that can be believed; `reason` is a clause for an operator, and holds nothing of it."""

    def __init__(self, reason: str) -> None:
        """`reason` goes on from "the token is refused: "."""
        super().__init__(reason)
        self.reason = reason


@final
class UnknownKey(InvalidToken):
    """The token names a key that is not in the set; a newer set may have it."""


@final
class InvalidKeys(BailiwickError):
    """A document is no JWK Set, or holds no key that could verify a token."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Unverified:
    """A token of the right form. `signed` is what `signature` is over; `header` and `claims` are not yet anybody's."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    alg: str
    kid: str | None
    signed: bytes
    signature: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKey:
    """One key and the algorithms that it may verify. `kid` is None for a key without a name."""

    kid: str | None
    algorithms: frozenset[str]
    check: _Check

    def verify(self, token: Unverified) -> None:
        """Raise `InvalidToken` unless the token was signed with this key."""
        if token.alg not in self.algorithms:
            raise InvalidToken("the algorithm is none that the key is for")
        try:
            self.check(token.signature, token.signed, token.alg)
        except InvalidSignature:
            raise InvalidToken("the signature is wrong") from None


@final
class PublicKeys:
    """An issuer's keys, imported once."""

    def __init__(self, keys: tuple[PublicKey, ...]) -> None:
        self._keys = keys

    @staticmethod
    def parse(document: object) -> PublicKeys:
        """Import a JWK Set (RFC 7517 §5); raises `InvalidKeys`.

        Keys of other kinds and for other uses are passed over, as the standard says, and so are those that are broken,
        weak, or published with their private part. A set in which no key is left is refused.
        """
        listed = document.get("keys") if isinstance(document, dict) else None
        if not isinstance(listed, list):
            raise InvalidKeys("it is no JWK Set")
        if len(listed) > _MOST_KEYS:
            raise InvalidKeys(f"it holds more than {_MOST_KEYS} keys")
        keys = tuple(key for jwk in listed if isinstance(jwk, dict) and (key := _imported(jwk)) is not None)
        if not keys:
            raise InvalidKeys("it holds no public key that could verify a token")
        return PublicKeys(keys)

    def __len__(self) -> int:
        """How many keys can verify something."""
        return len(self._keys)

    def has(self, alg: str) -> bool:
        """Whether a key is for the algorithm."""
        return any(alg in key.algorithms for key in self._keys)

    def choose(self, kid: str | None, alg: str) -> PublicKey:
        """The one key that a token can be of: by its id, or without one the only key that is for the algorithm.

        Raises `UnknownKey` if the id is not in the set, and `InvalidToken` if its key is not for the algorithm.
        """
        named = self._keys if kid is None else tuple(key for key in self._keys if key.kid == kid)
        found = [key for key in named if alg in key.algorithms]
        if len(found) == 1:
            return found[0]
        if not named:
            raise UnknownKey("its key is not in the issuer's set")
        raise InvalidToken("more than one key could be its own" if found else "its key is not for its algorithm")


def read(text: str, *, longest: int = LONGEST) -> Unverified:
    """Read a token's form; raises `InvalidToken`. `longest` is in characters."""
    if len(text) > longest:
        raise InvalidToken("it is too long")
    parts = _FORM.fullmatch(text)
    if parts is None:
        raise InvalidToken("it is not three parts of base 64")
    first, second, third = parts.groups()
    header, alg, kid = _header(first)
    return Unverified(
        header=header,
        claims=_object(_octets(second), "claims"),
        alg=alg,
        kid=kid,
        signed=text[: parts.end(2)].encode(),
        signature=_octets(third),
    )


@lru_cache(maxsize=256)
def _header(part: str) -> tuple[Mapping[str, Any], str, str | None]:
    """Read a header, which is the same text in all tokens of a key; raises `InvalidToken`."""
    header = _object(_octets(part), "header")
    alg, kid = header.get("alg"), header.get("kid")
    if not isinstance(alg, str) or alg not in _ALGORITHMS:
        raise InvalidToken("the algorithm is none of those that are taken")
    if kid is not None and not isinstance(kid, str):
        raise InvalidToken("the key id is no text")
    if not _REFUSED_HEADERS.isdisjoint(header):
        raise InvalidToken("the header asks for what is not done here, or brings a key of its own")
    return MappingProxyType(header), alg, kid


def _octets(part: str) -> bytes:
    """Decode base64url in its one canonical spelling (RFC 7515 §2); the letters are known to be right."""
    left_over = len(part) % 4
    if left_over == 0:
        padded = part
    elif left_over in _LAST_OF and part[-1] in _LAST_OF[left_over]:
        padded = part + "=" * (4 - left_over)
    else:
        raise InvalidToken("the base 64 is not canonical")
    return binascii.a2b_base64(padded.translate(_STANDARD_LETTERS))


def _object(octets: bytes, what: str) -> dict[str, Any]:
    try:
        # Decoded first, and as UTF-8: given bytes, the parser would take UTF-16 and UTF-32 as well.
        text = octets.decode()
        value = _JSON.decode(text)
        if "\\u" in text:
            # An escape can spell half of a character, which no database and no answer could hold.
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise InvalidToken(f"the {what} cannot be read") from None
    if not isinstance(value, dict):
        raise InvalidToken(f"the {what} are no object" if what == "claims" else "the header is no object")
    if text.count("{") + text.count("[") > _DEEPEST and _depth(value) > _DEEPEST:
        raise InvalidToken(f"the {what} cannot be read")
    return value


def _depth(value: object) -> int:
    """How many objects and arrays stand within one another."""
    depth, level = 0, [value]
    while level := [item for item in level if isinstance(item, (dict, list))]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth


def _imported(jwk: Mapping[str, Any]) -> PublicKey | None:
    """Import one key; None for one that verifies nothing here."""
    kid, operations = jwk.get("kid"), jwk.get("key_ops", ["verify"])
    if not (kid is None or isinstance(kid, str)) or not _PRIVATE.isdisjoint(jwk):
        return None
    if jwk.get("use", "sig") != "sig" or not isinstance(operations, list) or "verify" not in operations:
        return None
    try:
        algorithms, check = _verifier(jwk)
    except (ValueError, InvalidToken, UnsupportedAlgorithm):
        return None
    confined = frozenset(alg for alg in algorithms if jwk.get("alg", alg) == alg)
    return PublicKey(kid=kid, algorithms=confined, check=check) if confined else None


def _verifier(jwk: Mapping[str, Any]) -> tuple[frozenset[str], _Check]:
    """The algorithms that a JWK could verify, and how; raises one of what `_imported` catches."""
    match jwk.get("kty"), jwk.get("crv"):
        case "RSA", _:
            return _RSA, _rsa_check(jwk)
        case "EC", str(name) if name in _CURVES:
            curve, alg, size = _CURVES[name]
            x, y = _member(jwk, "x"), _member(jwk, "y")
            if len(x) != size or len(y) != size:
                raise ValueError("a coordinate has the wrong length (RFC 7518 §6.2.1.2)")
            numbers = ec.EllipticCurvePublicNumbers(int.from_bytes(x), int.from_bytes(y), curve())
            return frozenset({alg}), _ec_check(numbers.public_key(), size)
        case "OKP", "Ed25519":
            return frozenset({"EdDSA"}), _ed25519_check(Ed25519PublicKey.from_public_bytes(_member(jwk, "x")))
        case _:
            raise ValueError("a key of another kind")


def _member(jwk: Mapping[str, Any], name: str) -> bytes:
    text = jwk.get(name)
    if not isinstance(text, str) or _LETTERS.fullmatch(text) is None:
        raise ValueError("a member is missing, or no base 64")
    return _octets(text)


def _rsa_check(jwk: Mapping[str, Any]) -> _Check:
    modulus, exponent = int.from_bytes(_member(jwk, "n")), int.from_bytes(_member(jwk, "e"))
    least, most = _RSA_BITS
    if not least <= modulus.bit_length() <= most or exponent.bit_length() > _RSA_EXPONENT_BITS:
        raise ValueError("an RSA key that is too weak or too large (RFC 7518 §3.3)")
    key = rsa.RSAPublicNumbers(exponent, modulus).public_key()

    def check(signature: bytes, signed: bytes, alg: str) -> None:
        bits = alg[2:]
        key.verify(signature, signed, _PSS[bits] if alg.startswith("PS") else _PKCS1, _SHA[bits])

    return check


def _ec_check(key: ec.EllipticCurvePublicKey, size: int) -> _Check:
    def check(signature: bytes, signed: bytes, alg: str) -> None:
        if len(signature) != 2 * size:
            raise InvalidSignature
        r, s = int.from_bytes(signature[:size]), int.from_bytes(signature[size:])
        key.verify(encode_dss_signature(r, s), signed, _ECDSA[alg[2:]])

    return check


def _ed25519_check(key: Ed25519PublicKey) -> _Check:
    def check(signature: bytes, signed: bytes, _alg: str) -> None:
        key.verify(signature, signed)

    return check
