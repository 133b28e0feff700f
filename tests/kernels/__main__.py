"""`python tests/kernels [ROW OR KERNEL ...]`: prints a table of capability by kernel, with times.

Words narrow it down: `python tests/kernels 6.12 netem`. Exits 1 when something failed.
"""

import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "tests"))

from kernels.matrix import ROWS, Row  # noqa: E402
from support.guests.guest import Outcome, guest  # noqa: E402
from support.guests.kernels import KERNELS  # noqa: E402
from support.guests.packages import UnavailableError  # noqa: E402

AT_ONCE = 2
"""Guests of user-mode Linux have one CPU."""


def main(words: list[str]) -> int:
    """Runs what was asked for, prints the table, returns the exit status."""
    kernels = [word for word in words if word in KERNELS]
    names = [word.lower() for word in words if word not in KERNELS]
    jobs = [
        (row, kernel)
        for row in ROWS
        for kernel in row.kernels
        if (not kernels or kernel in kernels)
        and (not names or any(name in row.name.lower() for name in names))
    ]
    started = time.monotonic()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        cells = list(pool.map(lambda job: _cell(*job), jobs))
    results = dict(zip([(row.name, kernel) for row, kernel in jobs], cells, strict=True))
    for line in _table(results):
        print(line)
    print(f"{len(jobs)} guests, {time.monotonic() - started:.0f} s in all, {AT_ONCE} at a time")
    return int(any(cell.startswith("FAILED") for cell in cells))


def _cell(row: Row, kernel: str) -> str:
    """One guest's result in a few words."""
    try:
        done = guest(kernel, row.modules).tests(*row.tests)
    except UnavailableError as error:
        return f"no guest: {error}"
    word = _word(done)
    if word == "FAILED":
        print(f"--- {row.name} on {kernel}\n{done.trouble()}", file=sys.stderr)
    for shown in sorted(done.folder.glob("*.txt")):
        print(f"--- {row.name} on {kernel}: {shown.stem}\n{shown.read_text()}")
    if word != "FAILED":
        done.forget()
    return f"{word}, {done.seconds:.0f} s"


def _word(done: Outcome) -> str:
    counts = {
        result: sum(case.result == result for case in done.cases)
        for result in ("passed", "failed", "skipped")
    }
    if done.status != 0 or not done.cases or counts["failed"]:
        return "FAILED"
    if not counts["passed"]:
        return f"skipped ({done.cases[0].said})"
    skipped = f", {counts['skipped']} skipped" if counts["skipped"] else ""
    return f"ok ({counts['passed']} passed{skipped})"


def _table(results: dict[tuple[str, str], str]) -> Iterator[str]:
    """Markdown: a row a capability, a column a kernel."""
    rows = list(dict.fromkeys(name for name, _ in results))
    columns = list(dict.fromkeys(kernel for _, kernel in results))
    yield " | ".join(["| capability", *(f"Linux {kernel}" for kernel in columns)]) + " |"
    yield "|".join(["", *["---"] * (len(columns) + 1), ""])
    for name in rows:
        cells = [results.get((name, kernel), "–") for kernel in columns]
        yield " | ".join([f"| {name}", *cells]) + " |"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
