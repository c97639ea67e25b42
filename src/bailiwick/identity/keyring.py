"""Every key of the installation, derived from two secrets of 256 bits (HKDF-SHA-256, RFC 5869).

From the *master key*, which can be rotated, follows what can be made anew: what secrets are sealed with, the passwords
of the database's roles, the signatures of the audit log's heads. From the *lasting secret*, which is made once and kept
in the database, sealed with the master key, follows what cannot: the peppers of keys, links and sessions, whose texts
nobody but their holders has, and the names by which providers know end users.

The parent process holds both and hands each child only the keys that its work needs, so that the gateway, which talks
to the world, can neither log in as the control process nor make an operator's key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final, final
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bailiwick.identity.sealing import seal, unseal

_SIZE: Final = 32
_LASTING_ROW: Final = b"lasting_secret/1"


class InvalidMasterKey(ValueError):
    """The text is no master key."""


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class MasterKey:
    """256 random bits from which what is secret at rest follows. Written as 43 characters of URL-safe base 64."""

    secret: bytes

    @classmethod
    def parse(cls, text: str) -> MasterKey:
        """Read the written form; raises `InvalidMasterKey`, whose message holds nothing of the text."""
        try:
            secret = base64.urlsafe_b64decode(text.strip() + "=" * (-len(text.strip()) % 4))
        except (binascii.Error, ValueError):
            secret = b""
        if len(secret) != _SIZE:
            msg = "the master key must be 32 bytes in URL-safe base 64 (43 characters)"
            raise InvalidMasterKey(msg)
        return cls(secret=secret)

    def written(self) -> str:
        """Write the form that `parse` reads."""
        return base64.urlsafe_b64encode(self.secret).rstrip(b"=").decode()

    def derive(self, purpose: str) -> bytes:
        """The 32-byte key for a purpose. Purposes are never renamed: what they sealed would be lost."""
        return _derived(self.secret, purpose)

    def role_password(self, role: str) -> str:
        """The password of one of our database roles."""
        return self.derive(f"role/{role}").hex()

    def check_value(self) -> str:
        """What the database keeps to tell that it is asked with the key it was made with."""
        return hmac.new(self.derive("check"), b"bailiwick", hashlib.sha256).hexdigest()

    def fingerprint(self) -> str:
        """How the audit log tells this key from others."""
        return f"hmac-sha256:{self.check_value()[:16]}"

    def seal_lasting(self, lasting: bytes, nonce: bytes) -> bytes:
        """Seal the lasting secret; `nonce` is 12 random bytes, never used twice with one key."""
        return seal(self.derive("lasting-secret/1"), _LASTING_ROW, lasting.hex(), nonce)

    def open_lasting(self, sealed: bytes) -> bytes:
        """Open what `seal_lasting` made; raises `CannotOpen`."""
        return bytes.fromhex(unseal(self.derive("lasting-secret/1"), _LASTING_ROW, sealed))

    def sealing(self) -> bytes:
        """The key that providers' secrets are sealed with."""
        return self.derive("provider-secrets/1")

    def sign_in_sealing(self) -> bytes:
        """The key that people's second factors and the secrets of OpenID clients are sealed with."""
        return self.derive("sign-in-secrets/1")

    def audit(self) -> bytes:
        """The key that the heads of the audit log are signed with."""
        return self.derive("audit-heads/1")

    def control_keys(self, lasting: bytes) -> ControlKeys:
        """The keys that the control process needs, and no others."""
        return ControlKeys(
            pepper=_derived(lasting, "api-key-pepper/1"),
            operator_pepper=_derived(lasting, "operator-key-pepper/1"),
            sealing=self.sealing(),
            audit=self.audit(),
            sign_in_pepper=_derived(lasting, "sign-in-pepper/1"),
            sign_in_sealing=self.sign_in_sealing(),
        )


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class GatewayKeys:
    """What lasts of a gateway's keys: to recognize API keys, to write pseudonyms."""

    pepper: bytes
    pseudonyms: bytes


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ControlKeys:
    """What the control process needs.

    To make API keys, recognize operator keys, seal providers' secrets, sign the audit log's heads; to recognize
    sessions, links and recovery codes, and to seal what people sign in with.
    """

    pepper: bytes
    operator_pepper: bytes
    sealing: bytes
    audit: bytes
    sign_in_pepper: bytes
    sign_in_sealing: bytes


def _derived(secret: bytes, purpose: str) -> bytes:
    return HKDF(algorithm=SHA256(), length=_SIZE, salt=None, info=b"bailiwick/" + purpose.encode()).derive(secret)


def gateway_keys(lasting: bytes) -> GatewayKeys:
    """The lasting keys that a gateway process needs, and no others."""
    return GatewayKeys(
        pepper=_derived(lasting, "api-key-pepper/1"),
        pseudonyms=_derived(lasting, "pseudonyms/1"),
    )


def mcp_session_key(pseudonyms: bytes) -> bytes:
    """The key that sessions of tool servers are sealed with: a gateway's own, from what it has for pseudonyms."""
    return _derived(pseudonyms, "mcp-sessions/1")


def fingerprint(key: bytes, secret: str | None) -> str | None:
    """How the audit log tells one secret from another without holding either: 64 bits under a key of ours.

    A plain digest would let whoever reads the log try guesses. `key` is what the secret is sealed with; it is never
    used for both.
    """
    if secret is None:
        return None
    own = HKDF(algorithm=SHA256(), length=_SIZE, salt=None, info=b"bailiwick/fingerprints/1").derive(key)
    return "hmac-sha256:" + hmac.digest(own, secret.encode(), "sha256").hex()[:16]


def pseudonym(key: bytes, tenant: UUID, uid: str) -> str:
    """The name by which a provider knows an end user: stable within a tenant, meaningless outside it.

    HMAC-SHA-256 under a key of the tenant, 128 bits in hex after `u_`.
    """
    tenant_key = hmac.digest(key, tenant.bytes, "sha256")
    return "u_" + hmac.digest(tenant_key, uid.encode(), "sha256").hex()[:32]
