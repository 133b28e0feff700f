"""The kernels that guests can boot, and how each is booted.

`uml` is user-mode Linux: one process, native speed, one CPU, no nftables for IPv4. `qemu` is
Debian's cloud kernel under emulation: two CPUs, nftables, TUN, but Python some ten times slower.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec


class Kernel(msgspec.Struct, frozen=True):
    """One kernel. `suite` is the Debian release whose package brings it."""

    name: str
    boot: Literal["uml", "qemu"]
    suite: str


KERNELS: Mapping[str, Kernel] = {
    kernel.name: kernel
    for kernel in (
        Kernel("5.10", "uml", "bullseye"),
        Kernel("6.1", "uml", "bookworm"),
        Kernel("6.12", "uml", "trixie"),
        Kernel("5.10-cloud", "qemu", "bullseye"),
        Kernel("6.1-cloud", "qemu", "bookworm"),
        Kernel("6.12-cloud", "qemu", "trixie"),
    )
}
