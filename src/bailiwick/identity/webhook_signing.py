"""Signatures of what webhooks are sent: Standard Webhooks 1.0, symmetric scheme.

A secret is written `whsec_` and base 64 of 32 random bytes. A signature is `v1,` and base 64 of HMAC-SHA-256 over
`<webhook-id>.<webhook-timestamp>.<body>`; while two secrets are good there are two, with a space between them.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Iterable
from typing import Final

SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"


def make_secret(random: bytes) -> str:
    """Write a secret of 32 random bytes."""
    return _PREFIX + base64.b64encode(random).decode()


def signature(secrets: Iterable[str], event: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`; `event` is the event's id and `timestamp` the attempt's, in Unix seconds."""
    signed = f"{event}.{timestamp}.".encode() + body
    return " ".join(f"v1,{_signed(secret, signed)}" for secret in secrets)


def _signed(secret: str, content: bytes) -> str:
    key = base64.b64decode(secret.removeprefix(_PREFIX))
    return base64.b64encode(hmac.digest(key, content, "sha256")).decode()
