"""False alarms and detections of every rule that decides, beside pooling, scipy and statsmodels.

Run: `python tests/bench/statistics [--campaigns 500] [--seed 1]` (some minutes for 500).
Every row is one kind of place; each cell counts over that many simulated campaigns. Samples inside
a session are AR(1) 0.9 with 10 % spread, 600 to a session. First no difference between the arms
(every alarm is false), then twice the margin, then what stopping early costs; then two campaigns
against each other, many pairs, loss, bad nodes; last the same figures by other libraries.
`HAC pooled` is statsmodels' regression on all samples with errors robust to autocorrelation,
`MWU pooled` scipy's Mann-Whitney on all samples. Ends with exit code 1 where a promise is broken.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.statistics import beside


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--campaigns", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    n, seed = options.campaigns, options.seed
    began = time.monotonic()
    beside.table(min(n, 100), seed)
    print(f"seed {seed}, {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
