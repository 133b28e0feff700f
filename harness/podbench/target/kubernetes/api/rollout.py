"""How far a DaemonSet's roll-out is. Pure."""

from podbench.target.kubernetes.api.refs import Object


def rolling(daemons: Object) -> str | None:
    """What a DaemonSet's roll-out lacks; null once every node runs its newest template.

    Source: https://kubernetes.io/docs/tasks/manage-daemon/update-daemon-set/, as `kubectl rollout
    status` judges it.
    """
    status = daemons.get("status") or {}
    if status.get("observedGeneration", 0) < daemons["metadata"].get("generation", 0):
        return "its controller has not seen it yet"
    wanted = int(status.get("desiredNumberScheduled") or 0)
    updated = int(status.get("updatedNumberScheduled") or 0)
    available = int(status.get("numberAvailable") or 0)
    if min(updated, available) >= wanted:
        return None
    return f"{updated} of {wanted} nodes have the new pod, {available} an available one"


def done(daemons: Object) -> int:
    """How many nodes run its newest template and are well; only ever more while it rolls out."""
    status = daemons.get("status") or {}
    if status.get("observedGeneration", 0) < daemons["metadata"].get("generation", 0):
        return 0
    updated = int(status.get("updatedNumberScheduled") or 0)
    return min(updated, int(status.get("numberAvailable") or 0))
