"""Ids: UUIDv7 inside (RFC 9562 §5.7), a typed prefix and 26 characters of Crockford's base 32 outside.

`ten_01k…` sorts by time, cannot be guessed (74 random bits) and says what it names; a text with the wrong prefix, the
wrong length or a foreign letter is no id at all. Clock and randomness are the caller's.
"""

from __future__ import annotations

from typing import Final, NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
ProjectId = NewType("ProjectId", UUID)
KeyId = NewType("KeyId", UUID)
ProviderId = NewType("ProviderId", UUID)
OperatorId = NewType("OperatorId", UUID)
OperatorKeyId = NewType("OperatorKeyId", UUID)
SessionId = NewType("SessionId", UUID)
SignInProviderId = NewType("SignInProviderId", UUID)
TierId = NewType("TierId", UUID)
RevocationId = NewType("RevocationId", UUID)
IssuerId = NewType("IssuerId", UUID)
AgentId = NewType("AgentId", UUID)
AgentVersionId = NewType("AgentVersionId", UUID)
MemberId = NewType("MemberId", UUID)
RoleId = NewType("RoleId", UUID)
McpServerId = NewType("McpServerId", UUID)
BudgetId = NewType("BudgetId", UUID)
WebhookId = NewType("WebhookId", UUID)
DeliveryId = NewType("DeliveryId", UUID)

TENANT: Final = "ten"
PROJECT: Final = "prj"
KEY: Final = "key"
PROVIDER: Final = "prv"
OPERATOR: Final = "opr"
OPERATOR_KEY: Final = "opk"
AUDIT_ENTRY: Final = "aud"
SESSION: Final = "ses"
SIGN_IN_PROVIDER: Final = "sip"
TIER: Final = "tir"
REVOCATION: Final = "rev"
ISSUER: Final = "iss"
AGENT: Final = "agt"
AGENT_VERSION: Final = "agv"
MEMBER: Final = "mem"
ROLE: Final = "rol"
MCP_SERVER: Final = "mcp"
BUDGET: Final = "bud"
WEBHOOK: Final = "whk"
DELIVERY: Final = "whd"
EVENT: Final = "evt"

_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES: Final = {letter: value for value, letter in enumerate(_LETTERS)}
_LENGTH: Final = 26
# A random hex digit with its upper two bits set to 10 (RFC 9562 §4.1).
_VARIANT: Final = {f"{digit:x}": f"{digit & 0b11 | 0b1000:x}" for digit in range(16)}


def uuid7_int(unix_ms: int, random: bytes) -> int:
    """Build the 128 bits of a UUIDv7 from a time in milliseconds and 10 random bytes."""
    noise = int.from_bytes(random[:10], "big")
    return (
        (unix_ms & 0xFFFF_FFFF_FFFF) << 80
        | 0x7 << 76
        | (noise >> 68 & 0xFFF) << 64
        | 0b10 << 62
        | noise & 0x3FFF_FFFF_FFFF_FFFF
    )


def uuid7_hex(unix_ms: int, noise: str) -> str:
    """Write the same as 32 hex digits, of which 20 random ones are given: without arithmetic, in half the time."""
    return f"{unix_ms & 0xFFFF_FFFF_FFFF:012x}7{noise[:3]}{_VARIANT[noise[4]]}{noise[5:20]}"


def uuid7(unix_ms: int, random: bytes) -> UUID:
    """Build a UUIDv7 from a time in milliseconds and 10 random bytes."""
    return UUID(int=uuid7_int(unix_ms, random))


def shown(prefix: str, value: UUID) -> str:
    """Write an id as clients see it."""
    number = value.int
    letters = [""] * _LENGTH
    for place in range(_LENGTH - 1, -1, -1):
        letters[place] = _LETTERS[number & 31]
        number >>= 5
    return f"{prefix}_{''.join(letters)}"


def parsed(prefix: str, text: str) -> UUID | None:
    """Read what `shown` wrote; None for anything else, other spellings of the same number included."""
    if len(text) != len(prefix) + 1 + _LENGTH or not text.startswith(prefix + "_"):
        return None
    number = 0
    for letter in text[len(prefix) + 1 :]:
        value = _VALUES.get(letter)
        if value is None:
            return None
        number = number << 5 | value
    return UUID(int=number) if number < 1 << 128 else None
