"""The lab, the instrument and `bench doctor` on kernels that have what this machine may lack.

Every row of `matrix` on each of its kernels, one guest for each. Without PODBENCH_KERNELS=all
(`scripts/test --kernels`) only the short set runs. What needs a guest that cannot be had here is
skipped with the reason.
"""

import os

import pytest
from kernels.matrix import ROWS, Row
from support.guests.guest import MOST_S, in_guest

WHOLE = os.environ.get("PODBENCH_KERNELS") == "all"


@pytest.mark.lab
@pytest.mark.timeout(2 * MOST_S)
@pytest.mark.parametrize(
    ("kernel", "row"),
    [
        pytest.param(kernel, row, id=f"{kernel}-{row.name}")
        for row in ROWS
        for kernel in (row.kernels if WHOLE else row.short)
    ],
)
def test_holds_on(kernel: str, row: Row) -> None:
    """The row's tests pass in a guest with this kernel."""
    in_guest(kernel, row.modules).tests(*row.tests).settle()
