"""TLS on the port (RFC 8446): version 1.2 or newer, with the certificate and key of two PEM files.

A certificate lives for some weeks, a server longer: the files are looked at every second, and what was renewed is
taken for the connections that come after. What cannot be used is told once and not taken; the one before goes on.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn, final

_LOOK_SECONDS: Final = 1.0


class UnusableCertificate(Exception):
    """The files cannot be used; the message says which and why."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateFiles:
    """Where the certificate (with what leads to its root) and its key are, as PEM."""

    certificate: str
    key: str

    def context(self) -> ssl.SSLContext:
        """Read them; raises `UnusableCertificate`."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        self.load_into(context)
        return context

    def load_into(self, context: ssl.SSLContext) -> None:
        """Read them for the connections to come; raises `UnusableCertificate`."""
        for what, path in (("certificate", self.certificate), ("key", self.key)):
            try:
                with Path(path).open("rb") as file:
                    file.read(1)
            except OSError as error:
                message = f"the TLS {what} {path} cannot be read: {error.strerror}"
                raise UnusableCertificate(message) from None

        def ask_password() -> NoReturn:
            message = f"the TLS key {self.key} is encrypted; give one without a password, readable by this account only"
            raise UnusableCertificate(message)

        try:
            context.load_cert_chain(self.certificate, self.key, password=ask_password)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                message = f"the TLS key {self.key} is not that of the certificate {self.certificate}"
            else:
                message = f"the TLS certificate {self.certificate} and key {self.key} cannot be used: they must be PEM"
            raise UnusableCertificate(message) from None

    def changed_at(self) -> tuple[int, ...] | None:
        """Return what differs after a renewal; None while a file is not there."""
        try:
            found = [Path(path).stat() for path in (self.certificate, self.key)]
        except OSError:
            return None
        return tuple(number for stat in found for number in (stat.st_mtime_ns, stat.st_ino, stat.st_size))


async def follow(files: CertificateFiles, context: ssl.SSLContext, tell: Callable[[str], None]) -> None:
    """Take what is renewed into `context`, for ever; `tell` gets a sentence for each change."""
    taken = files.changed_at()
    while True:
        await asyncio.sleep(_LOOK_SECONDS)
        found = files.changed_at()
        if found is None or found == taken:
            continue
        taken = found
        try:
            # Tried elsewhere first: a pair that does not match would leave a context with half of it.
            files.context()
            files.load_into(context)
        except UnusableCertificate as error:
            tell(f"{error}; the one before stays in use")
        else:
            tell("the TLS certificate was renewed")
