"""`Client`: asks the gateway and waits for the answer. Threads may share one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from types import TracebackType
from typing import Final, Self, final

import httpx2

from bailiwick.client.ambient import AMBIENT, Ambient
from bailiwick.client.answers import Me, Minted, UsagePage, UsageRow, read
from bailiwick.client.configuration import DEFAULT_TIMEOUT, configured
from bailiwick.client.errors import refusal, unanswered
from bailiwick.client.requests import ME, Asked, GroupBy, UsageWish, Wish
from bailiwick.client.retries import Attempts
from bailiwick.client.token_sources import REFRESH_BEFORE, TokenSource


@final
class Client:
    """Asks one installation with one key.

    `with Client() as client: client.auth.mint("user-123")`. Every method raises a `ClientError`.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        timeout: float | httpx2.Timeout | None = None,
        max_retries: int = 2,
        give_up_after: float = 60.0,
        http_client: httpx2.Client | None = None,
        ambient: Ambient = AMBIENT,
    ) -> None:
        """Without arguments, `BAILIWICK_API_KEY` and `BAILIWICK_BASE_URL` say it; raises `ConfigurationError`.

        `timeout` is in seconds, for each attempt (5 to connect, 10 for all else, unless `http_client` has its own).
        No attempt begins later than `give_up_after` seconds after the first. An `http_client` of yours stays open
        when this is closed. `ambient` is the clock, randomness and environment; for tests.
        """
        if timeout is None and http_client is None:
            timeout = DEFAULT_TIMEOUT
        self._configuration = configured(
            api_key=api_key,
            base_url=base_url,
            timeout=timeout,
            max_retries=max_retries,
            give_up_after=give_up_after,
            ambient=ambient,
        )
        self._own = http_client is None
        self._http = httpx2.Client() if http_client is None else http_client
        self.auth: Final = Auth(self._ask)

    def __repr__(self) -> str:
        return f"Client(base_url={self.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    @property
    def base_url(self) -> str:
        """The installation's address, or a project's, without `/v1`: OpenAI's SDK takes `client.base_url + "/v1"`."""
        return self._configuration.base_url

    def close(self) -> None:
        """Close its connections."""
        if self._own:
            self._http.close()

    def me(self) -> Me:
        """Who the key is to the gateway (`GET /v1/me`)."""
        return read(self._ask(ME), Me)

    def usage(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        group_by: GroupBy = "day",
        limit: int | None = None,
        after: str | None = None,
        user_id: str | None = None,
    ) -> UsageReport:
        """What the project has used, or one end user of it (`GET /v1/usage`), as rows of all pages.

        From `since` (the beginning of the month) to before `until` (now), both with a time zone. `limit` is the size
        of a page, and `after` the `next` of an earlier one.
        """
        wish = UsageWish(since=since, until=until, group_by=group_by, limit=limit, after=after, user_id=user_id)

        def following(page: UsagePage) -> UsagePage | None:
            asked = wish.following(page)
            return None if asked is None else read(self._ask(asked), UsagePage)

        return UsageReport(read(self._ask(wish.asked()), UsagePage), following)

    def token_source(
        self,
        user_id: str,
        *,
        tier: str | int | None = None,
        ttl: int = 900,
        session_id: str | None = None,
        role: str | None = None,
        scopes: Sequence[str] | None = None,
        refresh_before: float = REFRESH_BEFORE,
    ) -> TokenSource:
        """What returns a token of this user that is good now: `OpenAI(api_key=client.token_source(…))`."""
        wish = Wish(user_id=user_id, tier=tier, ttl=ttl, session_id=session_id, role=role, scopes=scopes)

        def mint(wish: Wish, *, patient: bool) -> Minted:
            return read(self._ask(wish.asked(), patient=patient), Minted)

        return TokenSource(mint, wish, ambient=self._configuration.ambient, refresh_before=refresh_before)

    def _ask(self, asked: Asked, *, patient: bool = True) -> httpx2.Response:
        """One answer of success; raises `ClientError` when there is none, after the first attempt if not `patient`."""
        how = self._configuration
        attempts = Attempts(how.ambient, max_retries=how.max_retries if patient else 0, give_up_after=how.give_up_after)
        while True:
            try:
                response = self._http.request(
                    asked.method,
                    how.base_url + asked.path,
                    params=asked.params,
                    json=asked.body,
                    headers=asked.headers,
                    auth=how.bearer,
                    follow_redirects=False,  # the key is for this address, and for no other
                    timeout=httpx2.USE_CLIENT_DEFAULT if how.timeout is None else how.timeout,
                )
            except httpx2.RequestError as error:
                failure = unanswered(error)
            else:
                if response.is_success:
                    return response
                failure = refusal(response, now=how.ambient.wall())
            how.ambient.sleep(attempts.wait_after(failure))


@final
class Auth:
    """`client.auth`: tokens for end users."""

    def __init__(self, ask: Callable[[Asked], httpx2.Response]) -> None:
        self._ask = ask

    def mint(
        self,
        user_id: str,
        tier: str | int | None = None,
        ttl: int = 900,
        session_id: str | None = None,
        role: str | None = None,
        scopes: Sequence[str] | None = None,
    ) -> Minted:
        """Mint a token for one end user (`POST /v1/auth/mint`); the key needs `tokens:mint` and `users:act_as`.

        `ttl` is in seconds, 60 to 86,400. Without `session_id` a session is begun; without `scopes` the token may
        what the key may, and never more.
        """
        wish = Wish(user_id=user_id, tier=tier, ttl=ttl, session_id=session_id, role=role, scopes=scopes)
        return read(self._ask(wish.asked()), Minted)


@final
class UsageReport:
    """The rows of a report, over all its pages: each page after the first is asked for when its turn comes.

    `since` counts and `until` does not; `total` is over all rows, whatever the page.
    """

    def __init__(self, first: UsagePage, following: Callable[[UsagePage], UsagePage | None]) -> None:
        self._first = first
        self._following = following
        self.since: Final = first.since
        self.until: Final = first.until
        self.group_by: Final = first.group_by
        self.total: Final = first.total

    def __iter__(self) -> Iterator[UsageRow]:
        page: UsagePage | None = self._first
        while page is not None:
            yield from page.data
            page = self._following(page)
