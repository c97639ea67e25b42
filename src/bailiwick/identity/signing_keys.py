"""The installation's own signing keys: ECDSA on P-256 (ES256, RFC 7518 §3.4), named by what they are.

    key = make()
    text = key.sign(claims)                     # a JWS in its compact form (RFC 7515 §7.1)
    {"keys": [key.public_jwk()]}                # what others verify it with

The name of a key is its thumbprint (RFC 7638), so that no two keys ever share one. The private half leaves only as the
text that `from_private_pem` takes, for whoever seals it.
"""

from __future__ import annotations

import hashlib
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from typing import Any, Final, final

import msgspec
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bailiwick.domain.access_tokens import ALGORITHM, TYPE

_ECDSA: Final = ec.ECDSA(hashes.SHA256())
_OCTETS: Final = 32


@final
class SigningKey:
    """One key pair."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        """`key` is on P-256."""
        self._key = key
        numbers = key.public_key().public_numbers()
        # The members of the thumbprint, in the order in which it takes them (RFC 7638 §3.2).
        essential = {
            "crv": "P-256",
            "kty": "EC",
            "x": _text(numbers.x.to_bytes(_OCTETS)),
            "y": _text(numbers.y.to_bytes(_OCTETS)),
        }
        self.kid: Final = _text(hashlib.sha256(msgspec.json.encode(essential)).digest())
        self._public = {**essential, "kid": self.kid, "use": "sig", "alg": ALGORITHM}
        self._headers: dict[str, bytes] = {}

    def public_jwk(self) -> dict[str, str]:
        """The public half, as a JWK (RFC 7517)."""
        return dict(self._public)

    def private_pem(self) -> str:
        """The private half as PKCS #8 in PEM: to be sealed, never to be shown."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def sign(self, claims: Mapping[str, Any], *, typ: str = TYPE) -> str:
        """Sign claims as a token of the type `typ` (RFC 8725 §3.11)."""
        header = self._headers.get(typ)
        if header is None:
            written = msgspec.json.encode({"alg": ALGORITHM, "typ": typ, "kid": self.kid})
            header = self._headers[typ] = _part(written)
        signed = header + b"." + _part(msgspec.json.encode(claims))
        r, s = decode_dss_signature(self._key.sign(signed, _ECDSA))
        return (signed + b"." + _part(r.to_bytes(_OCTETS) + s.to_bytes(_OCTETS))).decode()


def make() -> SigningKey:
    """Make a new key pair."""
    return SigningKey(ec.generate_private_key(ec.SECP256R1()))


def from_private_pem(text: str) -> SigningKey:
    """Read what `private_pem` wrote; raises ValueError for anything else."""
    key = load_pem_private_key(text.encode(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError("it is no key on P-256")  # noqa: TRY004 - the text is wrong, whatever class it was read as
    return SigningKey(key)


def _part(octets: bytes) -> bytes:
    return urlsafe_b64encode(octets).rstrip(b"=")


def _text(octets: bytes) -> str:
    return _part(octets).decode()
