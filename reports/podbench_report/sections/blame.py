"""Who stands out: nodes, pairs and hosts whose figures differ from the rest, with the evidence."""

import msgspec

from podbench_report import wording
from podbench_report.view import RunView

_FEW = 4
"""Fewer nodes than this leave too few pairs to tell a bad node from a bad pair."""


class BlameSection(msgspec.Struct, frozen=True, kw_only=True):
    """The sentences, or what it means that there are none."""

    sentences: tuple[wording.Sentence, ...]
    none: str


def build(view: RunView) -> BlameSection:
    """What stands out in one run."""
    found = sorted(view.summary.blame, key=lambda b: -abs(b.z))
    none = "No node, pair or host stands out from the others by more than the margin."
    if not any(arm.status == "measured" for arm in view.summary.arms):
        none = "Nothing was measured, so nothing can stand out."
    elif len(view.nodes) < _FEW:
        none = (
            f"Nothing is flagged. With {len(view.nodes)} nodes a bad node can hardly be told from "
            "a bad pair: look at the matrices."
        )
    return BlameSection(sentences=tuple(wording.blame(b, view.labels) for b in found), none=none)
