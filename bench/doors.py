"""What a call costs at each door: ours alone, saturated, with the provider's canned answer of that address.

The other tables compare gateways at chat's door, which is the only one that all of them have.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import ports, proc
from bench.calls import MODEL, Call, Kind
from bench.errors import BenchError
from bench.load.wrk import saturate
from bench.measure import settle
from bench.mock import answers_by_path
from bench.systems.ours import Ours
from bench.systems.system import ask

if TYPE_CHECKING:
    from bench.measure import Rig
    from bench.plan import Plan

NAME: Final = "doors"
_CLAUDE: Final = "claude-sonnet-4-5"
_BOUNDARY: Final = "a-boundary-of-the-bench"
_TEXT: Final = "The quick brown fox jumps over the lazy dog. " * 8
_MESSAGES: Final = [{"role": "user", "content": _TEXT}]
_REQUESTS: Final[dict[str, dict[str, object]]] = {
    "/chat/completions": {"messages": _MESSAGES},
    "/responses": {"input": _TEXT},
    "/messages": {"messages": _MESSAGES, "max_tokens": 256},
    "/messages/count_tokens": {"messages": _MESSAGES},
    "/completions": {"prompt": _TEXT},
    "/embeddings": {"input": _TEXT},
    "/moderations": {"input": _TEXT},
    "/images/generations": {"prompt": _TEXT},
    "/audio/speech": {"input": _TEXT, "voice": "alloy"},
}
_FORM: Final = "/audio/transcriptions"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorCost:
    """CPU milliseconds a call at one door, of the gateway and of its database, and how fast it went."""

    path: str
    cpu_ms: float
    cpu_database_ms: float
    calls_a_second: float
    errors: int


@dataclass(slots=True)
class DoorsOutcome:
    """What each door costs, and what went wrong."""

    costs: list[DoorCost] = field(default_factory=list)
    problem: str | None = None


def measure_doors(command: list[str], plan: Plan, rig: Rig) -> DoorsOutcome:
    """Measure every door in turn; a failure is told in the outcome."""
    outcome = DoorsOutcome()
    ours = Ours(command, rig.folder / NAME, name=NAME, port=ports.OURS_DOORS)
    try:
        ours.start()
        ours.add_provider("claude", kind="anthropic", port=ports.MOCK_JSON, model=_CLAUDE)
        for path in (*_REQUESTS, _FORM):
            call = _call(ours, path)
            status, body = ask(call)
            if status != 200 or body != answers_by_path()[path][1].encode():
                message = f"wrong answer at {path}, status {status}: {body[:200].decode(errors='replace')}"
                raise BenchError(message)  # noqa: TRY301 - told in the outcome like all that goes wrong here
            outcome.costs.append(_cost(ours, path, call, plan, rig))
    except BenchError as error:
        outcome.problem = str(error).splitlines()[0]
        print(f"  doors not measured: {error}", flush=True)
    finally:
        ours.stop()
    return outcome


def _call(ours: Ours, path: str) -> Call:
    model = _CLAUDE if path.startswith("/messages") else MODEL
    kind, content = "application/json", b""
    if path == _FORM:
        kind = f"multipart/form-data; boundary={_BOUNDARY}"
        content = _form(model)
    else:
        content = json.dumps({"model": model, **_REQUESTS[path]}).encode()
    return ours.call(Kind.SMALL).at(f"/v1{path}", content, kind)


def _form(model: str) -> bytes:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="'
    return (
        f'{head}model"\r\n\r\n{model}\r\n{head}file"; filename="a.mp3"\r\nContent-Type: audio/mpeg\r\n\r\n'.encode()
        + bytes(range(256)) * 16
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )


def _cost(ours: Ours, path: str, call: Call, plan: Plan, rig: Rig) -> DoorCost:
    saturate(call, seconds=1, folder=rig.folder)
    settle()
    root = ours.pid
    before = proc.cost(root, ours.worker_marker)
    seen = saturate(call, seconds=plan.door_seconds, folder=rig.folder)
    spent = proc.cost(root, ours.worker_marker).since(before)
    cost = DoorCost(
        path=path,
        cpu_ms=1000 * spent.gateway / seen.worked,
        cpu_database_ms=1000 * spent.database / seen.worked,
        calls_a_second=seen.calls_a_second,
        errors=seen.errors,
    )
    print(f"  door {path:<24} CPU {cost.cpu_ms:.4f} ms  {cost.calls_a_second:.0f}/s", flush=True)
    return cost
