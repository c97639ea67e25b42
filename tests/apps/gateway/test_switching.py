"""Users of several organizations call while memberships come and go: nobody runs a call where they are not.

Memberships are ended and given back at random beside random calls. The provider's record says which calls ran.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, NamedTuple, final

import httpx2
import pytest

from bailiwick.identity import signing_keys
from tests.apps.gateway.people import Platform, enroll, let_in, organization, platform, tenant_of
from tests.faults.trial import times
from tests.serving import MODEL, Caller, Site
from tests.upstream import Upstream

PROMPTLY: Final = 1.0
USERS: Final = ("ada", "bob", "eve")
CLIENTS: Final = 6
Place = tuple[str, int]


@final
class Call(NamedTuple):
    """A call of a user in an organization: when, what came of it, and what it said to the provider."""

    place: Place
    began: float
    ended: float
    status: int
    code: str
    marker: str


@final
@dataclass(slots=True)
class Memberships:
    """Who is a member where, changed at random; `absences` are the times in which somebody surely was none."""

    site: Site
    idp: Platform
    organizations: list[Caller]
    chance: random.Random
    present: dict[Place, str] = field(default_factory=dict)
    since: dict[Place, float] = field(default_factory=dict)
    absences: dict[Place, list[tuple[float, float]]] = field(default_factory=dict)
    ending: threading.Event = field(default_factory=threading.Event)

    def enroll(self, place: Place) -> None:
        """Make a user a member, who was none until this began."""
        if place in self.since:
            self.absences.setdefault(place, []).append((self.since.pop(place), time.monotonic()))
        self.present[place] = enroll(self.organizations[place[1]], place[0], issuer=self.idp.issuer)

    def dismiss(self, place: Place) -> None:
        """End a membership; from then on the user is none."""
        assert self.site.admin.request("DELETE", self.present.pop(place)).status_code == 204
        self.since[place] = time.monotonic()

    def run(self) -> None:
        """Change memberships until told to end; each stays as it is for a while."""
        due: dict[Place, float] = dict.fromkeys(self.present, 0.0)
        while not self.ending.is_set():
            place = min(due, key=lambda one: due[one])
            if self.ending.wait(max(0.01, due[place] - time.monotonic())):
                break
            (self.dismiss if place in self.present else self.enroll)(place)
            due[place] = time.monotonic() + self.chance.uniform(0.3, 5.0)
        for place, began in self.since.items():
            self.absences.setdefault(place, []).append((began, float("inf")))


@pytest.mark.proof
def test_no_call_runs_where_its_user_was_no_member_a_second_before(site: Site, upstream: Upstream) -> None:
    chance = random.Random(6)
    idp = platform(site, signing_keys.make(), orgs="orgs")
    organizations = [organization(site) for _ in range(3)]
    tenants = [tenant_of(one) for one in organizations]
    tokens = {user: idp.token(user, orgs=tenants) for user in USERS}
    memberships = Memberships(site, idp, organizations, random.Random(7))
    for place in itertools.product(USERS, range(len(organizations))):
        memberships.enroll(place)
    let_in(idp.person(organizations[0], orgs=tenants), {"x-org-id": tenants[0]})
    places = [(chance.choice(USERS), chance.randrange(len(tenants))) for _ in range(times(10_000))]
    numbered = iter(list(enumerate(places)))
    pick = threading.Lock()

    def client() -> list[Call]:
        made: list[Call] = []
        with httpx2.Client(base_url=site.installation.url, timeout=30) as http:
            while True:
                with pick:
                    number, place = next(numbered, (None, ("", 0)))
                if number is None:
                    return made
                marker = f"call-{number}-of-{place[0]}"
                headers = {"authorization": f"Bearer {tokens[place[0]]}", "x-org-id": tenants[place[1]]}
                body = {"model": MODEL, "messages": [{"role": "user", "content": marker}]}
                began = time.monotonic()
                answer = http.post("/v1/chat/completions", headers=headers, json=body)
                code = "" if answer.status_code == 200 else answer.json()["error"]["code"]
                made.append(Call(place, began, time.monotonic(), answer.status_code, code, marker))

    changing = threading.Thread(target=memberships.run)
    changing.start()
    try:
        with ThreadPoolExecutor(CLIENTS) as pool:
            calls = [call for made in [pool.submit(client) for _ in range(CLIENTS)] for call in made.result()]
    finally:
        memberships.ending.set()
        changing.join()
    ran = {record.json["messages"][0]["content"] for record in upstream.requests}
    check(calls, memberships, ran)
    for number, one in enumerate(organizations):
        here = [call for call in calls if call.place[1] == number]
        completed = Counter(str(row["uid"]).rpartition(":")[2] for row in one.rows if row["outcome"] == 0)
        # Who ceases to be a member when the provider has answered is refused, though the call is complete.
        assert Counter(call.place[0] for call in here if call.status == 200) <= completed
        assert completed <= Counter(call.place[0] for call in here if call.marker in ran)


def check(calls: list[Call], memberships: Memberships, ran: set[str]) -> None:
    """Whoever surely was no member for a second was refused, and nothing of it came to the provider."""
    # How late this machine is: where it has room, a call takes hundredths of a second.
    lag = min(max(call.ended - call.began for call in calls), 2 * PROMPTLY)
    late = [
        call
        for call in calls
        for began, ended in memberships.absences.get(call.place, ())
        if began + PROMPTLY + lag < call.began and call.ended < ended
    ]
    assert len(late) > len(calls) // 20, "hardly anybody called where they were no member: nothing was tried"
    assert [call for call in late if (call.status, call.code) != (403, "not_a_member")] == []
    assert not {call.marker for call in late} & ran
    refused = {(call.status, call.code) for call in calls if call.status != 200}
    assert refused == {(403, "not_a_member")}
    assert {call.marker for call in calls if call.status == 200} <= ran
    assert sum(call.status == 200 for call in calls) > len(calls) // 5
