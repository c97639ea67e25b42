"""The first start of an installation, and what each start brings along in its environment.

Any number of processes may start on one database at once: one of them makes the first operator key, tenant, project
and API key, in one transaction; the others find them. A master key that is not the one of the first start is refused,
because nothing that was sealed or hashed under the other could be read.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

from bailiwick.domain import ids
from bailiwick.domain.audit import BOOTSTRAP, ENVIRONMENT, INSTALLATION, changes
from bailiwick.domain.credentials import Lifetime, key_spec
from bailiwick.domain.errors import BailiwickError
from bailiwick.domain.ids import OperatorKeyId
from bailiwick.domain.operators import OperatorKey, OperatorRole
from bailiwick.domain.providers import PLATFORM, EnvironmentProvider, Provider, provider_spec, read_provider_secret
from bailiwick.domain.tenancy import project_spec, tenant_spec
from bailiwick.identity import api_keys
from bailiwick.identity.keyring import ControlKeys
from bailiwick.identity.sealing import CannotOpen
from bailiwick.services.absence import found
from bailiwick.services.acts import Acts
from bailiwick.services.credentials import add_key
from bailiwick.services.documents import provider_document
from bailiwick.services.provider_accounts import ProviderAccounts, SecretChange
from bailiwick.services.provisioning import add_project, add_tenant
from bailiwick.storage import installation
from bailiwick.storage.installation import Installation
from bailiwick.storage.operator_keys import add_operator_key
from bailiwick.storage.providers import ProviderRows, platform
from bailiwick.storage.scope import Database, Scope


@final
class WrongMasterKey(BailiwickError):
    """The database was made with another master key."""

    def __init__(self) -> None:
        """The message is for whoever started the process."""
        super().__init__("the master key is not the one that this database is kept with")


@final
class KeysNotKept(BailiwickError):
    """The first start's keys could not be kept, so nothing was made."""

    def __init__(self, cause: OSError) -> None:
        """The message is for whoever started the process."""
        super().__init__(f"the keys of the first start could not be written: {cause.strerror or cause}")


@final
@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class FirstKeys:
    """What the first start made, with secrets that exist nowhere else."""

    admin_key: str
    tenant_id: str
    project_id: str
    project_slug: str
    api_key: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentSync:
    """The names that are served from the environment, and those that the control plane's own providers hold."""

    served: tuple[str, ...]
    kept: tuple[str, ...]


