"""Median polish of a directed mesh: which part of a figure belongs to a node, which to a pair.

Model: L[i, j] = mu + out_i + in_j + e_ij on logarithms, L[i, j] the figure from node i to node j;
cells that were not measured (and the diagonal) are NaN. Reference: Tukey, Exploratory Data Analysis
(1977), chapter 11; at most 50 sweeps. Scores are robust: z = (effect - median)/(1.4826 MAD).
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MAX_SWEEPS = 50
_SETTLED = 1e-9
_MAD_TO_SD = 1.4826
_LEAST_MAD = 1e-6
"""A mesh without any spread would make every rounding error an outlier."""


@dataclass(frozen=True, eq=False)
class Effects:
    """The parts of L: (n,) `out` and `into`, (n, n) `residual`; NaN where a row has no cell."""

    mu: float
    out: FloatArray
    into: FloatArray
    residual: FloatArray


def _row_medians(table: FloatArray) -> FloatArray:
    """Medians of rows, 0 where a row is empty."""
    medians = np.zeros(len(table))
    filled = ~np.isnan(table).all(axis=1)
    medians[filled] = np.nanmedian(table[filled], axis=1)
    return medians


def median_polish(table: FloatArray) -> Effects:
    """Splits a square table of logarithms.

    Args:
        table: (n, n) float64, NaN where not measured.

    Raises:
        ValueError: Nothing was measured at all.
    """
    if np.isnan(table).all():
        raise ValueError("a mesh without a single measured pair")
    residual = table.copy()
    out, into = np.zeros(len(table)), np.zeros(len(table))
    for _ in range(MAX_SWEEPS):
        rows = _row_medians(residual)
        residual -= rows[:, None]
        out += rows
        columns = _row_medians(residual.T)
        residual -= columns[None, :]
        into += columns
        if max(np.abs(rows).max(), np.abs(columns).max()) < _SETTLED:
            break
    measured = ~np.isnan(table)
    out[~measured.any(axis=1)] = np.nan
    into[~measured.any(axis=0)] = np.nan
    out_centre, in_centre = float(np.nanmedian(out)), float(np.nanmedian(into))
    return Effects(out_centre + in_centre, out - out_centre, into - in_centre, residual)


def robust_z(effects: FloatArray) -> FloatArray:
    """(effect - median)/(1.4826 MAD), NaN kept; 0 everywhere below three values."""
    known = effects[~np.isnan(effects)]
    if len(known) < 3:
        return np.where(np.isnan(effects), np.nan, 0.0)
    centre = float(np.median(known))
    mad = max(float(np.median(np.abs(known - centre))), _LEAST_MAD)
    z: FloatArray = (effects - centre) / (_MAD_TO_SD * mad)
    return z
