"""What recognizing a token yields, whoever issued it."""

from __future__ import annotations

from typing import final

import msgspec

from bailiwick.domain.principal import Grant


@final
class Recognized(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Whose token it is, and what it stands for where the call is carried out.

    `home` is what it stands for where it was minted for, if that is elsewhere: there, too, it can be taken away.
    `source_jti` is the id of the token that it was exchanged for. `issued_at` is Unix seconds; of a token that was
    exchanged, when the one was issued that it was exchanged for.
    """

    grant: Grant
    uid: str | None
    sid: str | None
    jti: str | None
    issued_at: float
    source_jti: str | None = None
    home: Grant | None = None
