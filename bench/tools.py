"""What tools cost: how much a tier, an agent and twenty tools within rules add to a chat call.

Ours alone, saturated: the small call of the tables, the same under a tier as an agent, both with rules of tools, and
that with twenty tools, the same ones in every call, as applications send them.
"""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import ports
from bench.calls import Kind, chat_body
from bench.errors import BenchError
from bench.load.bearers import cpu_ms
from bench.systems.ours import AGENT, Ours

if TYPE_CHECKING:
    from bench.measure import Rig

NAME: Final = "tools"
PLAIN: Final = "key alone"
UNDER: Final = "tier and agent"
WITH_TOOLS: Final = "tier, agent and 20 tools"
_ROUNDS: Final = 5
_SCHEMA: Final = {
    "type": "object",
    "properties": {
        "query": {"type": "string", "description": "What to look for, in the words of the user."},
        "limit": {"type": "integer", "minimum": 1, "maximum": 100},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["query"],
    "additionalProperties": False,
}
_TOOLS: Final = [
    {
        "type": "function",
        "function": {
            "name": f"tool_number_{number}",
            "description": "Looks something up and returns what was found, newest first.",
            "parameters": _SCHEMA,
        },
    }
    for number in range(20)
]


@dataclass(slots=True)
class ToolsOutcome:
    """CPU milliseconds a call of the gateway by what it comes with, one figure a round."""

    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    problem: str | None = None

    def added_us(self, name: str) -> float | None:
        """The microseconds that it adds to a call with a key alone, the median over the rounds."""
        rounds = zip(self.cpu_ms.get(name, []), self.cpu_ms.get(PLAIN, []), strict=False)
        added = [1000 * (more - plain) for more, plain in rounds]
        return statistics.median(added) if added else None


def measure_tools(command: list[str], rig: Rig) -> ToolsOutcome:
    """Measure all three; a failure is told in the outcome."""
    outcome = ToolsOutcome()
    ours = Ours(command, rig.folder / NAME, name=NAME, port=ports.OURS_TOOLS)
    try:
        ours.start()
        plain = json.loads(chat_body(Kind.SMALL))
        under = {**plain, "model": f"agent/{AGENT}"}
        calls = {
            PLAIN: (ours.key, plain),
            UNDER: (confined := ours.confined_key(), under),
            WITH_TOOLS: (confined, {**under, "tools": _TOOLS}),
        }
        for _ in range(_ROUNDS):
            for name, (bearer, body) in calls.items():
                content = json.dumps(body, separators=(",", ":")).encode()
                outcome.cpu_ms.setdefault(name, []).append(
                    cpu_ms(ours, "/v1/chat/completions", [bearer], rig, body=content)
                )
    except (BenchError, OSError) as error:
        outcome.problem = str(error).splitlines()[0]
        print(f"  tools not measured: {error}", flush=True)
    finally:
        ours.stop()
    return outcome
