"""What somebody outside says in a refusal, without what its reader must not see: keys, addresses, hosts."""

from __future__ import annotations

import re
from typing import Final, final

# Every alternative begins where a word does and looks no further than it takes: a provider chooses this text, and
# must not be able to keep us busy with it.
_SECRETS: Final = re.compile(
    r"""(?ix)
      (?<![a-z0-9+.-])[a-z][a-z0-9+.-]*://\S+             # URLs
    | \b(?:bearer|basic)\s+[\w.~+/=-]{20,}               # credentials as headers write them
    | \b(?:sk|pk|rk|bwk|bwa|gsk|xai)[-_][\w.*…-]{6,}     # keys, also when masked
    | \b(?:key[-_]|AIza|AKIA|eyJ)[\w.*…-]{16,}           # keys and tokens of others
    | (?<![\w:])(?=[0-9a-f:]{0,40}?::|(?:[0-9a-f]{1,4}:){5})  # IPv6 and MAC addresses, but no time of day
      (?:[0-9a-f]{0,4}:){2,7}(?:\d{1,3}(?:\.\d{1,3}){3}|[0-9a-f]{0,4})(?![\w:])
    | \b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b              # IPv4
    | (?<![a-z0-9.-])(?:[a-z0-9-]+\.)+                   # hosts
      (?:ai|app|cloud|com|corp|dev|internal|io|lan|local|net|org|svc)(?::\d+)?\b
    | \blocalhost(?::\d+)?\b
    """
)
_HIDDEN: Final = "[removed]"
_LONGEST_MESSAGE: Final = 2000
_LONGEST_READ: Final = 16_000


@final
class Scrubber:
    """Scrubs the words of one whose own key and hosts are known."""

    def __init__(self, *own: str | None) -> None:
        """`own` is what is hidden wherever it stands."""
        self._hidden = re.compile("|".join(re.escape(text) for text in own if text) or r"(?!)", re.IGNORECASE)

    def scrub(self, text: str) -> str:
        """Take all of it out, and cut what is too long."""
        if len(text) > _LONGEST_READ:
            # Without its last word: half a key would not be known as one.
            text = text[:_LONGEST_READ].rsplit(None, 1)[0]
        return _SECRETS.sub(_HIDDEN, self._hidden.sub(_HIDDEN, text))[:_LONGEST_MESSAGE]
