"""Coverage of the intervals: loss, pairs' quantiles, differences in units; and what they decide."""

import numpy as np
import numpy.typing as npt
from bench.statistics.tables import Row, Table
from scipy import signal

from podbench.analysis.findings import comparisons
from podbench.analysis.samples.blocks import BlockSeries
from podbench.analysis.samples.metrics import BY_NAME
from podbench.analysis.stats import bursts, pooled, verdicts
from podbench.analysis.stats.bursts import Session

FloatArray = npt.NDArray[np.float64]
SENT = 2_000


def _losses(rng: np.random.Generator, kind: str, blocks: int, ratio: float) -> list[Session]:
    """Three pairs; single losses, bursts of 50, bursts of random length, uneven sessions."""
    held = []
    for block in range(blocks):
        for _ in range(3):
            if kind in {"bursts of 50", "bursts of 20 on average"}:
                mean = 50.0 if kind == "bursts of 50" else 20.0
                number = int(rng.poisson(ratio * SENT / mean))
                lengths = (
                    np.full(number, 50)
                    if kind == "bursts of 50"
                    else rng.geometric(1.0 / mean, number)
                )
            else:
                uneven = float(np.exp(rng.normal(-0.125, 0.5))) if kind == "uneven" else 1.0
                lengths = np.ones(int(rng.binomial(SENT, ratio * uneven)), dtype=np.int64)
            held.append(
                Session(
                    block=block,
                    sent=SENT,
                    lost=int(lengths.sum()),
                    squares=int((lengths**2).sum()),
                    longest=int(lengths.max()) if len(lengths) else 0,
                )
            )
    return held


def losses(into: Table, runs: int, seed: int) -> None:
    """Adds the rows on loss."""
    for blocks in (5, 15):
        for kind in ("single", "bursts of 50", "bursts of 20 on average", "uneven"):
            rng = np.random.default_rng((seed, blocks, len(kind)))
            found = [bursts.interval(_losses(rng, kind, blocks, 0.0019)) for _ in range(runs)]
            kept = sum(one is not None and one[0] <= 0.0019 <= one[1] for one in found)
            into.add(
                Row(
                    claim="loss, 95% interval",
                    setting=f"0.19%, {kind}, {blocks} blocks x 3 pairs",
                    nominal=0.93,
                    side="at least",
                    reached=kept / runs,
                    runs=runs,
                    before="44-54%" if kind == "bursts of 50" and blocks == 5 else "",
                )
            )
    for blocks in (2, 5):
        rng = np.random.default_rng((seed, blocks))
        false = 0
        for _ in range(runs):
            both = [bursts.interval(_losses(rng, "bursts of 50", blocks, 0.0019)) for _ in "ab"]
            false += all(one is not None and one[1] < 1e-3 for one in both)
        into.add(
            Row(
                claim="loss, false equivalent",
                setting=f"0.19% in bursts of 50, {blocks} blocks x 3 pairs",
                nominal=0.05,
                side="at most",
                reached=false / runs,
                runs=runs,
                before="53-65%" if blocks == 2 else "20-33%",
            )
        )


def _sessions(rng: np.random.Generator, kind: str, number: int) -> FloatArray:
    """(sessions, 1,000) AR(1) 0.9 samples, sorted; states and bursts as the kind says."""
    shocks = rng.normal(0.0, 0.1 * np.sqrt(1.0 - 0.81), (number, 1_150))
    logs = signal.lfilter([1.0], [1.0, -0.9], shocks, axis=1)[:, 150:]
    logs = logs + rng.normal(0.0, 0.05 if kind == "AR(1) 0.9" else 0.02, (number, 1))
    if kind.startswith("burst"):
        logs[:, :50] += np.log(5.0) * (rng.random((number, 1)) < 0.2)
    if kind.startswith("bistable"):
        share = 0.3 if "30%" in kind else 0.5
        logs = logs + np.log(1.5) * (rng.random((number, 1)) < share)
    return np.sort(1e4 * np.exp(logs), axis=1)


