"""What a run would make in a cluster, before anything is made: for plans and dry runs. Pure.

The settings are a run's own, but for secrets that are none: nobody may use what comes of them.
"""

from collections.abc import Sequence

from podbench.target.kubernetes.api.refs import Object, Ref, ref
from podbench.target.kubernetes.deploy.ledger import REF as LEDGER
from podbench.target.kubernetes.deploy.objects import objects
from podbench.target.kubernetes.deploy.settings import (
    ORCHESTRATOR,
    Broker,
    Credentials,
    ModeSet,
    OtherBroker,
    Settings,
    agents_on,
    asks_calico,
)
from podbench.target.kubernetes.survey.nodes import Place

NO_IMAGE = "podbench.invalid/image:none"
"""Stands for the image where none was named; nothing is pulled."""
NO_SECRET = "0" * 16
"""Of a password's form, and nobody's."""


def preview(
    places: Sequence[Place], modes: Sequence[ModeSet], other: OtherBroker | None = None
) -> list[Ref]:
    """Every object of a run on these nodes, in the order in which they are made."""
    return [*(ref(each) for each in preview_objects(places, modes, None, other)), LEDGER]


def preview_objects(
    places: Sequence[Place],
    modes: Sequence[ModeSet],
    image: str | None,
    other: OtherBroker | None = None,
) -> list[Object]:
    """The objects themselves, in that order; without a broker's where there is another."""
    names = [each.name for each in places]
    who = [*agents_on(names, modes), ORCHESTRATOR]
    settings = Settings(
        run_id="preview",
        image=image or NO_IMAGE,
        nodes=tuple(names),
        modes=tuple(modes),
        broker=other or Broker(node=names[0], address=places[0].address),
        credentials=Credentials(
            passwords=dict.fromkeys(who, NO_SECRET),
            hmac_key=NO_SECRET,
            salt=bytes(12),
            ca=NO_SECRET,
            certificate=NO_SECRET,
            key=NO_SECRET,
        ),
        lease_holder="preview",
        node_status=asks_calico(names, modes),
    )
    return objects(settings)
