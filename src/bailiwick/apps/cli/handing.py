"""What each child of `serve` is handed: its settings, and of the secrets those that its work needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from bailiwick.apps import audit_witness
from bailiwick.apps.cli.store import Store
from bailiwick.apps.handover import ControlSettings, GatewaySecrets, GatewaySettings
from bailiwick.config import Config
from bailiwick.identity.keyring import MasterKey, gateway_keys
from bailiwick.storage import roles


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Handing:
    """Says it by what holds at the moment: the keys of `store` may have been rotated since."""

    settings: Config
    store: Store
    control_socket: Path
    gateway_socket: Path
    listen_fd: int
    public_url: str

    def to_control(self) -> ControlSettings:
        """All that the control process is told."""
        settings = self.settings
        keys = self.store.key.control_keys(self.store.lasting)
        return ControlSettings(
            control_url=self.store.urls[roles.CONTROL],
            pepper=keys.pepper,
            operator_pepper=keys.operator_pepper,
            sealing=keys.sealing,
            audit=keys.audit,
            audit_witness=str(settings.data_dir.resolve() / audit_witness.FILE),
            sign_in_pepper=keys.sign_in_pepper,
            sign_in_sealing=keys.sign_in_sealing,
            session_idle_seconds=settings.session_idle_seconds,
            session_seconds=settings.session_seconds,
            socket=str(self.control_socket),
            gateway_socket=str(self.gateway_socket),
            outbound_allow=[str(network) for network in settings.outbound_allow],
            public_url=self.public_url,
            log_level=settings.log_level,
            log_format=settings.log_format,
        )

    def gateway_secrets(self, *following: MasterKey) -> GatewaySecrets:
        """What a rotation changes of a gateway's secrets; `following` are keys that it may meet besides."""
        urls = self.store.urls
        return GatewaySecrets(
            app_url=urls[roles.APP],
            ledger_url=urls[roles.LEDGER],
            sealing=[key.sealing() for key in (self.store.key, *following)],
        )

    def to_gateway(self, *following: MasterKey) -> GatewaySettings:
        """All that a gateway process is told."""
        settings = self.settings
        keys = gateway_keys(self.store.lasting)
        return GatewaySettings(
            secrets=self.gateway_secrets(*following),
            pepper=keys.pepper,
            pseudonyms=keys.pseudonyms,
            public_url=self.public_url,
            listen_fd=self.listen_fd,
            own_socket=str(self.gateway_socket),
            tls_cert=_text(settings.tls_cert),
            tls_key=_text(settings.tls_key),
            control_socket=str(self.control_socket),
            limits_snapshot=str(settings.data_dir.resolve() / "run" / "limits.snapshot"),
            base_domain=settings.base_domain,
            trusted_proxies=[str(network) for network in settings.trusted_proxies],
            outbound_allow=[str(network) for network in settings.outbound_allow],
            metrics_allow=[str(network) for network in settings.metrics_allow],
            guard_requests=settings.guard_requests,
            guard_failures=settings.guard_failures,
            max_body_bytes=settings.max_body_bytes,
            max_buffered_bytes=settings.max_buffered_bytes,
            max_open_calls=settings.max_open_calls,
            max_header_bytes=settings.max_header_bytes,
            provider_connect_seconds=settings.provider_connect_seconds,
            provider_first_byte_seconds=settings.provider_first_byte_seconds,
            provider_between_bytes_seconds=settings.provider_between_bytes_seconds,
            provider_total_seconds=settings.provider_total_seconds,
            drain_seconds=settings.drain_seconds,
            traces=settings.traces,
            trace_providers=settings.trace_providers,
            log_level=settings.log_level,
            log_format=settings.log_format,
        )


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path.resolve())
