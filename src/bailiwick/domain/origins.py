"""Origins: which pages of the web may ask a project, from the control plane's list to values; pure.

`["https://app.example.com", "http://localhost:3000"]`

A listed origin is compared byte for byte with the `Origin` that a browser sends, so only the one spelling is taken that
browsers use (RFC 6454 §6.2; of hosts, WHATWG URL "host serializing"): scheme and host in lower case, no default port,
no path, other scripts as `xn--`. There are no wildcards: whoever can put a page on any host that one matches could ask
in the name of the project. `null` is what every sandboxed frame and local file sends, so it names nobody.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from bailiwick.domain.fields import Findings, invalid

MAX_ORIGINS: Final = 100
_LONGEST_HOST: Final = 253
_MOST_PORT: Final = 65_535
_FIELD: Final = "cors_origins"
# Extensions and applications in a shell of their own have schemes of their own: chrome-extension, capacitor, tauri.
_ORIGIN: Final = re.compile(
    r"(?P<scheme>[a-z][a-z0-9+.-]{0,39})://"
    r"(?P<host>\[[0-9a-f:]+\]|[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)"
    r"(?::(?P<port>[1-9][0-9]{0,4}))?"
)
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_FORM: Final = "must be scheme://host or scheme://host:port as a browser writes it: in lower case and without a path"


def read_origins(texts: Sequence[str]) -> tuple[str, ...]:
    """Take the origins of a project; raises `Invalid`."""
    if len(texts) > MAX_ORIGINS:
        raise invalid(_FIELD, f"must be at most {MAX_ORIGINS}")
    if len(set(texts)) < len(texts):
        raise invalid(_FIELD, "must not name anything twice")
    findings = Findings()
    for number, text in enumerate(texts):
        with findings.noted():
            _check(f"{_FIELD}.{number}", text)
    findings.or_raise()
    return tuple(texts)


def _check(field: str, text: str) -> None:
    if text == "null":
        raise invalid(field, "must name an origin: every sandboxed frame and local file sends null")
    if "*" in text:
        raise invalid(field, "must name one origin: there are no wildcards")
    parts = _ORIGIN.fullmatch(text)
    if parts is None or len(parts["host"]) > _LONGEST_HOST or not _is_host(parts["host"]):
        raise invalid(field, _FORM)
    port = parts["port"]
    if port is not None and (int(port) > _MOST_PORT or port == _DEFAULT_PORTS.get(parts["scheme"])):
        raise invalid(field, "must name a port from 1 to 65535, and not the one that its scheme has by default")


def _is_host(host: str) -> bool:
    """Whether a browser writes it like this: an address has one spelling."""
    try:
        if host.startswith("["):
            return str(IPv6Address(host[1:-1])) == host[1:-1]
        # What ends in a number is an address or nothing (WHATWG URL, "ends in a number checker").
        return not host.rstrip(".").rpartition(".")[2].isdigit() or str(IPv4Address(host)) == host
    except ValueError:
        return False
