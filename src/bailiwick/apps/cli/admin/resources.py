"""Things by the names that people know: a slug, a name, an e-mail address, or the id.

An id is taken as it is. Anything else is looked up in the lists that the operator can read; what several things are
called names none of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final
from urllib.parse import quote

from bailiwick.apps.cli.admin.cannot_ask import MISUSED, REFUSED, CannotAsk
from bailiwick.domain import ids

if TYPE_CHECKING:  # Every command names resources, and only one that asks needs an HTTP client.
    from bailiwick.apps.cli.admin.client import Api

_PAGE: Final = {"limit": "200"}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """A kind of thing: its word, the prefix of its ids, where it is listed, the fields that name it, best first."""

    word: str
    prefix: str
    listed: str
    named_by: tuple[str, ...]


TENANT: Final = Resource(word="tenant", prefix=ids.TENANT, listed="/tenants", named_by=("slug", "name"))
PROJECT: Final = Resource(
    word="project", prefix=ids.PROJECT, listed="/tenants/{tenant}/projects", named_by=("slug", "name")
)
KEY: Final = Resource(word="key", prefix=ids.KEY, listed="/projects/{project}/keys", named_by=("name",))
TIER: Final = Resource(word="tier", prefix=ids.TIER, listed="/projects/{project}/tiers", named_by=("name",))
BUDGET: Final = Resource(word="budget", prefix=ids.BUDGET, listed="{whose}/budgets", named_by=())
WEBHOOK: Final = Resource(word="webhook", prefix=ids.WEBHOOK, listed="/tenants/{tenant}/webhooks", named_by=("name",))
PROVIDER: Final = Resource(word="provider", prefix=ids.PROVIDER, listed="{place}/providers", named_by=("name",))
ISSUER: Final = Resource(word="issuer", prefix=ids.ISSUER, listed="{place}/issuers", named_by=("issuer",))
ROLE: Final = Resource(word="role", prefix=ids.ROLE, listed="/tenants/{tenant}/roles", named_by=("name",))
MEMBER: Final = Resource(word="member", prefix=ids.MEMBER, listed="/tenants/{tenant}/members", named_by=("subject",))
MCP_SERVER: Final = Resource(
    word="mcp-server", prefix=ids.MCP_SERVER, listed="/projects/{project}/mcp-servers", named_by=("name",)
)
AGENT: Final = Resource(word="agent", prefix=ids.AGENT, listed="/projects/{project}/agents", named_by=("name",))
OPERATOR: Final = Resource(word="operator", prefix=ids.OPERATOR, listed="/operators", named_by=("email", "name"))
OPERATOR_KEY: Final = Resource(
    word="operator-key", prefix=ids.OPERATOR_KEY, listed="/operator-keys", named_by=("name",)
)
RESOURCES: Final = {
    resource.word.replace("-", "_"): resource
    for resource in (
        TENANT,
        PROJECT,
        KEY,
        TIER,
        BUDGET,
        WEBHOOK,
        PROVIDER,
        ISSUER,
        ROLE,
        AGENT,
        MCP_SERVER,
        MEMBER,
        OPERATOR,
        OPERATOR_KEY,
    )
}


@final
class Names:
    """What the words of one command stand for."""

    def __init__(self, api: Api, given: Mapping[str, str | None]) -> None:
        """`given` are the command's words, by the kind of thing that they name."""
        self._api = api
        self._given = given

    def fill(self, path: str) -> str:
        """The address with every name in it looked up; raises `CannotAsk`."""
        for word in _placeholders(path):
            path = path.replace("{" + word + "}", self._part(word))
        return path

    def find(self, resource: Resource, text: str | None) -> str:
        """The id that is meant: without a text, that of the only one there is; raises `CannotAsk`."""
        if text is not None and ids.parsed(resource.prefix, text) is not None:
            return text
        called: dict[str, list[str]] = {field: [] for field in resource.named_by}
        for place, item in enumerate(self._list(resource)):
            if text is None and place > 0:
                raise CannotAsk(MISUSED, f"there is more than one {resource.word}: say which with --{resource.word}")
            for field in resource.named_by:
                if text is None or item[field] == text:
                    called[field].append(str(item["id"]))
        # The first field that names it decides; a name that two have does not hide the one slug.
        found = next((matches for matches in called.values() if matches), [])
        if len(found) == 1:
            return found[0]
        if found:
            several = f"{len(found)} have the {resource.word} name {text!r}: {', '.join(found)}; take the id"
            raise CannotAsk(MISUSED, several)
        none = f"there is no {resource.word}" if text is None else f"there is no {resource.word} {text!r}"
        raise CannotAsk(REFUSED, f"{none} that this key can see")

    def _part(self, word: str) -> str:
        given = self._given.get(word)
        if word in {"place", "whose"}:
            return self._place(word)
        resource = RESOURCES.get(word)
        # What is no resource of ours (an end user, a request) has no other name than the one given.
        return quote(given or "", safe="") if resource is None else self.find(resource, given)

    def _place(self, word: str) -> str:
        """Whose: the project's that is named, else the tenant's; where none is, a `place` is the platform's."""
        if self._given.get("project") is not None:
            return self.fill("/projects/{project}")
        return "" if word == "place" and self._given.get("tenant") is None else self.fill("/tenants/{tenant}")

    def _list(self, resource: Resource) -> Iterator[dict[str, Any]]:
        if resource is PROJECT and self._given.get("tenant") is None:
            for tenant in self._pages("/tenants"):
                yield from self._pages(f"/tenants/{tenant['id']}/projects")
            return
        yield from self._pages(self.fill(resource.listed))

    def _pages(self, path: str) -> Iterator[dict[str, Any]]:
        parameters: dict[str, str] = dict(_PAGE)
        while True:
            page = self._api.read(path, parameters)
            yield from page["data"]
            if not page["has_more"]:
                return
            parameters["after"] = str(page["next"])


def _placeholders(path: str) -> list[str]:
    return [part.split("}")[0] for part in path.split("{")[1:]]
