"""What a run would make in a cluster, by name: for plans, before anything is made. Pure."""

from collections.abc import Sequence

from podbench.target.kubernetes.ledger import REF as LEDGER
from podbench.target.kubernetes.nodes import Place
from podbench.target.kubernetes.objects import objects
from podbench.target.kubernetes.refs import Ref, ref
from podbench.target.kubernetes.settings import (
    HOST_COMPONENT,
    ORCHESTRATOR,
    Broker,
    Credentials,
    ModeSet,
    Settings,
    agent_id,
)


def preview(places: Sequence[Place], modes: Sequence[ModeSet]) -> list[Ref]:
    """Every object of a run on these nodes, in the order in which they are made."""
    names = [each.name for each in places]
    components = (HOST_COMPONENT, *(each.mode.value for each in modes))
    who = [*(agent_id(name, each) for name in names for each in components), ORCHESTRATOR]
    settings = Settings(
        run_id="preview",
        image="preview",
        nodes=tuple(names),
        modes=tuple(modes),
        broker=Broker(node=names[0], address=places[0].address),
        # Of the right form, and for nobody: only the objects' names are looked at.
        credentials=Credentials(
            passwords=dict.fromkeys(who, "0" * 16), hmac_key="0" * 32, salt=bytes(12)
        ),
        lease_holder="preview",
    )
    return [*(ref(each) for each in objects(settings)), LEDGER]