def quantiles(into: Table, runs: int, seed: int) -> None:
    """Adds the rows on pairs' intervals, and on what a gate decides with them."""
    for kind, q, before in (
        ("AR(1) 0.9", 0.5, ""),
        ("AR(1) 0.9", 0.99, ""),
        ("burst in one session of five", 0.99, "48-86%"),
        ("bistable", 0.5, "64-87%"),
        ("bistable, 30% slow", 0.5, "64-87%"),
    ):
        truth = float(np.quantile(_sessions(np.random.default_rng(seed), kind, 20_000), q))
        for number in (8, 15) if q == 0.5 else (15,):
            rng = np.random.default_rng((seed, number, round(100 * q)))
            kept = decided = 0
            away = 2.0 * (0.05 if q == 0.5 else 0.10)
            for _ in range(runs):
                found = pooled.interval(list(_sessions(rng, kind, number)), q)
                if found is not None:
                    kept += found[0] <= truth <= found[1]
                    decided += found[1] < truth * (1.0 + away)
            setting = f"p{100 * q:g}, {kind}, {number} sessions"
            into.add(
                Row(
                    claim="pairs, 95% interval",
                    setting=setting,
                    nominal=0.93,
                    side="at least",
                    reached=kept / runs,
                    runs=runs,
                    before=before,
                )
            )
            if kind == "AR(1) 0.9" and number == 15:
                into.add(
                    Row(
                        claim="gate decides",
                        setting=f"limit 2 x margin away, {setting}",
                        nominal=0.80,
                        side="at least",
                        reached=decided / runs,
                        runs=runs,
                        before="9 of 48 ordinary limits",
                    )
                )


def differences(into: Table, runs: int, seed: int) -> None:
    """Adds the rows on intervals in units, where blocks share a drift."""
    for name, drift in (("no drift", 0.0), ("blocks share 30%", 0.3)):
        rng = np.random.default_rng(seed)
        kept = 0
        for _ in range(runs):
            base = np.log(2e4) + rng.normal(0.0, drift, 10) + rng.normal(0.0, 0.03, 10)
            other = np.log(np.exp(base) + 5e3 + rng.normal(0.0, 600.0, 10))
            series = BlockSeries(("a", "b"), tuple(range(10)), np.stack([base, other]))
            _, span = comparisons.mean_difference(series, ("a", "b"))
            kept += span is not None and span[0] <= 5e3 <= span[1]
        into.add(
            Row(
                claim="µs, 95% interval",
                setting=f"5 µs apart, {name}, 10 blocks",
                nominal=0.95,
                side="at least",
                reached=kept / runs,
                runs=runs,
                before="76-83%" if drift else "",
            )
        )


def equivalence(into: Table, runs: int, seed: int) -> None:
    """Adds the rows on a clock whose steps hide a true difference of 8%."""
    metric = BY_NAME["rtt_kernel_ns.p50"]
    for step, before in ((0.0, ""), (4_000.0, "100%")):
        rng = np.random.default_rng(seed)
        said = 0
        for _ in range(runs):
            base, other = (
                level * np.exp(rng.normal(0.0, 0.01, 10)) for level in (30_000.0, 32_400.0)
            )
            if step:
                base, other = (step * np.round(one / step) for one in (base, other))
            d = np.log(other) - np.log(base)
            found = comparisons.resolved(
                verdicts.decide(d, metric.margin), metric, float(base.mean()), step or None
            )
            said += found.verdict is verdicts.Word.EQUIVALENT
        into.add(
            Row(
                claim="false equivalent",
                setting=f"8% apart, 30 µs, clock step {step / 1_000:g} µs",
                nominal=0.05,
                side="at most",
                reached=said / runs,
                runs=runs,
                before=before,
            )
        )
