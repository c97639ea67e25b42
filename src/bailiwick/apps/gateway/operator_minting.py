"""`POST /v1/auth/mint` with an operator key: asked of the control process, which alone knows operators.

What it refuses is told as OpenAI's clients read it: its problem details become our errors.
"""

from __future__ import annotations

from typing import Any, Final, final

import msgspec

from bailiwick.domain.errors import Code, Refused, Unavailable
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.transport import Origin, Transport
from bailiwick.providers.transport_errors import TransportError

LONGEST_BODY: Final = 64 * 1024
_LONGEST_ANSWER: Final = 64 * 1024
_OK: Final = 200
_UNPROCESSABLE: Final = 422
_VISIBLE: Final = frozenset(map(chr, range(0x21, 0x7F)))
_PREFIX: Final = "bwa_"


def is_operator_key(credential: str) -> bool:
    """Whether this is meant to be one: whether it is, only the control process can say."""
    return credential.startswith(_PREFIX)


@final
class OperatorMinting:
    """Asks the control process for tokens."""

    def __init__(self, transport: Transport, *, socket: str) -> None:
        """`socket` is the control process's."""
        self._transport = transport
        self._origin = Origin(scheme="http", host="localhost", port=80, guarded=False, unix_path=socket)
        self._timeouts = Timeouts(connect=5.0, first_byte=60.0, between_bytes=60.0)

    async def mint(self, credential: str, body: bytes, *, ip: str) -> bytes:
        """The answer to a body of `POST /v1/auth/mint`, from an operator key that comes from an address.

        Raises `Refused` (400, 401, 403, 404) or `Unavailable`.
        """
        if not _VISIBLE.issuperset(credential):
            # Of this form is no key, and it would be more than a header's value.
            raise Refused(Code.INVALID_CREDENTIALS, "The operator key is not valid.")
        head = (
            "POST /admin/v1/auth/mint HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"authorization: Bearer {credential}\r\nx-forwarded-for: {ip}\r\ncontent-length: {len(body)}\r\n\r\n"
        ).encode()
        try:
            response = await self._transport.send(self._origin, (head, body), timeouts=self._timeouts)
            answer = await response.read(_LONGEST_ANSWER)
        except TransportError as error:
            raise Unavailable(cause=type(error).__name__) from None
        if response.status != _OK:
            raise _refused(response.status, msgspec.json.decode(answer, type=dict[str, Any]))
        return answer


def _refused(status: int, problem: dict[str, Any]) -> Refused:
    code = Code(problem["code"])
    if code is Code.UNAVAILABLE:
        return Unavailable(cause="the control process is not available")
    errors = problem.get("errors")
    if not errors:
        return Refused(code, problem["detail"], status=status)
    field, message = errors[0]["field"], errors[0]["message"]
    if status != _UNPROCESSABLE:
        return Refused(code, problem["detail"], param=field, status=status)
    return Refused(Code.INVALID_REQUEST, f"{field} {message}.", param=field)
