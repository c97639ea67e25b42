"""The machine that the figures belong to, and the system tools that a run needs."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.errors import BenchError
from bench.systems.nginx import nginx_version

_TOOLS: Final = {"nginx": "nginx-light", "wrk": "wrk", "taskset": "util-linux"}
_MODULES: Final = {
    "/usr/lib/nginx/modules/ngx_http_lua_module.so": "libnginx-mod-http-lua",
    "/usr/lib/nginx/modules/ndk_http_module.so": "libnginx-mod-http-ndk",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a reader must know to compare figures; nothing that names this very machine."""

    date: str
    processor: str
    cores: int
    memory_gb: int
    kernel: str
    python: str
    nginx: str
    node: str


def require_tools() -> None:
    """Raise `BenchError` naming the Debian packages of every tool that is missing."""
    missing = {package for tool, package in _TOOLS.items() if shutil.which(tool) is None}
    missing |= {package for module, package in _MODULES.items() if not Path(module).exists()}
    if missing:
        message = f"the benchmark needs Linux and these Debian packages: apt-get install {' '.join(sorted(missing))}"
        raise BenchError(message)
    if not {0, 1} <= os.sched_getaffinity(0):
        message = "the benchmark needs cores 0 and 1: one for the gateway, one for the load"
        raise BenchError(message)


def describe() -> Machine:
    """Return this machine, now."""
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return Machine(
        date=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        processor=_processor(),
        cores=os.cpu_count() or 0,
        memory_gb=round(memory / 1e9),
        kernel=f"{platform.system()} {platform.release().split('-')[0]}",
        python=platform.python_version(),
        nginx=nginx_version(),
        node=_node_version(),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _node_version() -> str:
    if shutil.which("node") is None:
        return "none"
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=False)
    return said.stdout.strip().removeprefix("v")
