"""Load by whoever holds the given credentials, and what it costs the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench import proc
from bench.calls import Kind
from bench.errors import BenchError
from bench.load.wrk import Saturated, run_wrk
from bench.measure import settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.measure import Rig
    from bench.systems.ours import Ours

_SECONDS: Final = 2
_USER: Final = "user-0001"


def cpu_ms(
    ours: Ours, path: str, bearers: Sequence[str], rig: Rig, *, once: bool = False, body: bytes | None = None
) -> float:
    """CPU milliseconds of the gateway a call. Each bearer is sent over and over, or `once`."""
    if not once:
        load(ours, path, bearers, rig, body=body)
    settle()
    root = ours.pid
    before = proc.cost(root, ours.worker_marker)
    seen = load(ours, path, bearers, rig, once=once, body=body)
    spent = proc.cost(root, ours.worker_marker).since(before)
    cost = 1000 * spent.gateway / (seen.calls if once else seen.worked)
    size = 0 if body is None else len(body)
    print(f"  {path}, {size} bytes, {'once' if once else 'again'} with each of {len(bearers)}: CPU {cost:.4f} ms  "
          f"{seen.calls_a_second:.0f}/s", flush=True)  # fmt: skip
    return cost


def load(
    ours: Ours, path: str, bearers: Sequence[str], rig: Rig, *, once: bool = False, body: bytes | None = None
) -> Saturated:
    """Load an address by these bearers; raise `BenchError` if any call fails."""
    file, content = rig.folder / "bearers", rig.folder / "bearers.body"
    file.write_text("\n".join(bearers) + "\n")
    if body is not None:
        content.write_bytes(body)
    port = ours.call(Kind.SMALL).port
    seen = run_wrk(
        "bearers.lua", f"http://127.0.0.1:{port}{path}",
        str(file), "once" if once else "over", "-" if body is None else str(content), f"X-End-User-Id={_USER}",
        *(() if body is None else ("Content-Type=application/json",)),
        seconds=_SECONDS,
    )  # fmt: skip
    if seen.errors:
        message = f"{seen.errors} calls of {seen.calls} failed at {path}"
        raise BenchError(message)
    return seen
