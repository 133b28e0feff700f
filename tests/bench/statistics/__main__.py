"""What every statistical claim promises, what simulated runs reach, and what was reached before.

Run: `python tests/bench/statistics [--runs 1000] [--seed 1] [--only family,loss,...]`. One table,
claim by claim; a row counts over that many simulated runs (meshes of 16 nodes and more: a fifth),
judged by the code that judges real ones. Then the same figures by scipy and statsmodels. Ends with
exit code 1 where a promise is broken by more than two standard errors of the simulation.
"""

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from bench.statistics import beside, families, intervals_hold, meshes, sides
from bench.statistics.tables import Table

CLAIMS = {
    "family": families.table,
    "campaigns": sides.table,
    "loss": intervals_hold.losses,
    "pairs": intervals_hold.quantiles,
    "units": intervals_hold.differences,
    "equivalence": intervals_hold.equivalence,
    "blame": meshes.table,
}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default=",".join(CLAIMS), help="claims, separated by commas")
    options = parser.parse_args()
    began = time.monotonic()
    table = Table()
    table.head()
    for name in options.only.split(","):
        CLAIMS[name](table, options.runs, options.seed)
    beside.table(min(options.runs, 100), options.seed)
    broken = [row for row in table.rows if not row.kept]
    print(
        f"seed {options.seed}, {time.monotonic() - began:.0f} s: {len(table.rows)} claims, "
        f"{len(broken)} broken"
    )
    sys.exit(bool(broken))


if __name__ == "__main__":
    main()
