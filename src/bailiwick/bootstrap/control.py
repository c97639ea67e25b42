"""Builds the control process.

Apart from the gateway's, so that neither process imports what only the other needs.
"""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Network, IPv6Network
from typing import Final, final

from bailiwick.bootstrap.ambient import entropy, monotonic, now
from bailiwick.bootstrap.installation import control_database
from bailiwick.bootstrap.person_access import PersonAccess, person_access
from bailiwick.domain.providers import Provider
from bailiwick.domain.sign_in import SessionLimits
from bailiwick.identity.keyring import ControlKeys
from bailiwick.identity.outbound import OutboundGuard
from bailiwick.identity.passwords import Passwords
from bailiwick.providers.http1 import Timeouts
from bailiwick.providers.names import Names
from bailiwick.providers.openai import OpenAIProvider
from bailiwick.providers.own_gateway import OwnGateway
from bailiwick.providers.transport import Transport
from bailiwick.services.acts import Acts
from bailiwick.services.agents import Agents
from bailiwick.services.audit_trail import AuditTrail, Ends, Witness
from bailiwick.services.budgets import BudgetBook
from bailiwick.services.confinement import Confinement
from bailiwick.services.credentials import Credentials
from bailiwick.services.directory import Directory
from bailiwick.services.end_users import EndUsers
from bailiwick.services.explaining import Explaining
from bailiwick.services.issuer_keys import IssuerKeys
from bailiwick.services.issuer_tester import IssuerTester
from bailiwick.services.issuers import Issuers
from bailiwick.services.mcp_servers import McpServers
from bailiwick.services.members import Members
from bailiwick.services.operator_keys import OperatorKeys
from bailiwick.services.operator_minting import OperatorMinting
from bailiwick.services.operators import Operators
from bailiwick.services.outside_documents import OutsideDocuments
from bailiwick.services.people import People
from bailiwick.services.playground import Playground
from bailiwick.services.provider_accounts import ProviderAccounts
from bailiwick.services.provider_tests import Connect, ProviderTests
from bailiwick.services.provisioning import Provisioning
from bailiwick.services.repeats import Repeats
from bailiwick.services.revocations import Revocations
from bailiwick.services.roles import Roles
from bailiwick.services.signing_keys import SigningKeys
from bailiwick.services.tiers import Tiers
from bailiwick.services.usage import UsageReports
from bailiwick.services.usage_export import UsageExport
from bailiwick.services.usage_of_all import UsageOfAll
from bailiwick.services.webhooks import Webhooks
from bailiwick.storage.operator_keys import OperatorLookup

_CONNECTIONS: Final = 8
# With providers that are only asked whether they answer.
_PATIENCE: Final = Timeouts(connect=5.0)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """The use cases of the control process."""

    acts: Acts
    confinement: Confinement
    operators: Operators
    operator_keys: OperatorKeys
    operator_minting: OperatorMinting
    people: People
    repeats: Repeats
    provisioning: Provisioning
    credentials: Credentials
    tiers: Tiers
    budgets: BudgetBook
    webhooks: Webhooks
    revocations: Revocations
    signing_keys: SigningKeys
    providers: ProviderAccounts
    provider_tests: ProviderTests
    issuers: Issuers
    mcp_servers: McpServers
    issuer_tester: IssuerTester
    members: Members
    roles: Roles
    agents: Agents
    playground: Playground
    usage: UsageReports
    usage_export: UsageExport
    usage_of_all: UsageOfAll
    end_users: EndUsers
    explaining: Explaining
    directory: Directory
    audit: AuditTrail
    witness: Witness
    person: PersonAccess
    public_url: str


