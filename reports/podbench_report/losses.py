"""Loss of one arm over all its pairs: counts summed, interval as computed by the analysis."""

from podbench.model.summary import LossSummary
from podbench_report.view import RunView


def lost(found: LossSummary) -> int:
    """Returns the number of lost probes in both directions."""
    return found.lost_forward + found.lost_backward + found.lost_unknown


def arm_loss(view: RunView, arm: str) -> LossSummary | None:
    """Returns the lost probes of one arm; null if no pair has a count."""
    counted = [p.loss for p in view.pairs.get(arm, {}).values() if p.loss is not None]
    if not counted:
        return None
    sent = sum(one.sent for one in counted)
    forward = sum(one.lost_forward for one in counted)
    backward = sum(one.lost_backward for one in counted)
    unknown = sum(one.lost_unknown for one in counted)
    estimate = view.estimate(arm, "loss.ratio")
    ratio = (forward + backward + unknown) / sent if sent else None
    return LossSummary(
        sent=sent,
        lost_forward=forward,
        lost_backward=backward,
        lost_unknown=unknown,
        ratio=ratio if estimate is None or estimate.value is None else estimate.value,
        ci95=None if estimate is None else estimate.ci95,
        episodes=sum(one.episodes for one in counted),
    )
