"""`/metrics`: for this machine, and for the networks that the operator names.

To everybody else there is nothing at this address, as at any that does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network
from typing import Any, Final, final

from bailiwick.apps.http.client_ip import ClientIp
from bailiwick.telemetry import exposition

CONTENT_TYPE: Final = (b"content-type", exposition.CONTENT_TYPE)


@final
class MetricsPage:
    """Says who may read the metrics, and writes them."""

    def __init__(
        self, written: exposition.Exposition, client_ip: ClientIp, allowed: Sequence[IPv4Network | IPv6Network]
    ) -> None:
        """`allowed` are the networks whose clients may read, beside this machine."""
        self._written = written
        self._client_ip = client_ip
        self._allowed = tuple(allowed)

    def may_read(self, scope: Mapping[str, Any]) -> bool:
        """Whether the client of a request (ASGI 3) may."""
        peer = scope.get("client")
        address = self._client_ip.exact(None if peer is None else peer[0], scope["headers"])
        return address is not None and (
            address.is_loopback
            or any(address in network for network in self._allowed if network.version == address.version)
        )

    def write(self) -> bytes:
        """The metrics of this process, as Prometheus reads them."""
        return self._written.write()
