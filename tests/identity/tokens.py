"""Tokens for tests: signed by a library that the product does not use, or by hand where no library would."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey

from bailiwick.domain.access_tokens import ALGORITHMS

Key = RSAKey | ECKey | OKPKey
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@cache
def key_for(alg: str, kid: str | None = "k1") -> Key:
    """A key for an algorithm, always the same."""
    parameters: Any = {} if kid is None else {"kid": kid}
    if alg in _CURVES:
        return ECKey.generate_key(_CURVES[alg], parameters)
    if alg == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    return RSAKey.generate_key(2048, parameters)


def public(key: Key, **members: object) -> dict[str, Any]:
    """The public half as a JWK, with other members; None takes one away."""
    jwk = {**key.as_dict(private=False), **members}
    return {name: value for name, value in jwk.items() if value is not None}


def part(value: bytes | str | Mapping[str, Any]) -> str:
    """One part of a token."""
    if isinstance(value, Mapping):
        value = json.dumps(value)
    octets = value.encode() if isinstance(value, str) else value
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def signed(claims: bytes | Mapping[str, Any], key: Key | None = None, *, alg: str = "ES256", **header: object) -> str:
    """A token with a signature that is right, whatever it says; None takes a member of the header away."""
    members = {"alg": alg, "kid": "k1", **header}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    return signed_text(json.dumps({n: v for n, v in members.items() if v is not None}), payload, key, alg=alg)


def signed_text(header: str, payload: bytes, key: Key | None = None, *, alg: str = "ES256") -> str:
    """The same with a header as it is written."""
    text = f"{part(header)}.{part(payload)}"
    model = jws.JWSRegistry.algorithms[alg]
    return f"{text}.{part(model.sign(text.encode(), key or key_for(alg)))}"


def bits_of(text: str, place: int) -> list[str]:
    """The same text with another last letter of one part, which base 64 without care reads as the same octets."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    parts = text.split(".")
    last = letters.index(parts[place][-1])
    spare = {2: 16, 3: 4}.get(len(parts[place]) % 4, 1)
    found = []
    for other in range(last - last % spare, last - last % spare + spare):
        if other != last:
            changed = parts[place][:-1] + letters[other]
            found.append(".".join((*parts[:place], changed, *parts[place + 1 :])))
    return found


__all__ = ["ALGORITHMS", "Key", "bits_of", "key_for", "part", "public", "signed", "signed_text"]
