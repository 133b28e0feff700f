"""Simulated campaigns: sessions of correlated samples, blocks, drift, heavy tails; two arms.

The model of measurement practice's warning: samples inside a run are AR(1), runs differ, the place
drifts. Used by the unit tests (few campaigns) and by tests/bench/statistics (hundreds).
"""

import msgspec
import numpy as np
import numpy.typing as npt
from scipy import signal

from podbench.analysis.stats import quantiles

FloatArray = npt.NDArray[np.float64]


class Campaign(msgspec.Struct, frozen=True, kw_only=True):
    """One two-armed campaign; `effect` is the true ratio other/base."""

    blocks: int = 10
    samples: int = 600
    ar1: float = 0.9
    sample_sd: float = 0.10
    run_sd: float = 0.05
    drift_sd: float = 0.0
    """Step of a random walk from run to run, shared by both arms."""
    tail_share: float = 0.0
    """Share of samples with a Pareto (shape 1.5) factor on top."""
    effect: float = 1.0


def sessions(rng: np.random.Generator, campaign: Campaign) -> tuple[FloatArray, FloatArray]:
    """(blocks, samples) of base and other, in random order inside each block."""
    blocks, n, rho = campaign.blocks, campaign.samples, campaign.ar1
    warm_up = 200
    shocks = rng.normal(0.0, campaign.sample_sd * np.sqrt(1 - rho**2), (2 * blocks, n + warm_up))
    logs = signal.lfilter([1.0], [1.0, -rho], shocks, axis=1)[:, warm_up:]
    logs = logs + rng.normal(0.0, campaign.run_sd, (2 * blocks, 1))
    if campaign.tail_share > 0.0:
        slow = rng.random(logs.shape) < campaign.tail_share
        logs = logs + np.where(slow, np.log1p(rng.pareto(1.5, logs.shape)), 0.0)
    # Runs follow one another on a walk; which arm goes first in a block is drawn.
    walk = np.cumsum(rng.normal(0.0, campaign.drift_sd, 2 * blocks)).reshape(blocks, 2)
    first = rng.integers(0, 2, blocks)
    base, other = logs[0::2], logs[1::2]
    base = base + walk[np.arange(blocks), first][:, None]
    other = other + walk[np.arange(blocks), 1 - first][:, None]
    return 1e4 * np.exp(base), 1e4 * campaign.effect * np.exp(other)


def log_ratios(base: FloatArray, other: FloatArray, q: float = 0.5) -> FloatArray:
    """(blocks,) differences of log quantiles."""
    logs = [
        np.array([np.log(quantiles.harrell_davis(np.sort(row), q)) for row in arm])
        for arm in (base, other)
    ]
    return np.asarray(logs[1] - logs[0], dtype=np.float64)
