"""The configuration: one frozen value, parsed once, from flags and `BAILIWICK_*` variables.

This is the only module that reads the environment. A flag beats its variable, a variable the
default. A `BAILIWICK_*` variable that is no setting is refused: a misspelt limit is a missing one. Every setting is
described in `docs/reference/settings.md`, and a test holds that.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, Final, final
from urllib.parse import urlsplit

from bailiwick.domain.models import ProviderKind
from bailiwick.domain.providers import EnvironmentProvider
from bailiwick.identity.keyring import InvalidMasterKey, MasterKey

Network = IPv4Network | IPv6Network
_PREFIX: Final = "BAILIWICK_"
# For clients, the commands that administer among them.
_NOT_OURS: Final = frozenset({"BAILIWICK_API_KEY", "BAILIWICK_BASE_URL", "BAILIWICK_ADMIN_KEY"})


class InvalidConfig(Exception):
    """A setting that cannot be; the message names it and says what was expected, never a secret's value."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting. `name` is the flag's without dashes; `secret` keeps the value out of messages."""

    name: str
    default: str | None
    help: str
    parse: Callable[[str], Any]
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable's name."""
        return _PREFIX + self.name.upper()

    @property
    def flag(self) -> str:
        """The flag's name."""
        return "--" + self.name.replace("_", "-")


def _text(value: str) -> str:
    if not value.strip():
        message = "must not be empty"
        raise ValueError(message)
    return value


