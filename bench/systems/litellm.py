"""LiteLLM's proxy with a master key only: no database, no virtual keys, no budgets, no limits.

That is far less than what ours does for a call; it is LiteLLM at its cheapest.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from bench import ports
from bench.calls import MODEL, STREAM_MODEL, Call, Kind
from bench.server import Server
from bench.systems.system import answers

if TYPE_CHECKING:
    from pathlib import Path

    from bench.peers import Peer

_MASTER_KEY: Final = "sk-bench-0123456789abcdef0123456789abcdef"


def _model(name: str, port: int) -> dict[str, object]:
    address = f"http://127.0.0.1:{port}/v1"
    parameters = {"model": f"openai/{name}", "api_base": address, "api_key": "sk-upstream"}
    return {"model_name": name, "litellm_params": parameters}


class LiteLLM:
    """LiteLLM's proxy, one worker, in production mode with logs at `ERROR`."""

    name = "litellm"
    worker_marker: str | None = None

    def __init__(self, peer: Peer, folder: Path) -> None:
        """Run the installed `peer`, with configuration and log in `folder`."""
        self._peer = peer
        configuration = folder / "litellm.yaml"
        # JSON is YAML; LiteLLM goes by the file's ending.
        configuration.write_text(
            json.dumps(
                {
                    "model_list": [
                        _model(MODEL, ports.MOCK_JSON),
                        _model(STREAM_MODEL, ports.MOCK_STREAM),
                    ],
                    "general_settings": {"master_key": _MASTER_KEY},
                    "litellm_settings": {"telemetry": False},
                }
            )
        )
        self._server = Server(
            [
                str(peer.folder / "bin" / "litellm"), "--config", str(configuration),
                "--host", "127.0.0.1", "--port", str(ports.LITELLM), "--num_workers", "1",
            ],
            log=folder / "litellm.log",
            ports=(ports.LITELLM,),
            extra_environment={
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "LITELLM_MODE": "PRODUCTION",
                "LITELLM_LOG": "ERROR",
            },
        )  # fmt: skip

    @property
    def title(self) -> str:
        """The name and pinned version."""
        return f"LiteLLM {self._peer.version}, master key only"

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
        """Stop the proxy."""
        self._server.stop()

    def call(self, kind: Kind) -> Call:
        """Return the call with the master key."""
        return Call(port=ports.LITELLM, kind=kind, bearer=_MASTER_KEY)

    def recorded(self) -> int | None:
        """Return None: without a database it records nothing."""
        return None
