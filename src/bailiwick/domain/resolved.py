"""Where each thing that a caller may do comes from, as `GET /v1/me` tells it; pure.

    {"tier": {"value": "free", "asked": "gold", "by": "the token"}, "role": {…}, "limits": {"user": "the tier 'free'"},
     "models": [{"source": "the key", "globs": ["gpt-*"]}], "agents": []}

`asked` is what was said, and by what; another `value` than that means that nobody knows what was asked for.
"""

from __future__ import annotations

from bailiwick.domain.principal import Grant


def resolved(grant: Grant) -> dict[str, object]:
    """What a grant holds, and by what."""
    said = grant.resolution
    return {
        "tier": {"value": grant.tier, "asked": said.tier, "by": _by(said.tier, said.tier_by)},
        "role": {"value": grant.role, "asked": said.role, "by": _by(said.role, said.role_by)},
        "limits": dict(said.limits),
        "models": [
            {"source": one.source, "globs": one.models.patterns} for one in grant.confinements if one.models is not None
        ],
        "agents": [
            {"source": one.source, "globs": one.agents.patterns} for one in grant.confinements if one.agents is not None
        ],
    }


def _by(said: str | None, by: str | None) -> str | None:
    return None if said is None else by
