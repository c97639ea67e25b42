"""The reference: nginx as a plain keep-alive proxy, which knows nobody and writes nothing down.

What it costs is about what carrying a call costs at all.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from bench import ports
from bench.calls import Call, Kind
from bench.server import Server

if TYPE_CHECKING:
    from pathlib import Path


def _configuration(folder: Path) -> str:
    servers = "".join(
        f"""
  upstream up{upstream} {{
    server 127.0.0.1:{upstream}; keepalive 256; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://up{upstream}; proxy_http_version 1.1;
      proxy_set_header Connection ""; proxy_buffering off; }} }}"""
        for port, upstream in (
            (ports.NGINX_JSON, ports.MOCK_JSON),
            (ports.NGINX_STREAM, ports.MOCK_STREAM),
        )
    )
    temporary = "".join(
        f"  {name}_temp_path {folder}/proxy-{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return f"""\
worker_processes 1; daemon off; pid {folder}/proxy.pid; error_log {folder}/proxy-error.log warn;
events {{ worker_connections 8192; }}
http {{
{temporary}
  access_log off; keepalive_requests 100000000; keepalive_timeout 3600; tcp_nodelay on;
  client_body_buffer_size 128k;{servers}
}}
"""


class Nginx:
    """nginx, proxying both ports of the mock provider."""

    name = "nginx"
    worker_marker: str | None = None

    def __init__(self, folder: Path) -> None:
        """Keep the configuration and logs in `folder`."""
        self._configuration = folder / "proxy.conf"
        self._configuration.write_text(_configuration(folder))
        error_log = str(folder / "proxy-error.log")
        self._server = Server(
            ["nginx", "-c", str(self._configuration), "-p", str(folder), "-e", error_log],
            log=folder / "proxy.log",
            ports=(ports.NGINX_JSON, ports.NGINX_STREAM),
        )

    @property
    def title(self) -> str:
        """The name with nginx's own version."""
        return f"nginx {nginx_version()}, plain proxy"

    @property
    def pid(self) -> int | None:
        """The root of the process tree."""
        return self._server.pid

    def start(self) -> None:
        """Start nginx and wait for both ports."""
        self._server.start()
        self._server.wait_until(self._server.listens)

    def stop(self) -> None:
        """Stop nginx."""
        self._server.stop()

    def call(self, kind: Kind) -> Call:
        """Return the call; the credential passes through unread."""
        port = ports.NGINX_STREAM if kind is Kind.STREAM else ports.NGINX_JSON
        return Call(port=port, kind=kind, bearer="sk-upstream")

    def recorded(self) -> int | None:
        """Return None: nothing is recorded."""
        return None


class Direct:
    """No gateway at all: the calls go to the mock provider itself."""

    name = "direct"
    title = "the provider itself"
    worker_marker: str | None = None
    pid: int | None = None

    def start(self) -> None:
        """Do nothing: the mock provider already runs."""

    def stop(self) -> None:
        """Do nothing."""

    def call(self, kind: Kind) -> Call:
        """Return the call, straight to the mock provider."""
        port = ports.MOCK_STREAM if kind is Kind.STREAM else ports.MOCK_JSON
        return Call(port=port, kind=kind, bearer="sk-upstream")

    def recorded(self) -> int | None:
        """Return None: nothing is recorded."""
        return None


def nginx_version() -> str:
    """Return nginx's version, such as `1.22.1`."""
    said = subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr
    found = re.search(r"nginx/(\S+)", said)
    return found[1] if found else "of unknown version"