@asynccontextmanager
async def control_plane(
    *,
    control_url: str,
    keys: ControlKeys,
    outbound_allow: Sequence[IPv4Network | IPv6Network],
    public_url: str,
    session_limits: SessionLimits,
    gateway_socket: str | None = None,
    keep_heads: Callable[[datetime, Ends], None] = lambda _at, _ends: None,
    now: Callable[[], datetime] = now,
    monotonic: Callable[[], float] = monotonic,
    entropy: Callable[[int], bytes] = entropy,
    passwords: Callable[[], Passwords] = Passwords,
) -> AsyncGenerator[ControlPlane]:
    """Build the control plane over a pool of the control role's connections; closed on the way out.

    `public_url` is where people reach it: from it follow links and what cookies may do, never from a request.
    `gateway_socket` is where the gateway is called, None if there is none.
    It starts without a database too: then every use case raises `Unavailable` until there is one.
    `keep_heads` keeps the ends of the audit log's chains outside the database; it may raise `OSError`.
    """
    names = Names()
    guard = OutboundGuard(tuple(outbound_allow), lookup=names.addresses)
    async with (
        control_database(control_url, _CONNECTIONS) as database,
        _closing(passwords()) as hashing,
        _transport(guard, names) as transport,
        aclosing(IssuerKeys(OutsideDocuments(transport, guard), monotonic=time.monotonic)) as issuer_keys,
    ):
        acts = Acts(now=now, entropy=entropy, audit_key=keys.audit)
        accounts = ProviderAccounts(database, acts, sealing=keys.sealing, guard=guard)
        access = person_access(
            database,
            acts,
            keys,
            hashing,
            session_limits,
            monotonic,
            transport=transport,
            guard=guard,
            public_url=public_url,
        )
        explaining = Explaining(database)
        confinement = Confinement(database, acts.new_id(), now=now)
        gateway = None if gateway_socket is None else OwnGateway(transport, socket=gateway_socket)
        yield ControlPlane(
            acts=acts,
            confinement=confinement,
            operators=Operators(OperatorLookup(database), pepper=keys.operator_pepper, now=now),
            operator_keys=OperatorKeys(database, acts, pepper=keys.operator_pepper),
            operator_minting=OperatorMinting(database, acts, confinement, sealing=keys.sealing, public_url=public_url),
            people=People(database, acts, access.sessions),
            repeats=Repeats(database, now=now),
            provisioning=Provisioning(database, acts),
            credentials=Credentials(database, acts, pepper=keys.pepper),
            tiers=Tiers(database, acts),
            budgets=BudgetBook(database, acts),
            webhooks=Webhooks(database, acts, sealing=keys.sealing, guard=guard),
            revocations=Revocations(database, acts),
            signing_keys=SigningKeys(database, acts, sealing=keys.sealing),
            providers=accounts,
            provider_tests=ProviderTests(accounts, _connect(transport), monotonic=time.monotonic),
            issuers=Issuers(database, acts, guard=guard, public_url=public_url),
            mcp_servers=McpServers(database, acts, sealing=keys.sealing, guard=guard),
            issuer_tester=IssuerTester(database, issuer_keys, now=now, public_url=public_url),
            roles=Roles(database, acts),
            members=Members(database, acts, public_url=public_url),
            agents=Agents(database, acts),
            usage=UsageReports(database),
            usage_export=UsageExport(database, acts),
            usage_of_all=UsageOfAll(database, acts),
            end_users=EndUsers(database, acts),
            explaining=explaining,
            playground=Playground(database, acts, explaining, gateway, sealing=keys.sealing, public_url=public_url),
            directory=Directory(database, acts),
            audit=AuditTrail(database, acts),
            witness=Witness(database, keep=keep_heads, now=now),
            person=access,
            public_url=public_url,
        )


@asynccontextmanager
async def _closing(passwords: Passwords) -> AsyncGenerator[Passwords]:
    try:
        yield passwords
    finally:
        passwords.close()


@asynccontextmanager
async def _transport(guard: OutboundGuard, names: Names) -> AsyncGenerator[Transport]:
    """The way to providers, for a question now and then: few connections, none of them kept."""
    transport = Transport(resolve=guard.resolve, names=names, max_idle_per_origin=0, max_connections_per_origin=4)
    try:
        yield transport
    finally:
        await transport.aclose()


def _connect(transport: Transport) -> Connect:
    def connect(provider: Provider, secret: str | None) -> OpenAIProvider:
        return OpenAIProvider(
            transport,
            kind=provider.spec.kind,
            base_url=provider.spec.base_url,
            secret=secret,
            guarded=not provider.from_environment,
            timeouts=_PATIENCE,
        )

    return connect
