"""What a process loads: all that it does not need costs memory, in each worker, and time, at each start."""

from __future__ import annotations

import subprocess
import sys

# The control process', the commands', and what is there only for spans.
NOT_THE_GATEWAYS = {
    "bailiwick.apps.admin", "bailiwick.apps.cli", "bailiwick.apps.dashboard", "bailiwick.bootstrap.control",
    "jinja2", "opentelemetry", "pygments", "rich", "starlette",
}  # fmt: skip
# Those of the processes that `serve` starts, and of the commands that ask a running installation.
NOT_THE_PARENTS = {
    "bailiwick.apps.admin", "bailiwick.apps.dashboard", "bailiwick.apps.gateway", "bailiwick.bootstrap.control",
    "bailiwick.bootstrap.gateway", "fastapi", "genai_prices", "httpx2", "jinja2", "prometheus_client", "rich",
    "starlette", "uvicorn",
}  # fmt: skip


def loaded(*modules: str) -> set[str]:
    """All that a process has loaded that loads these."""
    program = f"import sys, {', '.join(modules)}; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, text=True, check=True)
    found = set(told.stdout.split())
    assert found.issuperset(modules)
    return found


def test_the_gateway_process_loads_nothing_of_the_control_process_or_the_commands() -> None:
    assert not NOT_THE_GATEWAYS & loaded("bailiwick.apps.gateway.__main__", "bailiwick.apps.gateway.app")


def test_the_parent_process_loads_nothing_of_those_that_it_starts() -> None:
    assert not NOT_THE_PARENTS & loaded("bailiwick.apps.cli.main", "bailiwick.apps.cli.local")


def test_a_command_loads_neither_a_database_driver_nor_what_draws_tables_at_a_terminal() -> None:
    assert not {"psycopg", "rich"} & loaded("bailiwick.apps.cli.main", "bailiwick.apps.cli.admin.running")
