"""Values that others carry for us and bring back: sealed, so that they can neither read nor make them.

Each is sealed for one purpose and opens for no other. The form is internal and short-lived: whatever was sealed by
another version, or long ago, is as good as nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Final, TypeVar, final

import msgspec

from bailiwick.identity.sealing import CannotOpen, seal, unseal

Value = TypeVar("Value", bound=msgspec.Struct)
_NONCE: Final = 12
_LONGEST: Final = 4096


@final
class SealedValues:
    """Seals and opens."""

    def __init__(self, key: bytes, *, entropy: Callable[[int], bytes], longest: int = _LONGEST) -> None:
        """`key` is 32 bytes; `entropy` gives so many bytes that nobody can guess; `longest` bounds what is opened."""
        self._key = key
        self._longest = longest
        self._entropy = entropy

    def seal(self, purpose: str, value: msgspec.Struct) -> str:
        """Seal a value, as letters, digits, `-` and `_`."""
        text = msgspec.json.encode(value).decode()
        sealed = seal(self._key, f"browser/{purpose}".encode(), text, self._entropy(_NONCE))
        return base64.urlsafe_b64encode(sealed).rstrip(b"=").decode()

    def open(self, purpose: str, text: str, kind: type[Value]) -> Value | None:
        """Open what was sealed for this purpose; None for anything else. How old it may be is its user's to say."""
        if not text.isascii() or len(text) > self._longest:
            return None
        try:
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            return msgspec.json.decode(unseal(self._key, f"browser/{purpose}".encode(), sealed), type=kind)
        except (binascii.Error, CannotOpen, msgspec.MsgspecError, UnicodeDecodeError):
            return None
