"""What captures say about each probe on support/vxlan_path.py: the truth, as a bracket.

Four taps (tcpdump, kernel stamps in ns): on each pod's own interface and on its veth peer. An
egress tap sees a packet before the driver stamps it, an ingress tap after; so each stamp lies
between two taps, and the kernel RTT between a lower and an upper bound:

    T1 in [pa.e0, va]   T2 in [vb, pb.e0]   T3 in [pb.e0, vb]   T4 in [va, pa.e0]
    lower = (T4.low - T1.high) - (T3.high - T2.low)
    upper = (T4.high - T1.low) - (T3.low - T2.high)
"""

import struct
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
from support import vxlan_path

from podbench.target.lab import namespaces

TAPS = {"pa": "e0", "na": "va", "nb": "vb", "pb": "e0"}

Ints = npt.NDArray[np.int64]


class Stamps(msgspec.Struct, frozen=True):
    """One tap's stamps of requests and replies, by (SSID, sequence)."""

    requests: dict[int, int]
    replies: dict[int, int]


def read_pcap(path: Path) -> Stamps:
    """Reads a capture of ns precision, Ethernet frames; keys are SSID << 32 | sender sequence."""
    data = path.read_bytes()
    assert data[:4] == struct.pack("=I", 0xA1B23C4D), "not a pcap of ns precision"
    stamps = Stamps({}, {})
    at = 24
    while at + 16 <= len(data):
        seconds, rest, size, _ = struct.unpack_from("=IIII", data, at)
        frame = data[at + 16 : at + 16 + size]
        at += 16 + size
        to_reflector = int.from_bytes(frame[36:38], "big") == vxlan_path.PORT
        ssid = int.from_bytes(frame[56:58], "big")
        where, seq_at = (stamps.requests, 42) if to_reflector else (stamps.replies, 66)
        key = ssid << 32 | int.from_bytes(frame[seq_at : seq_at + 4], "big")
        where.setdefault(key, seconds * 1_000_000_000 + rest)
    return stamps


class Taps:
    """tcpdump on all four interfaces, into one directory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self) -> None:
        """Starts the captures and waits until each has opened its file."""
        for netns, device in TAPS.items():
            command = ["tcpdump", "-i", device, "-w", str(self._file(netns)), "-s", "128"]
            command += ["-B", "16384", "--time-stamp-precision=nano", "-Z", "root", "-q"]
            command += ["udp", "and", "port", str(vxlan_path.PORT)]
            with self._log(netns).open("wb") as log:
                self._running[netns] = namespaces.spawn(netns, command, output=log)
        deadline = time.monotonic() + 10
        while not all(b"listening on" in self._log(n).read_bytes() for n in TAPS):
            assert time.monotonic() < deadline, self._log("pa").read_text()
            time.sleep(0.02)

    def stop(self) -> dict[str, Stamps]:
        """Ends the captures and reads them."""
        time.sleep(1.2)  # tcpdump hands over a part-filled ring after a second
        for process in self._running.values():
            namespaces.end(process)
        return {netns: read_pcap(self._file(netns)) for netns in TAPS}

    def _log(self, netns: str) -> Path:
        return self._folder / f"{netns}.log"

    def _file(self, netns: str) -> Path:
        return self._folder / f"{netns}.pcap"


def bracket(
    rows: Mapping[str, Any], taps: Mapping[str, Stamps]
) -> tuple[Ints, Ints, npt.NDArray[np.bool_]]:
    """(n,) lower and upper bound of each probe's kernel RTT, and whether all taps saw it."""
    seq = np.asarray(rows["seq"], dtype=np.int64)
    keys = (np.asarray(rows["session_id"], dtype=np.int64) << 32 | seq).tolist()
    request = {n: _column(s.requests, keys) for n, s in taps.items()}
    reply = {n: _column(s.replies, keys) for n, s in taps.items()}
    seen = np.all([c > 0 for c in (*request.values(), *reply.values())], axis=0)
    lower = reply["na"] - request["na"] - (reply["nb"] - request["nb"])
    upper = reply["pa"] - request["pa"] - (reply["pb"] - request["pb"])
    return lower, upper, seen


def _column(stamps: Mapping[int, int], keys: list[int]) -> Ints:
    return np.array([stamps.get(key, 0) for key in keys], dtype=np.int64)
