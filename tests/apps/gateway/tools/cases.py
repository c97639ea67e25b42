"""Tool servers behind the gateway: registering one, and asking it without the SDK's help."""

from __future__ import annotations

from typing import Any, Final

import httpx2

from tests.serving import Caller, Site

STATELESS: Final = "2026-07-28"
HANDSHAKE: Final = "2025-11-25"
CREDENTIAL: Final = "Bearer tool-credential-canary"
BOTH: Final = "application/json, text/event-stream"
_META: Final = "io.modelcontextprotocol/"


def door(caller: Caller, name: str = "tools") -> str:
    """The address of a tool server of the caller's project."""
    return f"/p/{caller.project['slug']}/mcp/{name}"


def behind(site: Site, url: str, *, server: dict[str, object] | None = None, **project: Any) -> Caller:
    """Somebody of a new project that has a tool server at this address."""
    caller = site.project(provider={"base_url": None}, **project)
    site.admin.mcp_server(caller.id, url, credential=CREDENTIAL, **(server or {}))
    return caller


def scripted(site: Site, **more: Any) -> Caller:
    """The same, of the scripted upstream: its answers are at `/mcp`."""
    return behind(site, site.upstream.base_url.removesuffix("/v1") + "/mcp", **more)


def message(method: str, *, stateless: bool = True, **params: object) -> dict[str, Any]:
    """A request."""
    meta = {f"{_META}protocolVersion": STATELESS, f"{_META}clientCapabilities": {}}
    said = {**params, "_meta": meta} if stateless else params
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": said}


def headers(method: str, *, stateless: bool = True, **params: object) -> dict[str, str]:
    """The headers that go with it."""
    if not stateless:
        return {"accept": BOTH, "mcp-protocol-version": HANDSHAKE}
    name = params.get("name", params.get("uri")) if method in ("tools/call", "prompts/get", "resources/read") else None
    named = {} if name is None else {"mcp-name": str(name)}
    return {"accept": BOTH, "mcp-protocol-version": STATELESS, "mcp-method": method, **named}


def ask(caller: Caller, method: str, *, stateless: bool = True, at: str = "tools", more: Any = None,
        **params: object) -> httpx2.Response:  # fmt: skip
    """Ask for something; `more` are headers."""
    given = {**headers(method, stateless=stateless, **params), **(more or {})}
    return caller.ask("POST", door(caller, at), headers=given, json=message(method, stateless=stateless, **params))


def call(caller: Caller, name: str, **options: Any) -> httpx2.Response:
    """Call a tool."""
    return ask(caller, "tools/call", name=name, arguments={}, **options)


def error_of(answer: httpx2.Response) -> tuple[int, int, str]:
    """The status, JSON-RPC's number and our code of an error; no code of what is none."""
    if (error := answer.json().get("error")) is None:
        return answer.status_code, 0, None
    assert isinstance(error["message"], str)
    return answer.status_code, error["code"], (error.get("data") or {}).get("code")
