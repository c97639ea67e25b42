"""What a process loads: all that it does not need costs memory, in each worker."""

from __future__ import annotations

import subprocess
import sys

# The control process', the commands', and what is there only for spans.
NOT_THE_GATEWAYS = {
    "bailiwick.apps.admin", "bailiwick.apps.cli", "bailiwick.apps.dashboard", "bailiwick.bootstrap.control",
    "jinja2", "opentelemetry", "pygments", "rich", "starlette",
}  # fmt: skip


def test_the_gateway_process_loads_nothing_of_the_control_process_or_the_commands() -> None:
    program = "import sys, bailiwick.apps.gateway.__main__; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    modules = set(loaded.stdout.split())
    assert "bailiwick.apps.gateway.app" in modules
    assert not NOT_THE_GATEWAYS & modules
