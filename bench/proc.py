"""Processes by /proc: who belongs to a gateway, what they have cost, how much memory they hold.

CPU time is user and system time of every living process of the tree together with what its dead
and reaped children had cost, so that nothing is lost when a worker or a database backend ends.
PostgreSQL's processes are told apart by their name. Needs Linux.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

GATEWAY_CORE: Final = 0
LOAD_CORE: Final = 1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_PROC: Final = Path("/proc")
_DATABASE_NAMES: Final = frozenset({"postgres", "postmaster", "initdb"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process at one moment; CPU in seconds, memory in bytes.

    `pid` and `born` (the kernel's clock ticks) together name a process for ever.
    """

    pid: int
    born: int
    name: str
    command: str
    is_zombie: bool
    cpu: float
    rss: int
    pss: int | None

    @property
    def is_database(self) -> bool:
        """Whether this is one of PostgreSQL's processes."""
        return self.name in _DATABASE_NAMES


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU seconds of a tree: the worker that carries calls, what stands by it, the database."""

    worker: float = 0.0
    beside: float = 0.0
    database: float = 0.0

    @property
    def gateway(self) -> float:
        """Everything but the database: the figure that is compared."""
        return self.worker + self.beside

    def since(self, earlier: Cost) -> Cost:
        """Return what was spent between `earlier` and this moment."""
        return Cost(
            worker=self.worker - earlier.worker,
            beside=self.beside - earlier.beside,
            database=self.database - earlier.database,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Bytes held: by the worker (if it was found), by all (RSS), and with shared pages once."""

    worker_rss: int | None
    gateway_rss: int
    tree_rss: int
    tree_pss: int | None


def pinned(command: list[str], core: int) -> list[str]:
    """Return `command` as it runs on one core, with all the children it will ever have."""
    return ["taskset", "-c", str(core), *command]


def tree(root: int, *, with_pss: bool = False) -> list[Process]:
    """Return `root` and all its living descendants."""
    children: dict[int, list[int]] = {}
    stats: dict[int, list[str]] = {}
    names: dict[int, str] = {}
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        try:
            text = (entry / "stat").read_text()
        except OSError:
            continue  # gone between the listing and the reading
        pid = int(entry.name)
        names[pid] = text[text.index("(") + 1 : text.rindex(")")]
        stats[pid] = text[text.rindex(")") + 2 :].split()
        children.setdefault(int(stats[pid][1]), []).append(pid)
    found: list[Process] = []
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found.append(_process(pid, names[pid], stats[pid], with_pss=with_pss))
            waiting += children.get(pid, [])
    return found


def _process(pid: int, name: str, stat: list[str], *, with_pss: bool) -> Process:
    # Fields 14 to 17 of proc(5) are utime, stime, cutime, cstime; `stat` starts at field 3.
    cpu = sum(int(field) for field in stat[11:15]) / _TICKS
    return Process(
        pid=pid,
        born=int(stat[19]),
        name=name,
        command=_read(pid, "cmdline").replace("\0", " "),
        is_zombie=stat[0] == "Z",
        cpu=cpu,
        rss=int(stat[21]) * _PAGE,
        pss=_pss(pid) if with_pss else None,
    )


def _read(pid: int, name: str) -> str:
    try:
        return (_PROC / str(pid) / name).read_text(errors="replace")
    except OSError:
        return ""


def _pss(pid: int) -> int | None:
    for line in _read(pid, "smaps_rollup").splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return None


def cost(root: int, worker_marker: str | None) -> Cost:
    """Return the CPU time of the tree of `root` until now, by part.

    The worker is the process whose command line holds `worker_marker`; without a marker the
    whole tree but the database counts as the worker.
    """
    worker = beside = database = 0.0
    for process in tree(root):
        if process.is_database:
            database += process.cpu
        elif worker_marker is None or worker_marker in process.command:
            worker += process.cpu
        else:
            beside += process.cpu
    return Cost(worker=worker, beside=beside, database=database)


def memory(root: int, worker_marker: str | None) -> Memory:
    """Return the memory of the tree of `root` now; without a marker the largest is the worker."""
    processes = tree(root, with_pss=True)
    gateway = [process for process in processes if not process.is_database]
    workers = [p.rss for p in gateway if worker_marker is None or worker_marker in p.command]
    pss = [process.pss for process in processes]
    known = [value for value in pss if value is not None]
    return Memory(
        worker_rss=max(workers, default=None),
        gateway_rss=sum(process.rss for process in gateway),
        tree_rss=sum(process.rss for process in processes),
        tree_pss=sum(known) if len(known) == len(pss) else None,
    )


def core_busy(core: int) -> float:
    """Return the seconds that `core` has worked since the machine started, for anybody."""
    for line in (_PROC / "stat").read_text().splitlines():
        if line.startswith(f"cpu{core} "):
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, line.split()[1:])
            return (user + nice + system + irq + softirq) / _TICKS
    return 0.0
