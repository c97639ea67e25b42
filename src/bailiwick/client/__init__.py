"""The Python client: mints user tokens, tells who a key is and what was used, with one error class a family of codes.

It knows an installation by HTTP alone, as anybody's program does (`docs/reference/data-plane.md`).
"""

from bailiwick.client.answers import Me, Minted, UsageRow
from bailiwick.client.asynchronous import AsyncClient, AsyncUsageReport
from bailiwick.client.errors import (
    AuthenticationError,
    BudgetExceeded,
    ClientError,
    ConfigurationError,
    ConnectionFailed,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    ProviderFailed,
    RateLimited,
    ServerError,
    Unavailable,
)
from bailiwick.client.synchronous import Client, UsageReport
from bailiwick.client.token_sources import AsyncTokenSource, TokenSource

__all__ = [
    "AsyncClient",
    "AsyncTokenSource",
    "AsyncUsageReport",
    "AuthenticationError",
    "BudgetExceeded",
    "Client",
    "ClientError",
    "ConfigurationError",
    "ConnectionFailed",
    "InvalidRequest",
    "Me",
    "Minted",
    "NotFound",
    "PermissionDenied",
    "ProviderFailed",
    "RateLimited",
    "ServerError",
    "TokenSource",
    "Unavailable",
    "UsageReport",
    "UsageRow",
]
