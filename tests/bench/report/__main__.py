"""How long a report takes to render and to open, and how large it is, by number of nodes.

Run: `python tests/bench/report [--nodes 3 20 50 100]`. Every directed pair of three modes is in the
page. The last column is headless Chromium from start to the finished elements; null without it.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from support import chromium
from support.bundle_cases import Case
from support.bundles import make_bundle

from podbench_report import build


def main() -> None:
    """Prints one line for each size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nodes", type=int, nargs="+", default=[3, 20, 50, 100])
    print("nodes  directed pairs x modes  render s  size MB  open s")
    for nodes in parser.parse_args().nodes:
        bundle = make_bundle(Case(nodes=nodes, zones=min(4, nodes), target="kubernetes"))
        start = time.monotonic()
        page = build.render(bundle)
        rendered_s = time.monotonic() - start
        size_mb = len(page.encode()) / 1e6
        pairs = nodes * (nodes - 1) * 3
        print(f"{nodes:5}  {pairs:22}  {rendered_s:8.2f}  {size_mb:7.2f}  {_opened(page)}")


def _opened(page: str) -> str:
    if chromium.CHROMIUM is None:
        return "null"
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        path.write_text(page, encoding="utf-8")
        start = time.monotonic()
        shown, _ = chromium.dom(path, Path(folder) / "profile")
        assert "</html>" in shown
        return f"{time.monotonic() - start:6.2f}"


if __name__ == "__main__":
    main()
