"""What can go wrong between us and a provider, below the meaning of its answer.

No message holds an address, a name or a byte of what was sent or received; the system's own error is the `__cause__`.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, final

from bailiwick.domain.errors import BailiwickError

Phase: TypeAlias = Literal["connect", "send", "first_byte", "between_bytes", "total"]


class TransportError(BailiwickError):
    """A request was not answered, or not to its end."""


@final
class ConnectFailed(TransportError):
    """There is no connection: nothing was sent. Refused addresses (`OutboundRefused`) end here too."""


@final
class TransportTimeout(TransportError):
    """The provider took too long; `phase` says over what."""

    def __init__(self, phase: Phase) -> None:
        """`phase`: to connect (or to get a connection's turn), to read our upload, to answer, to go on, altogether."""
        super().__init__(f"timed out: {phase}")
        self.phase: Phase = phase


@final
class ConnectionBroken(TransportError):
    """The connection ended before the response did.

    `reused and not answered` is the mark of a connection that the provider closed while it was idle; `unheard` is the
    proof. Whether to send the request again is the caller's decision.
    """

    def __init__(self, message: str, *, reused: bool = False, answered: bool = False, unheard: bool = False) -> None:
        """`reused`: the connection had served before. `answered`: a byte of the response had arrived.

        `unheard`: when the peer closed, it had not received the whole request.
        """
        super().__init__(message)
        self.reused = reused
        self.answered = answered
        self.unheard = unheard


@final
class ResponseGarbled(TransportError):
    """What came is not HTTP/1.1 as we accept it, its head beyond bounds included."""


@final
class ResponseTooLarge(TransportError):
    """The body exceeds what the caller was ready to take."""
