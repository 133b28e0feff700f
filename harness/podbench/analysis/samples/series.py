"""Streams to cells: the sorted samples of every latency series by arm, block and pair.

Phases never mix: warm rows feed `rtt_kernel_ns`, `rtt_app_ns`, PDV and IPDV, idle rows
`rtt_idle_ns`, loaded rows `rtt_loaded_ns` (the last two on kernel stamps).
"""

import numpy as np

from podbench.analysis.samples import variation
from podbench.analysis.samples.blocks import Cells
from podbench.analysis.samples.streams import FloatArray, Rtts

WARM, IDLE, LOADED = "warm", "idle", "loaded"

PHASE_OF = {
    "rtt_kernel_ns": WARM,
    "rtt_app_ns": WARM,
    "pdv_ns": WARM,
    "ipdv_ns": WARM,
    "rtt_idle_ns": IDLE,
    "rtt_loaded_ns": LOADED,
}


def values_of(streams: Rtts) -> dict[str, FloatArray]:
    """(rows,) the values of each series in stream order, NaN where undefined."""
    return {
        "rtt_kernel_ns": streams.kernel_ns,
        "rtt_app_ns": streams.app_ns,
        "pdv_ns": variation.pdv_ns(streams.kernel_ns, streams.starts),
        "ipdv_ns": np.abs(variation.ipdv_ns(streams.kernel_ns, streams.starts)),
        "rtt_idle_ns": streams.kernel_ns,
        "rtt_loaded_ns": streams.kernel_ns,
    }


def cells_of(streams: Rtts, values: dict[str, FloatArray]) -> dict[str, Cells]:
    """Sorted samples of every series; a cell that lost everything is an empty array, not absent."""
    found: dict[str, Cells] = {name: {} for name in PHASE_OF}
    for phase in (WARM, IDLE, LOADED):
        names = [name for name, of in PHASE_OF.items() if of == phase]
        for cell in streams.cells(phase):
            key = cell.key
            for name in names:
                part = values[name][cell.start : cell.stop]
                held = found[name].setdefault((key.arm, key.block), {})
                held[key.src, key.dst] = np.sort(part[np.isfinite(part)])
    return found