def _number(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not lowest <= int(value) <= highest:
            message = f"must be a whole number from {lowest} to {highest}"
            raise ValueError(message)
        return int(value)

    return parse


def _seconds(value: str) -> float:
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1.0
    if not 0.1 <= seconds <= 86_400:  # noqa: PLR2004 - a tenth of a second to a day
        message = "must be a number of seconds from 0.1 to 86400"
        raise ValueError(message)
    return seconds


def _networks(value: str) -> tuple[Network, ...]:
    try:
        networks = tuple(ip_network(part.strip()) for part in value.split(",") if part.strip())
    except ValueError:
        message = "must be networks in CIDR form, separated by commas"
        raise ValueError(message) from None
    return networks


def _proxies(value: str) -> tuple[Network, ...]:
    networks = _networks(value)
    if any(network.prefixlen == 0 for network in networks):
        message = "must not trust every address: anybody could then claim to be anybody"
        raise ValueError(message)
    return networks


def _one_of(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            message = f"must be one of: {', '.join(allowed)}"
            raise ValueError(message)
        return value

    return parse


def _url(value: str) -> str:
    message = "must be an http or https URL, without credentials, query and fragment"
    try:
        parts = urlsplit(value)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise ValueError(message) from None
    if not named or parts.scheme not in {"http", "https"} or "@" in parts.netloc or parts.query or parts.fragment:
        raise ValueError(message)
    return value.rstrip("/")


def _domain(value: str) -> str:
    name = value.strip(".").lower()
    if not name or not all(part and part.replace("-", "").isalnum() for part in name.split(".")):
        message = "must be a domain name"
        raise ValueError(message)
    return name


def _master_key(value: str) -> MasterKey:
    try:
        return MasterKey.parse(value)
    except InvalidMasterKey as error:
        raise ValueError(str(error).removeprefix("the master key ")) from None


def _command(value: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(value))
    except ValueError:
        words = ()
    if not words:
        message = "must be a command and its arguments, quoted as a shell would have it"
        raise ValueError(message)
    return words


def _not_yet(what: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        del value
        message = f"{what} is not supported yet"
        raise ValueError(message)

    return parse


def _one_worker(value: str) -> int:
    if value != "1":
        message = "must be 1, since more than one worker is not supported yet"
        raise ValueError(message)
    return 1


SETTINGS: Final = (
    Setting(name="host", default="127.0.0.1", help="Address to listen on.", parse=_text),
    Setting(name="port", default="8080", help="Port to listen on; 0 takes a free one.", parse=_number(0, 65535)),
    Setting(name="data_dir", default=".bailiwick", help="Folder for what this installation keeps.", parse=Path),
    Setting(name="workers", default="1", help="Gateway processes; only 1 for now.", parse=_one_worker),
    Setting(
        name="database_url", default=None, help="Owner's login to a PostgreSQL of yours, instead of the embedded one.",
        parse=_text, secret=True,
    ),
    Setting(name="app_url", default=None, help="Login of bailiwick_app, if you made it.", parse=_text, secret=True),
    Setting(
        name="ledger_url", default=None, help="Login of bailiwick_ledger, if you made it.", parse=_text, secret=True
    ),
    Setting(
        name="control_url", default=None, help="Login of bailiwick_control, if you made it.", parse=_text, secret=True
    ),
    Setting(
        name="valkey_url", default=None, help="Valkey or Redis for limits; not supported yet.",
        parse=_not_yet("a shared limit store"), secret=True,
    ),
    Setting(name="limit_store", default="local", help="Where limits are kept: local.", parse=_one_of("local")),
    Setting(
        name="master_key", default=None, help="32 bytes in URL-safe base 64; made on the first start otherwise.",
        parse=_master_key, secret=True,
    ),
    Setting(
        name="master_key_command", default=None, help="Command that prints the master key, instead of a file.",
        parse=_command,
    ),
    Setting(
        name="tls_cert", default=None, help="PEM file of the certificate to serve HTTPS with.", parse=Path
    ),
    Setting(name="tls_key", default=None, help="PEM file of its key.", parse=Path),
    Setting(name="public_url", default=None, help="Where clients reach this installation.", parse=_url),
    Setting(name="base_domain", default=None, help="Serve {slug}.BASE_DOMAIN as that project.", parse=_domain),
    Setting(
        name="session_idle_seconds", default="1800", help="How long a person may do nothing and stay signed in.",
        parse=_number(60, 604_800),
    ),
    Setting(
        name="session_seconds", default="43200", help="How long a person stays signed in at the longest.",
        parse=_number(60, 2_592_000),
    ),
    Setting(
        name="trusted_proxies", default="", help="CIDRs whose X-Forwarded-For is believed.", parse=_proxies
    ),
    Setting(
        name="outbound_allow", default="", help="CIDRs of private addresses that providers may have.", parse=_networks
    ),
    Setting(
        name="guard_requests", default="1200000", help="Requests a minute from one address.",
        parse=_number(1, 1_000_000_000),
    ),
    Setting(
        name="guard_failures", default="120000", help="Refused requests a minute from one address.",
        parse=_number(1, 1_000_000_000),
    ),
    Setting(
        name="max_body_bytes", default="33554432", help="Largest request body, in bytes.",
        parse=_number(1024, 1_073_741_824),
    ),
    Setting(
        name="max_buffered_bytes", default="268435456", help="Most of all large bodies in memory, in bytes.",
        parse=_number(1024, 1_099_511_627_776),
    ),
    Setting(
        name="max_open_calls", default="8192", help="Most calls of one tenant at a time.",
        parse=_number(1, 1_000_000),
    ),
    Setting(
        name="ledger_months", default=None, help="Whole months of usage rows to keep; older ones are removed.",
        parse=_number(1, 1_200),
    ),
    Setting(
        name="max_header_bytes", default="32768", help="Largest request head, in bytes.", parse=_number(1024, 1_048_576)
    ),
    Setting(
        name="provider_connect_seconds", default="10", help="Patience for a connection to a provider.", parse=_seconds
    ),
    Setting(
        name="provider_first_byte_seconds", default="600", help="Patience for a provider's answer to begin.",
        parse=_seconds,
    ),
    Setting(
        name="provider_between_bytes_seconds", default="120", help="Patience for a provider's answer to go on.",
        parse=_seconds,
    ),
    Setting(
        name="provider_total_seconds", default="3600", help="Patience for a call, all its providers together.",
        parse=_seconds,
    ),
    Setting(name="drain_seconds", default="30", help="Patience for calls in flight at shutdown.", parse=_seconds),
    Setting(
        name="log_level", default="warning", help="debug, info, warning or error.",
        parse=_one_of("debug", "info", "warning", "error"),
    ),
    Setting(
        name="log_format", default="json", help="How the log is written: json or text.", parse=_one_of("json", "text")
    ),
    Setting(
        name="metrics_allow", default="", help="CIDRs that may read /metrics, beside this machine.",
        parse=_networks,
    ),
    Setting(
        name="trace_providers", default="off", help="Send traceparent to providers: on or off.",
        parse=lambda value: _one_of("on", "off")(value) == "on",
    ),
    Setting(name="pg_bin", default=None, help="Folder of PostgreSQL's server binaries to use.", parse=Path),
)  # fmt: skip


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that can be set, by the names of `SETTINGS`; and what else the environment asks for."""

    host: str
    port: int
    data_dir: Path
    workers: int
    database_url: str | None
    app_url: str | None
    ledger_url: str | None
    control_url: str | None
    valkey_url: str | None
    limit_store: str
    master_key: MasterKey | None
    master_key_command: tuple[str, ...] | None
    tls_cert: Path | None
    tls_key: Path | None
    public_url: str | None
    base_domain: str | None
    session_idle_seconds: int
    session_seconds: int
    trusted_proxies: tuple[Network, ...]
    outbound_allow: tuple[Network, ...]
    guard_requests: int
    guard_failures: int
    max_body_bytes: int
    max_buffered_bytes: int
    max_open_calls: int
    ledger_months: int | None
    max_header_bytes: int
    provider_connect_seconds: float
    provider_first_byte_seconds: float
    provider_between_bytes_seconds: float
    provider_total_seconds: float
    drain_seconds: float
    log_level: str
    log_format: str
    metrics_allow: tuple[Network, ...]
    trace_providers: bool
    pg_bin: Path | None
    providers: tuple[EnvironmentProvider, ...]
    traces: bool


def load(flags: Mapping[str, str | None], environment: Mapping[str, str] | None = None) -> Config:
    """Read flags (by setting name) and environment; raises `InvalidConfig`."""
    variables = os.environ if environment is None else environment
    known = {setting.variable for setting in SETTINGS} | _NOT_OURS
    for name in variables:
        if name.startswith(_PREFIX) and name not in known:
            message = f"{name} is not a setting; see `bailiwick serve --help`"
            raise InvalidConfig(message)
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text = flags.get(setting.name)
        source = setting.flag
        if text is None:
            text, source = variables.get(setting.variable), setting.variable
        if text is None:
            text = setting.default
        try:
            values[setting.name] = None if text is None else setting.parse(text)
        except ValueError as error:
            shown = "" if setting.secret else f", not {text!r}"
            message = f"{source} {error}{shown}"
            raise InvalidConfig(message) from None
    if values["max_buffered_bytes"] < values["max_body_bytes"]:
        message = "--max-buffered-bytes must be at least --max-body-bytes: the largest body could never be read"
        raise InvalidConfig(message)
    if (values["tls_cert"] is None) != (values["tls_key"] is None):
        message = "--tls-cert and --tls-key need each other"
        raise InvalidConfig(message)
    if values["master_key"] is not None and values["master_key_command"] is not None:
        message = "--master-key and --master-key-command exclude each other"
        raise InvalidConfig(message)
    return Config(**values, providers=_providers(variables), traces=_traces(variables))


def _traces(variables: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for spans; the rest of them is for its packages to read."""

    def said(name: str) -> str:
        return variables.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}") or variables.get(f"OTEL_EXPORTER_OTLP_{name}") or ""

    off = variables.get("OTEL_SDK_DISABLED", "").lower() == "true" or variables.get("OTEL_TRACES_EXPORTER") == "none"
    if off or not said("ENDPOINT"):
        return False
    if said("PROTOCOL") not in {"", "http/protobuf"}:
        message = f"OTEL_EXPORTER_OTLP_PROTOCOL must be http/protobuf, not {said('PROTOCOL')!r}"
        raise InvalidConfig(message)
    return True


def _providers(variables: Mapping[str, str]) -> tuple[EnvironmentProvider, ...]:
    found = []
    for kind, key, base_url in (
        (ProviderKind.OPENAI, "OPENAI_API_KEY", variables.get("OPENAI_BASE_URL")),
        (ProviderKind.ANTHROPIC, "ANTHROPIC_API_KEY", None),
        (ProviderKind.GEMINI, "GEMINI_API_KEY", None),
    ):
        if secret := variables.get(key, "").strip():
            try:
                address = _url(base_url) if base_url else None
            except ValueError as error:
                message = f"OPENAI_BASE_URL {error}"
                raise InvalidConfig(message) from None
            found.append(EnvironmentProvider(kind=kind, api_key=secret, base_url=address))
    return tuple(found)
