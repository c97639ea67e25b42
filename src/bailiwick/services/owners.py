"""An installation always has an owner: the last one can neither be removed nor made less."""

from __future__ import annotations

from bailiwick.domain.errors import Code, Refused
from bailiwick.domain.operators import Operator, OperatorRole
from bailiwick.storage import operators
from bailiwick.storage.scope import Scope


async def check_owner_remains(scope: Scope, operator: Operator) -> None:
    """Raise `Refused` (409) if the installation would have no lasting owner without this one.

    `scope` is one in which acts across tenants wait for one another. A key that ends by itself is no lasting owner.
    """
    if operator.role is not OperatorRole.OWNER or operator.tenant_id is not None or operator.until is not None:
        return
    if not await operators.has_other_owner(scope, operator.id):
        message = (
            "This is the installation's last owner. Make another one first: an active person, or a key without an end."
        )
        raise Refused(Code.CONFLICT, message)
