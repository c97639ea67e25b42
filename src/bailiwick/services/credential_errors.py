"""How credentials are refused."""

from __future__ import annotations

from typing import final

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.principal import Grant


@final
class EndedCredential(Refused):
    """Refused to whoever has a credential that has ended; `grant` is what it stood for."""

    def __init__(self, code: Code, message: str, grant: Grant) -> None:
        super().__init__(code, message)
        self.grant = grant


def refused_credentials() -> Refused:
    """The one answer to unknown, wrong and malformed credentials."""
    return Refused(Code.INVALID_CREDENTIALS, "The API key or token is not valid.")
