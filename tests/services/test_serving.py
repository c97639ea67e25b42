"""What a project can call: found once, however often it is asked for."""

from __future__ import annotations

from uuid import UUID

from bailiwick.domain.ids import ProviderId, TenantId
from bailiwick.domain.models import Catalogue, Offer, ProviderKind
from bailiwick.services.serving import PriceList, ProjectModels


def test_names_that_are_told_are_looked_for_once_and_not_priced() -> None:
    priced: list[str] = []
    offer = Offer(
        id=ProviderId(UUID(int=1)),
        name="up",
        kind=ProviderKind.OPENAI,
        models=tuple(f"model-{number}" for number in range(1000)),
        shared=False,
    )
    catalogue = Catalogue([offer], {})
    models = ProjectModels(
        TenantId(UUID(int=2)),
        catalogue,
        {},
        {},
        {},
        PriceList(lambda _kind, model, _at: priced.append(model), lambda _kind, _model: None, lambda _version: None),
    )
    told = models.listed()

    assert [name for name, _ in told] == [*(offer.models or ()), "echo"]
    assert models.listed() is told
    assert priced == []
