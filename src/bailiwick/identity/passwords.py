"""Passwords of operators: which one may be taken, and Argon2id of it (RFC 9106 §4, the second recommended option).

A password is 12 characters to 1024 bytes of UTF-8, in the form of RFC 8265 §4.2 as far as it matters here (NFC),
without any rule of composition (NIST SP 800-63B §3.1.1.2): what is refused is what anybody tries first.

Hashing takes 64 MiB and some tens of milliseconds each, on purpose. It runs beside the event loop, a few at a time; a
few more wait, and whoever comes after them is told to come back, so that no crowd at the door takes all memory.
"""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar, final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.fields import invalid

_Result = TypeVar("_Result")

MIN_CHARACTERS: Final = 12
MAX_BYTES: Final = 1024
_AT_ONCE: Final = 2
_WAITING: Final = 64
_COME_BACK_SECONDS: Final = 5
# A password of few different letters is a pattern of the keyboard, whatever its length.
_FEWEST_LETTERS: Final = 4

# The commonest of at least 12 characters, without what `_plain` takes away.
_COMMONEST: Final = """
    123456789012 1234567890123 12345678901234 123456789012345 1234567890123456 12345678900987654321
    0123456789ab abcdefghijkl abcdefghijklm abcdefghijklmnop abcd12345678 abc123abc123 abcdef123456 123456abcdef
    qwertyuiopas qwertyuiop123 qwertyuiop1234 qwertyuiop[] qwertyuiopasdfgh qwertyuiopasdfghjkl
    qwertyuiopasdfghjklzxcvbnm qwerty123456 qwertyqwerty qwerty1234567890 qwer1234qwer 1234qwer1234 asdfghjkl123
    asdfasdfasdf zxcvbnm12345 zaq12wsxcde3 1qaz2wsx3edc 1qaz2wsx3edc4rfv 1q2w3e4r5t6y 1q2w3e4r5t6y7u8i q1w2e3r4t5y6
    passwordpassword password1234 password12345 password123456 password1password passw0rdpassw0rd p@ssw0rd1234
    p@ssword1234 mypassword12 mypassword123 thisismypassword yourpassword123 newpassword1 newpassword123
    correcthorsebatterystaple adminadminadmin administrator administrator1 administrator123 admin1234567 admin12345678
    admin123456789 adminpassword adminpassword1 rootrootroot rootpassword changemechangeme changeme1234 changeme12345
    changemenow12 welcome12345 welcome123456 welcomewelcome letmeinletmein letmein12345 letmein123456 iloveyou1234
    iloveyou12345 iloveyouiloveyou iloveyousomuch trustno1trustno1 monkeymonkey dragondragon sunshine1234 princess1234
    football1234 baseball1234 superman1234 secretsecret secret123456 supersecret1 testtesttest test12345678 testpassword
    temporary123 default12345 bailiwickbailiwick bailiwick123 bailiwick1234
"""
_COMMON: Final = frozenset(_COMMONEST.split())


def read_password(field: str, text: str, *, not_like: tuple[str, ...] = ()) -> str:
    """Take a password that somebody chose; raises `Invalid`, whose message holds nothing of it.

    `not_like` is what everybody knows of its owner: their e-mail address and name.
    """
    normal = _normal(text)
    if len(normal) < MIN_CHARACTERS:
        raise invalid(field, f"must be at least {MIN_CHARACTERS} characters long")
    if len(normal.encode()) > MAX_BYTES:
        raise invalid(field, f"must be at most {MAX_BYTES} bytes long")
    plain = _plain(text)
    known = {_plain(part) for whole in not_like for part in (whole, whole.partition("@")[0]) if part}
    if plain in _COMMON or len(set(plain)) < _FEWEST_LETTERS or plain in known or _is_known_twice(plain, known):
        raise invalid(field, "is one of those that are tried first; choose another, such as four words in a row")
    return text


@final
class Passwords:
    """Hashes and compares passwords."""

    def __init__(self, *, time_cost: int = 3, memory_kib: int = 65_536, lanes: int = 4) -> None:
        """Take Argon2id's parameters; a hash that was made with others is still understood."""
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=lanes, type=Type.ID)
        # A thread that has begun cannot be stopped, whoever went away: there are never more of them than these.
        self._threads = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="password")
        self._waiting = 0
        self._nobodys: str | None = None

    async def hash(self, password: str) -> str:
        """Hash a password, with a salt of its own; raises `Refused` (429) when too many wait."""
        return await self._run(lambda: self._hasher.hash(_normal(password)))

    async def matches(self, stored: str | None, password: str) -> bool:
        """Tell whether this is the password; with nothing stored it takes as long to tell that it is not.

        Raises `Refused` (429) when too many wait.
        """
        if len(password) > MAX_BYTES:  # Nobody's: no one could have set it.
            password = ""
        if self._nobodys is None:
            self._nobodys = await self._run(lambda: self._hasher.hash("nobody's"))
        compared = self._nobodys if stored is None else stored

        def compare() -> bool:
            try:
                return self._hasher.verify(compared, _normal(password))
            except (VerificationError, InvalidHashError):
                return False

        return await self._run(compare) and stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than are in use."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Let the threads end; idempotent."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, work: Callable[[], _Result]) -> _Result:
        if self._waiting >= _WAITING:
            message = "Too many people are signing in just now. Try again in a few seconds."
            raise Refused(Code.RATE_LIMITED, message, retry_after=_COME_BACK_SECONDS)
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1


def _normal(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _plain(text: str) -> str:
    """Take away what people add to make a bad password look like a good one."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split()).rstrip("!.?")


def _is_known_twice(plain: str, known: set[str]) -> bool:
    half, odd = divmod(len(plain), 2)
    return not odd and plain[:half] == plain[half:] and plain[:half] in known
