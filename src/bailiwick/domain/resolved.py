"""Where each thing that a caller may do comes from, as `GET /v1/me` tells it; pure.

    {"tier": {"value": "free", "asked": "gold", "by": "the token"}, "role": {…}, "limits": {"user": "the tier 'free'"},
     "scopes": [{"source": "the key", "scopes": ["chat:create"]}],
     "models": [{"source": "the key", "globs": ["gpt-*"]}],
     "agents": [], "tools": [{"source": "the project", "deny": ["delete_*"]}],
     "max_output_tokens": {"value": 400, "by": "the tier 'free'"}}

`asked` is what was said, and by what; another `value` than that means that nobody knows what was asked for. Of lists
all hold at once.
"""

from __future__ import annotations

from bailiwick.domain.confinement import the_tier
from bailiwick.domain.principal import Grant


def resolved(grant: Grant) -> dict[str, object]:
    """What a grant holds, and by what."""
    said = grant.resolution
    return {
        "tier": {"value": grant.tier, "asked": said.tier, "by": _by(said.tier, said.tier_by)},
        "role": {"value": grant.role, "asked": said.role, "by": _by(said.role, said.role_by)},
        "limits": dict(said.limits),
        "scopes": [{"source": source, "scopes": sorted(scopes)} for source, scopes in said.scopes],
        "models": [
            {"source": one.source, "globs": one.models.patterns} for one in grant.confinements if one.models is not None
        ],
        "agents": [
            {"source": one.source, "globs": one.agents.patterns} for one in grant.confinements if one.agents is not None
        ],
        "tools": [
            {"source": one.source, **one.tools.document()} for one in grant.confinements if one.tools is not None
        ],
        "max_output_tokens": {
            "value": grant.max_output_tokens,
            "by": None if grant.max_output_tokens is None or grant.tier is None else the_tier(grant.tier),
        },
    }


def _by(said: str | None, by: str | None) -> str | None:
    return None if said is None else by
