"""What a client has to know: the key, the address, and how patient to be. Read once; a key is never shown."""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Final, final

import httpx2

from bailiwick.client.ambient import Ambient
from bailiwick.client.errors import ConfigurationError

API_KEY: Final = "BAILIWICK_API_KEY"
BASE_URL: Final = "BAILIWICK_BASE_URL"
DEFAULT_TIMEOUT: Final = httpx2.Timeout(10.0, connect=5.0)
# One word of visible ASCII: what a header can carry as it is.
_KEY: Final = re.compile(r"[!-~]+")


@final
class Bearer(httpx2.Auth):
    """Puts the key into each request, and into nothing else that could be printed."""

    def __init__(self, key: str) -> None:
        self._header = f"Bearer {key}"

    def __repr__(self) -> str:
        return "Bearer(…)"

    def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
        """Add the header."""
        request.headers["authorization"] = self._header
        yield request


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Configuration:
    """Read by `configured`. `base_url` has no trailing slash and no `/v1`; `timeout` None is the HTTP client's own."""

    base_url: str
    bearer: Bearer = field(repr=False)
    timeout: httpx2.Timeout | None
    max_retries: int
    give_up_after: float
    ambient: Ambient = field(repr=False)


def configured(
    *,
    api_key: str | None,
    base_url: str | None,
    timeout: float | httpx2.Timeout | None,
    max_retries: int,
    give_up_after: float,
    ambient: Ambient,
) -> Configuration:
    """Arguments first, then the environment; raises `ConfigurationError`, which never repeats a key."""
    key = api_key if api_key is not None else ambient.environment.get(API_KEY)
    if not key:
        raise ConfigurationError(f"There is no API key: give `api_key`, or set {API_KEY}.")
    if _KEY.fullmatch(key) is None:
        raise ConfigurationError("The API key has a space, a line break or another character that no key has.")
    address = base_url if base_url is not None else ambient.environment.get(BASE_URL)
    if not address:
        raise ConfigurationError(f"There is no address: give `base_url`, or set {BASE_URL}.")
    if max_retries < 0 or give_up_after < 0:
        raise ConfigurationError("`max_retries` and `give_up_after` must not be negative.")
    return Configuration(
        base_url=_read_address(address),
        bearer=Bearer(key),
        timeout=httpx2.Timeout(timeout) if isinstance(timeout, int | float) else timeout,
        max_retries=max_retries,
        give_up_after=give_up_after,
        ambient=ambient,
    )


def _read_address(text: str) -> str:
    try:
        url = httpx2.URL(text)
    except (httpx2.InvalidURL, TypeError):
        raise ConfigurationError("`base_url` is no address.") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError("`base_url` must begin with http:// or https://, and name a host.")
    if url.userinfo or url.query or url.fragment:
        raise ConfigurationError("`base_url` must have no user, no query and no fragment.")
    return str(url).rstrip("/").removesuffix("/v1")
