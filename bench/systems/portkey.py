"""Portkey's open gateway (Node): routes by request headers, knows no keys and no limits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import ports
from bench.calls import Call, Kind
from bench.server import Server
from bench.systems.system import answers

if TYPE_CHECKING:
    from pathlib import Path

    from bench.peers import Peer


class Portkey:
    """Portkey's gateway, told by each call where its provider is."""

    name = "portkey"
    worker_marker: str | None = None

    def __init__(self, peer: Peer, folder: Path) -> None:
        """Run the installed `peer`, with its log in `folder`."""
        self._peer = peer
        package = peer.folder / "node_modules" / "@portkey-ai" / "gateway"
        self._server = Server(
            [
                "node",
                str(package / "build" / "start-server.js"),
                f"--port={ports.PORTKEY}",
                "--headless",
            ],
            log=folder / "portkey.log",
            ports=(ports.PORTKEY,),
            extra_environment={"NODE_ENV": "production"},
        )

    @property
    def title(self) -> str:
        """The name and pinned version."""
        return f"Portkey gateway {self._peer.version}"

    @property
    def pid(self) -> int | None:
        """The root of the process tree."""
        return self._server.pid

    def start(self) -> None:
        """Install it if need be, start it, and wait for a first good answer."""
        self._peer.ensure()
        self._server.start()
        self._server.wait_until(lambda: answers(self.call), every=0.25)

    def stop(self) -> None:
        """Stop the gateway."""
        self._server.stop()

    def call(self, kind: Kind) -> Call:
        """Return the call with the headers that name the provider."""
        port = ports.MOCK_STREAM if kind is Kind.STREAM else ports.MOCK_JSON
        provider = f"http://127.0.0.1:{port}/v1"
        return Call(
            port=ports.PORTKEY,
            kind=kind,
            bearer="sk-upstream",
            headers=(("x-portkey-provider", "openai"), ("x-portkey-custom-host", provider)),
        )

    def recorded(self) -> int | None:
        """Return None: it records nothing."""
        return None
