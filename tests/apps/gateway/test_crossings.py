"""Which calls are counted as refused crossings, through HTTP, and whose."""

from __future__ import annotations

from typing import Any

from bailiwick.identity import signing_keys
from tests.apps.gateway.people import address, me, organization, platform, tenant_of
from tests.apps.gateway.test_roles import minted
from tests.serving import Site, error_of, until, uuid_of


def crossings(site: Site, actor_name: str) -> list[Any]:
    query = "SELECT tenant_id, project_id, actor, code, refused FROM bailiwick.refused_crossings WHERE uid = %s"
    return [tuple(row.values()) for row in site.database.execute(query.encode(), (actor_name,)).fetchall()]


def test_a_token_that_names_another_user_or_tenant_is_counted_to_its_key(site: Site) -> None:
    caller, other = organization(site), organization(site)
    user = minted(caller, user_id="crosser-1")
    for _ in range(2):
        assert error_of(user.chat(headers={"x-end-user-id": "bob"})) == (403, "act_as_not_allowed")
    assert error_of(user.chat(headers={"x-org-id": tenant_of(other)})) == (403, "not_a_member")
    place = (uuid_of("ten", tenant_of(caller)), uuid_of("prj", caller.id), caller.key_id)
    until(lambda: sum(row[-1] for row in crossings(site, "crosser-1")) == 3, patience=3.0)
    found = crossings(site, "crosser-1")
    assert {row[:3] for row in found} == {place}
    assert {row[3] for row in found} == {"act_as_not_allowed", "not_a_member"}


def test_a_platforms_user_who_is_no_member_is_counted_to_no_tenant(site: Site) -> None:
    idp, a = platform(site, signing_keys.make()), organization(site)
    stranger = idp.person(a, "crosser-2")
    assert error_of(me(stranger, at=address(a))) == (403, "not_a_member")
    until(lambda: bool(crossings(site, "crosser-2")), patience=3.0)
    assert crossings(site, "crosser-2") == [(None, None, "user", "not_a_member", 1)]


def test_what_is_refused_for_another_reason_is_no_crossing(site: Site) -> None:
    caller = organization(site)
    user = minted(caller, user_id="crosser-3", role="viewer")
    assert error_of(user.chat()) == (403, "forbidden")
    assert error_of(user.chat(headers={"x-end-user-id": "bob"})) == (403, "act_as_not_allowed")
    until(lambda: bool(crossings(site, "crosser-3")), patience=3.0)
    assert [row[3] for row in crossings(site, "crosser-3")] == ["act_as_not_allowed"]
