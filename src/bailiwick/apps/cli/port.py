"""The port that everything is served at: opened once, by the parent, so that it outlives whoever answers on it."""

from __future__ import annotations

import socket
from typing import Final

from bailiwick.apps.cli.cannot_start import CannotStart
from bailiwick.apps.http.tls import CertificateFiles, UnusableCertificate
from bailiwick.config import Config

_BACKLOG: Final = 4096
# Silent for a minute: asked every 10 seconds, three times. Sent, or to be sent, and not taken: a minute (milliseconds).
_CLIENT_PATIENCE: Final = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 60_000}


def listen(host: str, port: int) -> socket.socket:
    """Open the port; raises `CannotStart`."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise _cannot_listen(host, port, error) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _end_with_dead_clients(listener)
        listener.bind(address)
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise _cannot_listen(host, port, error) from error
    return listener


def address(settings: Config, listener: socket.socket, *, host: str | None = None) -> str:
    """Where the port is reached, as a URL without path; at `host`, or where it listens."""
    name = settings.host if host is None else host
    scheme = "http" if settings.tls_cert is None else "https"
    return f"{scheme}://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def check_certificate(settings: Config) -> None:
    """Raise `CannotStart` for a certificate that the gateway could not use."""
    if settings.tls_cert is not None and settings.tls_key is not None:
        try:
            CertificateFiles(certificate=str(settings.tls_cert), key=str(settings.tls_key)).context()
        except UnusableCertificate as error:
            raise CannotStart(str(error)) from None


def _cannot_listen(host: str, port: int, error: OSError) -> CannotStart:
    return CannotStart(f"cannot listen on {host} port {port}: {error.strerror}")


def _end_with_dead_clients(listener: socket.socket) -> None:
    """Have the system end every connection whose client takes nothing for a minute, or is gone without a word.

    What was accepted inherits it. Where a system knows no such option, its own longer patience holds.
    """
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _CLIENT_PATIENCE.items():
        if hasattr(socket, name):
            listener.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
