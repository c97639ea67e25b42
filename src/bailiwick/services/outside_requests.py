"""Requests to addresses that operators set: where one goes, and its bytes."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from bailiwick.providers.transport import Origin


def origin_of(url: str) -> Origin:
    """Where a URL leads; connections go through the guard for outbound addresses."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return Origin(scheme=parts.scheme, host=parts.hostname or "", port=port, guarded=True)


def request_bytes(method: str, url: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole request. The headers must not come from outside."""
    parts = urlsplit(url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    lines = [f"{method} {target} HTTP/1.1", f"host: {parts.netloc}", "accept-encoding: identity"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    if body:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join((*lines, "", "")).encode() + body
