"""What the parent process hands to a child: a JSON line on its standard input.

Nothing secret stands in an environment or on a command line, where other processes could read it. The pipe stays open
for the child's life: its end means that the parent is gone, and the child drains and leaves.
The form is internal to one version: parent and child are always of the same release.
"""

from __future__ import annotations

import msgspec


class GatewaySecrets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What of a gateway's secrets a rotation of the master key changes; told anew, in a line of its own, while it runs.

    Providers' secrets are sealed with one of `sealing`: during a rotation there are two.
    """

    app_url: str
    ledger_url: str
    sealing: list[bytes]


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that a gateway process is told."""

    secrets: GatewaySecrets
    pepper: bytes
    pseudonyms: bytes
    public_url: str
    listen_fd: int
    own_socket: str
    tls_cert: str | None
    tls_key: str | None
    control_socket: str
    limits_snapshot: str
    base_domain: str | None
    trusted_proxies: list[str]
    outbound_allow: list[str]
    metrics_allow: list[str]
    guard_requests: int
    guard_failures: int
    max_body_bytes: int
    max_buffered_bytes: int
    max_open_calls: int
    max_header_bytes: int
    provider_connect_seconds: float
    provider_first_byte_seconds: float
    provider_between_bytes_seconds: float
    provider_total_seconds: float
    drain_seconds: float
    traces: bool
    trace_providers: bool
    log_level: str
    log_format: str


class ControlSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All that the control process is told."""

    control_url: str
    pepper: bytes
    operator_pepper: bytes
    sealing: bytes
    audit: bytes
    audit_witness: str
    sign_in_pepper: bytes
    sign_in_sealing: bytes
    session_idle_seconds: int
    session_seconds: int
    socket: str
    gateway_socket: str
    outbound_allow: list[str]
    public_url: str
    log_level: str
    log_format: str
