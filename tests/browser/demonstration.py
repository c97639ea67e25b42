"""An installation as it looks after a month: tenants, projects, keys, providers and calls, the same each time."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final, final

from bailiwick.domain import ids
from tests.installation import Installation

# Provider, model, nano-dollars a token read and written, usual milliseconds, and how often it is called.
_MODELS: Final = (
    ("openai", "gpt-4o-mini", 150, 600, 700, 60),
    ("anthropic", "claude-haiku-4-5", 1_000, 5_000, 900, 25),
    ("openai", "gpt-4o", 2_500, 10_000, 1_300, 12),
    ("echo", "echo", 0, 0, 4, 3),
)
# Code, status, where, what the caller is told, and how often of a hundred.
_REFUSALS: Final = (
    ("rate_limited", 429, "limits", "The user's rate limit is reached. See Retry-After.", 62),
    ("model_not_allowed", 403, "model", "This key may not use the model 'gpt-4o'.", 22),
    ("user_blocked", 403, "end_user", "This user is blocked in this project.", 11),
    ("end_user_required", 403, "end_user", "This project requires an end user: send X-End-User-Id.", 5),
)
_DAYS: Final = 30
_INSERT: Final = (
    "INSERT INTO bailiwick.ledger (id, tenant_id, project_id, key_id, opened_at, cost_nano, input_tokens,"
    " output_tokens, cached_tokens, cache_write_tokens, reasoning_tokens, latency_ms, status, outcome,"
    " usage_source, streamed, uid, provider, model)"
    " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, 0, 0, 0, %s, 200, 0, 0, true, %s, %s, %s)"
)
_REFUSED: Final = (
    "INSERT INTO bailiwick.refused_calls (id, tenant_id, project_id, key_id, at, uid, door, status, code, step, reason)"
    " VALUES (%s, %s, %s, %s, %s, %s, '/v1/chat/completions', %s, %s, %s, %s)"
)
_COUNTED: Final = (
    "INSERT INTO bailiwick.usage_refusals VALUES (%s, %s, date_trunc('hour', %s::timestamptz), %s, %s, %s)"
)


@final
class Demonstration:
    """What was made; `project` is the busiest of `tenant`."""

    def __init__(self, installation: Installation) -> None:
        """Make everything over the control plane, and the calls in the ledger."""
        admin, keys = installation.admin, installation.keys
        self.tenant, self.project = keys["tenant_id"], keys["project_id"]
        self._random = random.Random(7)
        admin.change(f"/tenants/{self.tenant}", {"name": "Acme Robotics"})
        admin.change(
            f"/projects/{self.project}",
            {
                "name": "Support assistant",
                "slug": "support",
                "cors_origins": ["https://app.acme.example", "http://localhost:3000"],
                "limits": {"user": {"requests": 60, "per": "1m"}, "project": {"requests": 3000, "per": "1m"}},
                "aliases": {"fast": ["openai/gpt-4o-mini", "anthropic/claude-haiku-4-5"]},
            },
        )
        docs, review = admin.project(self.tenant, "Docs search"), admin.project(self.tenant, "Code review")
        for name in ("Globex", "Northwind Traders", "Umbrella Health"):
            admin.project(admin.tenant(name)["id"], "Default")
        for name, kind in (("openai", "openai"), ("anthropic", "anthropic")):
            admin.make("/providers", {"name": name, "kind": kind, "api_key": "sk-an-example"})
        self._callers = [
            (project, admin.key(project, name)["id"], often)
            for project, name, often in (
                (self.project, "Production backend", 55),
                (self.project, "Staging", 5),
                (docs["id"], "Indexer", 25),
                (review["id"], "CI", 15),
            )
        ]
        self._users = [f"user_{self._random.randrange(16**6):06x}" for _ in range(140)]
        with installation.sql() as connection, connection.cursor() as cursor:
            now = datetime.now(UTC)
            cursor.executemany(_INSERT, self._calls(now))
            refused = [self._refusal(now) for _ in range(60)]
            cursor.executemany(_REFUSED, refused)
            cursor.executemany(_COUNTED, self._counts(now))
        self.refused = "req_" + next(call[0].hex for call in refused if call[7] == "rate_limited")
        rules = [
            {"claim": "groups", "value": "platform", "role": "owner"},
            {"email_domain": "acme.example", "role": "viewer"},
        ]
        asked = {"name": "Okta", "issuer": "https://acme.okta.example", "client_id": "0oa4f2k9", "client_secret": "x"}
        self.sign_in = admin.make("/sign-in/providers", {**asked, "rules": rules})["id"]

    def _calls(self, now: datetime) -> list[tuple[Any, ...]]:
        """More by day than by night, fewer on weekends, and every week more than the one before."""
        made = []
        for hour in range(_DAYS * 24):
            began = now - timedelta(hours=hour + 1)
            busy = 0.35 + 0.65 * max(0.0, math.sin((began.hour - 6) / 24 * 2 * math.pi))
            busy *= 0.45 if began.weekday() >= 5 else 1.0
            busy *= 1 - hour / (_DAYS * 24) * 0.5
            made += [self._call(began) for _ in range(int(self._random.gauss(14, 2) * busy))]
        return made

    def _refusal(self, now: datetime) -> tuple[Any, ...]:
        """Of the last two days, most of them lately."""
        chance = self._random
        at = now - timedelta(minutes=int(chance.expovariate(1 / 400)) + 2)
        code, status, step, reason, _ = chance.choices(_REFUSALS, [often for *_, often in _REFUSALS])[0]
        return (
            ids.uuid7(int(at.timestamp() * 1000), chance.randbytes(10)),
            ids.parsed(ids.TENANT, self.tenant),
            ids.parsed(ids.PROJECT, self.project),
            ids.parsed(ids.KEY, self._callers[0][1]),
            at,
            chance.choice(self._users),
            status,
            code,
            step,
            reason,
        )

    def _counts(self, now: datetime) -> list[tuple[Any, ...]]:
        """A few refusals an hour, of each code."""
        chance = self._random
        place = (ids.parsed(ids.TENANT, self.tenant), ids.parsed(ids.PROJECT, self.project))
        return [
            (*place, now - timedelta(hours=hour), code, ids.uuid7(0, chance.randbytes(10)), count)
            for hour in range(_DAYS * 24)
            for code, *_, often in _REFUSALS
            if (count := int(chance.expovariate(1 / (often / 25))))
        ]

    def _call(self, began: datetime) -> tuple[Any, ...]:
        chance = self._random
        project, key, _ = chance.choices(self._callers, [often for *_, often in self._callers])[0]
        provider, model, read, wrote, usual, _ = chance.choices(_MODELS, [often for *_, often in _MODELS])[0]
        tokens, answered = int(chance.lognormvariate(6.6, 0.7)), int(chance.lognormvariate(5.2, 0.6))
        at = began + timedelta(seconds=chance.random() * 3600)
        return (
            ids.uuid7(int(at.timestamp() * 1000), chance.randbytes(10)),
            ids.parsed(ids.TENANT, self.tenant),
            ids.parsed(ids.PROJECT, project),
            ids.parsed(ids.KEY, key),
            at,
            tokens * read + answered * wrote,
            tokens,
            answered,
            int(chance.lognormvariate(math.log(usual), 0.45)),
            chance.choice(self._users[: 30 + chance.randrange(110)]),
            provider,
            model,
        )