@final
class Installing:
    """What a start does to the database, once it is migrated."""

    def __init__(self, database: Database, acts: Acts, *, keys: ControlKeys, accounts: ProviderAccounts) -> None:
        """`database` is one of the control process's role."""
        self._database = database
        self._acts = acts
        self._keys = keys
        self._accounts = accounts

    async def first_start(
        self,
        *,
        master_check: str,
        public_url: str | None,
        default_public_url: str,
        before_commit: Callable[[FirstKeys], None],
    ) -> FirstKeys | None:
        """Make what a new installation needs to be entered; None if it was there.

        `before_commit` keeps the secrets: if it raises, nothing is made. After a crash between the two, the next start
        makes everything anew and calls it again. A `public_url` that is given is kept from now on; else that of the
        first start stays. Raises `WrongMasterKey`, `KeysNotKept`, `Unavailable`.
        """
        async with self._database.operating() as scope:
            await installation.lock(scope)
            there = await installation.find(scope)
            if there is not None:
                if there.master_check != master_check:
                    raise WrongMasterKey
                if public_url is not None and public_url != there.public_url:
                    await self._move(scope, there.public_url, public_url)
                return None
            row = Installation(
                master_check=master_check, public_url=public_url or default_public_url, created_at=self._acts.now()
            )
            await installation.add(scope, row)
            first = await self._make_first(scope)
            try:
                before_commit(first)
            except OSError as error:
                # Not to be taken for the database's own trouble: here a file could not be written.
                raise KeysNotKept(error) from error
            return first

    async def public_url(self) -> str:
        """Where clients reach this installation, as the database keeps it; after the first start."""
        async with self._database.reading(None) as scope:
            return found(await installation.find(scope)).public_url

    async def sync_environment_providers(self, named: Sequence[EnvironmentProvider]) -> EnvironmentSync:
        """Make the platform's providers of the environment those that it names now, each by its kind's name.

        A provider of that name that the control plane made is left alone and told in `kept`.
        """
        async with self._database.operating() as scope:
            await installation.lock(scope)
            stored = {provider.spec.name: (provider, sealed) for provider, sealed in await platform(scope)}
            served: list[str] = []
            kept: list[str] = []
            for wanted in named:
                name = wanted.kind.value
                provider, sealed = stored.get(name, (None, None))
                if provider is not None and not provider.from_environment:
                    kept.append(name)
                    continue
                served.append(name)
                await self._set_up(scope, wanted, provider, sealed)
            wanted_names = {wanted.kind.value for wanted in named}
            for provider, _ in stored.values():
                if provider.from_environment and provider.spec.name not in wanted_names:
                    await ProviderRows(scope, PLATFORM).remove(provider.id)
                    detail: dict[str, object] = {"before": provider_document(provider)}
                    await self._accounts.record(scope, ENVIRONMENT, "remove", provider, detail)
        return EnvironmentSync(served=tuple(served), kept=tuple(kept))

    async def _move(self, scope: Scope, before: str, after: str) -> None:
        await installation.change_public_url(scope, after)
        detail = changes({"public_url": before}, {"public_url": after})
        await self._acts.record(scope, ENVIRONMENT, "installation.change", INSTALLATION, tenant_id=None, detail=detail)

    async def _make_first(self, scope: Scope) -> FirstKeys:
        now = self._acts.now()
        made = api_keys.make(api_keys.OPERATOR_KEY, self._acts.entropy(48))
        operator = OperatorKey(
            id=OperatorKeyId(self._acts.new_id()),
            name="First start",
            role=OperatorRole.OWNER,
            tenant_id=None,
            lookup_id=made.lookup_id,
            lifetime=Lifetime(expires_at=None, revoked_at=None),
            created_at=now,
            created_by=BOOTSTRAP.name,
        )
        await add_operator_key(scope, operator, digest=api_keys.digest(self._keys.operator_pepper, made))
        shown_operator = ids.shown(ids.OPERATOR_KEY, operator.id)
        await self._acts.record(scope, BOOTSTRAP, "installation.create", INSTALLATION, tenant_id=None, detail={})
        await self._acts.record(
            scope,
            BOOTSTRAP,
            "operator_key.create",
            shown_operator,
            tenant_id=None,
            detail={"after": {"id": shown_operator, "name": operator.name, "role": operator.role.value}},
        )
        tenant = await add_tenant(scope, self._acts, BOOTSTRAP, tenant_spec(name="Default"))
        project = await add_project(scope, self._acts, BOOTSTRAP, tenant.id, project_spec(name="Default"))
        spec = key_spec(name="First start", now=now)
        issued = await add_key(scope, self._acts, BOOTSTRAP, (tenant.id, project.id), spec, pepper=self._keys.pepper)
        return FirstKeys(
            admin_key=made.text.decode(),
            tenant_id=ids.shown(ids.TENANT, tenant.id),
            project_id=ids.shown(ids.PROJECT, project.id),
            project_slug=project.slug,
            api_key=issued.text,
        )

    async def _set_up(
        self, scope: Scope, wanted: EnvironmentProvider, provider: Provider | None, sealed: bytes | None
    ) -> None:
        read_provider_secret(wanted.api_key)
        spec = provider_spec(name=wanted.kind.value, kind=wanted.kind, base_url=wanted.base_url)
        if provider is None:
            await self._accounts.add(scope, ENVIRONMENT, PLATFORM, spec, wanted.api_key, from_environment=True)
            return
        # A start that changes nothing writes nothing: no epoch moves, no cache is emptied.
        same_secret = self._opened(provider, sealed) == wanted.api_key
        if not same_secret or spec != provider.spec:
            secret_change = None if same_secret else SecretChange(secret=wanted.api_key)
            await self._accounts.apply(scope, ENVIRONMENT, provider, spec, secret_change)

    def _opened(self, provider: Provider, sealed: bytes | None) -> str | None:
        try:
            return self._accounts.opened(provider.place, provider.id, sealed)
        except CannotOpen:
            return None
