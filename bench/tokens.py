"""What tokens cost: how much one adds to a call, new or seen before, and how many are minted a second.

Ours alone, saturated, at `/v1/me`: it asks who calls and does nothing else, so that what a credential costs is not lost
in what a call costs. A token is new once, so of those each is sent once.
"""

from __future__ import annotations

import http.client
import json
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from bench import ports
from bench.errors import BenchError
from bench.load.bearers import cpu_ms, load
from bench.systems.ours import Ours

if TYPE_CHECKING:
    from bench.measure import Rig

NAME: Final = "tokens"
_ROUNDS: Final = 3
# What the gateway knows at once is more than all rounds' tokens; one core takes fewer in a second.
_TOKENS: Final = 2_000
_USER: Final = "user-0001"


@dataclass(slots=True)
class TokensOutcome:
    """CPU milliseconds a call of the gateway by credential, one figure a round; how many were minted a second.

    `new_us` and `seen_us` are the microseconds that a token adds to what a key costs, medians over the rounds.
    """

    cpu_ms: dict[str, list[float]] = field(default_factory=dict)
    minted_a_second: float | None = None
    problem: str | None = None

    @property
    def new_us(self) -> float | None:
        """What a token adds that the gateway sees for the first time."""
        return self._added("new token")

    @property
    def seen_us(self) -> float | None:
        """What a token adds that it has seen before."""
        return self._added("token seen before")

    def _added(self, name: str) -> float | None:
        rounds = zip(self.cpu_ms.get(name, []), self.cpu_ms.get("key", []), strict=False)
        added = [1000 * (token - key) for token, key in rounds]
        return statistics.median(added) if added else None


def measure_tokens(command: list[str], rig: Rig) -> TokensOutcome:
    """Measure both; a failure is told in the outcome."""
    outcome = TokensOutcome()
    ours = Ours(command, rig.folder / NAME, name=NAME, port=ports.OURS_TOKENS)
    try:
        ours.start()
        key = ours.key
        for _ in range(_ROUNDS):
            tokens = _minted(key)
            for name, bearers, once in (
                ("key", [key], False),
                ("new token", tokens, True),
                ("token seen before", tokens, False),
            ):
                outcome.cpu_ms.setdefault(name, []).append(cpu_ms(ours, "/v1/me", bearers, rig, once=once))
        body = json.dumps({"user_id": _USER}).encode()
        outcome.minted_a_second = load(ours, "/v1/auth/mint", [key], rig, body=body).calls_a_second
        print(f"  minted {outcome.minted_a_second:.0f}/s", flush=True)
    except (BenchError, OSError) as error:
        outcome.problem = str(error).splitlines()[0]
        print(f"  tokens not measured: {error}", flush=True)
    finally:
        ours.stop()
    return outcome


def _minted(key: str) -> list[str]:
    """Tokens that nobody has sent yet."""
    connection = http.client.HTTPConnection("127.0.0.1", ports.OURS_TOKENS, timeout=30)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    tokens = []
    for _ in range(_TOKENS):
        connection.request("POST", "/v1/auth/mint", json.dumps({"user_id": _USER}), headers)
        answer = connection.getresponse()
        said = json.loads(answer.read())
        if answer.status != 200:
            message = f"minting was answered {answer.status}"
            raise BenchError(message)
        tokens.append(str(said["token"]))
    connection.close()
    return tokens
