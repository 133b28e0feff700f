"""Display names: modes in their usual spelling, arms in words, nodes in zone order."""

from collections.abc import Sequence

from podbench.model.summary import NodeSummary

_MODES = {
    "vxlan": "VXLAN",
    "geneve": "Geneve",
    "ipip": "IPIP",
    "bgp": "BGP",
    "host-gw": "host-gw",
    "native": "native",
    "as-found": "as found",
}
_ORDER = tuple(_MODES)
_LONG = 14
"""Maximum length of a label; the tooltip and the appendix have the full name."""


def mode_label(mode: str) -> str:
    """Returns `VXLAN`, `IPIP`, `BGP`; an unknown mode stays as spelled."""
    return _MODES.get(mode, mode)


def mode_of(arm: str) -> str:
    """Returns `vxlan` for `vxlan/pod#2`; a bare mode stays as it is."""
    return arm.partition("/")[0].partition("#")[0]


def path_of(arm: str) -> str:
    """Returns `pod` for `vxlan/pod#2`; a bare mode means the pod path."""
    return arm.partition("/")[2].partition("#")[0] or "pod"


def is_repeat(arm: str) -> bool:
    """True for the A/A repeat of an arm."""
    return "#" in arm


def arm_label(arm: str) -> str:
    """Returns `VXLAN`, `host path (alongside VXLAN)` or `VXLAN repeat (A/A)`."""
    label = mode_label(mode_of(arm))
    if path_of(arm) != "pod":
        label = f"{path_of(arm)} path (alongside {label})"
    return label + (" repeat (A/A)" if is_repeat(arm) else "")


def plot_label(arm: str) -> str:
    """Returns `arm_label` shortened for a plot, where hollow marks show the repeats."""
    return arm_label(arm).replace(" repeat (A/A)", " repeat").replace("(alongside ", "(")


def mode_order(modes: Sequence[str]) -> tuple[str, ...]:
    """Returns each mode once: most encapsulation first, unknown modes last."""
    unique = dict.fromkeys(modes)
    return tuple(sorted(unique, key=lambda m: (_ORDER.index(m) if m in _ORDER else 99, m)))


def zone_order(nodes: Sequence[NodeSummary]) -> tuple[NodeSummary, ...]:
    """Sorts nodes by region, zone and name (natural order: n2 before n10)."""
    return tuple(sorted(nodes, key=lambda n: (n.region or "", n.zone or "", _natural(n.name))))


def short_labels(names: Sequence[str]) -> dict[str, str]:
    """Returns a short, unique label for each name: drops the common prefix, then the middle.

    If shortening would make two labels equal, the label gets the node's number.
    """
    if not names:
        return {}
    prefix = _common_prefix(names) if max(map(len, names)) > _LONG else ""
    labels: dict[str, str] = {}
    taken: set[str] = set()
    for number, name in enumerate(names, 1):
        label = _cut("…" + name[len(prefix) :] if prefix else name)
        if label in taken:
            label = f"{label[: _LONG - 5]}…{number}"
        taken.add(label)
        labels[name] = label
    return labels


def _common_prefix(names: Sequence[str]) -> str:
    if len(names) < 2:
        return ""
    first, last = min(names), max(names)
    length = 0
    while length < min(len(first), len(last)) and first[length] == last[length]:
        length += 1
    # Cut only at a separator, and keep part of every name.
    cut = max(first.rfind(mark, 0, length) for mark in "-._/") + 1
    return first[:cut] if cut > 3 and all(len(name) > cut for name in names) else ""


def _cut(label: str) -> str:
    if len(label) <= _LONG:
        return label
    return f"{label[: _LONG // 2 - 1]}…{label[-(_LONG // 2) :]}"


def _natural(name: str) -> tuple[tuple[int, int, str], ...]:
    parts: list[tuple[int, int, str]] = []
    digits = ""
    for char in name + "\0":
        if char.isascii() and char.isdigit():
            digits += char
            continue
        if digits:
            parts.append((0, int(digits), ""))
            digits = ""
        parts.append((1, 0, char))
    return tuple(parts)
