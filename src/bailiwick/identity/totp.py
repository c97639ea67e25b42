"""One-time codes of an authenticator application (RFC 6238: SHA-1, 30 seconds, 6 digits), and codes to fall back on.

A code is good for its own half minute and for one before and after it, and once: the number of the half minute that
was last used is kept, and nothing up to it is taken again (RFC 6238 §5.2). A recovery code has 80 random bits, so what
is stored of it is an HMAC, as of an API key.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final
from urllib.parse import quote

from pyotp.totp import TOTP

SECRET_BYTES: Final = 20
_STEP_SECONDS: Final = 30
_STEPS: Final = (-1, 0, 1)
_DIGITS: Final = 6
RECOVERY_CODES: Final = 10
RECOVERY_BYTES: Final = 10
_GROUP: Final = 4


def secret_text(random: bytes) -> str:
    """Write a secret of 20 random bytes as authenticators read it: base 32, 32 letters."""
    return base64.b32encode(random[:SECRET_BYTES]).decode()


def address(secret: str, *, account: str, issuer: str) -> str:
    """Write the `otpauth://` address that is shown as a QR code."""
    label = f"{quote(issuer, safe='')}:{quote(account, safe='@')}"
    return f"otpauth://totp/{label}?secret={secret}&issuer={quote(issuer, safe='')}"


def match(secret: str, code: str, *, unix_seconds: float, last_counter: int) -> int | None:
    """Return the number of the half minute that `code` is of, to be kept; None if it is wrong, old or used."""
    typed = "".join(code.split())
    if len(typed) != _DIGITS or not typed.isascii() or not typed.isdigit():
        return None
    totp = TOTP(secret)
    now = int(unix_seconds) // _STEP_SECONDS
    found: int | None = None
    for counter in (now + step for step in _STEPS):
        # All of them are compared, whichever fits.
        if hmac.compare_digest(totp.generate_otp(counter), typed) and counter > last_counter:
            found = counter
    return found


def recovery_codes(random: bytes) -> list[str]:
    """Write ten recovery codes from 100 random bytes, each as four groups of four letters and digits."""
    codes = []
    for place in range(RECOVERY_CODES):
        piece = random[place * RECOVERY_BYTES : (place + 1) * RECOVERY_BYTES]
        text = base64.b32encode(piece).decode().lower()
        codes.append("-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP)))
    return codes


def recovery_digest(pepper: bytes, code: str) -> bytes:
    """Return what is stored of a recovery code, however it was typed: 32 bytes."""
    typed = "".join(letter for letter in code.lower() if letter.isalnum())
    return hmac.digest(pepper, b"recovery/1" + typed.encode(), "sha256")
