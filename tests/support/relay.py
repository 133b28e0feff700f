"""A path with known faults: a relay in user space between two namespaces, over TUN devices.

    pa t0 ══ relay ══ t0 pb          10.9.0.1, 10.9.0.2

Every packet's fate is drawn from the seed, by direction, SSID, sequence number and copy, and is
written down together with what was delivered and when: the truth for tests of labels. Packets from
sequence number `last` on (flush probes) pass.
"""

import errno
import fcntl
import heapq
import os
import random
import select
import struct
import subprocess
import threading
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Literal, Self

import pytest
from support import vxlan_path

from podbench.target.lab import namespaces

POD_A, POD_B = "10.9.0.1", "10.9.0.2"
PORT = 8620
LATE_S = 2.2
HELD_AT_MOST_S = 0.3
_TUNSETIFF, _IFF_TUN_NO_PI = 0x400454CA, 0x1001
_IP_UDP_BYTES = 28

Way = Literal["forward", "backward"]
FAULTS = ("drop", "late", "duplicate", "hold", "damage", "checksum")


def needs_tun() -> pytest.MarkDecorator:
    """Skips where no TUN device can be made."""
    able = os.access("/dev/net/tun", os.R_OK | os.W_OK)
    return pytest.mark.skipif(not able, reason="needs TUN devices: /dev/net/tun cannot be opened")


@dataclass
class Event:
    """One packet that came to the relay."""

    way: Way
    ssid: int
    seq: int
    """The sender's."""
    action: str
    at: float
    delivered: list[float] = field(default_factory=list)
    """When each intact copy was handed on, in the order of all deliveries."""


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data[: len(data) // 2 * 2]))
    total += data[-1] << 8 if len(data) % 2 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _with_checksum(packet: bytes, *, right: bool) -> bytes:
    """An IPv4 UDP packet with its UDP checksum computed anew, or wrong by one bit."""
    udp = packet[20:26] + b"\0\0" + packet[28:]
    pseudo = packet[12:20] + struct.pack("!BBH", 0, 17, len(udp))
    value = _checksum(pseudo + udp) or 0xFFFF
    return packet[:26] + struct.pack("!H", value if right else value ^ 0x0100) + packet[28:]


class Relay:
    """Copies packets between both ends' devices in a thread of its own, with faults.

    Args:
        seed: Everything follows from it.
        faults: Share of the packets of each direction that get some fault.
        last: First sequence number that passes untouched.
        late_before: Only below this sequence number packets may be late by 2.2 s.
        authenticated: Where fields stand, and what `damage` damages: the HMAC, else the echo.
    """

    def __init__(
        self, seed: int, *, faults: float, last: int, late_before: int, authenticated: bool
    ) -> None:
        self._seed, self._faults = seed, faults
        self._last, self._late_before = last, late_before
        self._seq_at = {"forward": 0, "backward": 48 if authenticated else 24}
        self._ssid_at = 26 if authenticated else 14
        self._damage_at = {
            "forward": 100 if authenticated else 9,
            # Another octet of the echo: the same one damaged twice would be whole again.
            "backward": 100 if authenticated else 34,
        }
        self._ends: dict[Way, int] = {"forward": _tun("pa", POD_A), "backward": _tun("pb", POD_B)}
        self.events: list[Event] = []
        self._copies: dict[tuple[str, int, int], int] = defaultdict(int)
        self._asleep: list[tuple[float, int, Event, bytes]] = []
        self._held: list[tuple[int, float, Event, bytes]] = []
        self._drawn: dict[tuple[int, int], str] = {}
        self._enough = threading.Event()
        self._thread = threading.Thread(target=self._run, name="relay", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._enough.set()
        self._thread.join()
        for fd in self._ends.values():
            os.close(fd)

    def _run(self) -> None:
        ways = {fd: way for way, fd in self._ends.items()}
        while not self._enough.is_set():
            for fd in select.select(list(ways), [], [], 0.005)[0]:
                packet = os.read(fd, 4096)
                udp = packet[0] >> 4 == 4 and packet[9] == 17
                (self._take if udp else self._write)(ways[fd], packet)
            now = time.monotonic()
            while self._asleep and self._asleep[0][0] <= now:
                _, _, event, packet = heapq.heappop(self._asleep)
                self._deliver(event, packet)
            for held in [h for h in self._held if h[1] <= now]:
                self._held.remove(held)
                self._deliver(held[2], held[3])

    def _draw(self, way: Way, ssid: int, seq: int) -> str:
        copy = self._copies[way, ssid, seq]
        self._copies[way, ssid, seq] += 1
        rng = random.Random(f"{self._seed}/{way}/{ssid}/{seq}/{copy}")
        if seq >= self._last or rng.random() >= self._faults:
            return "pass"
        action = rng.choice(FAULTS)
        gone = way == "backward" and self._drawn.get((ssid, seq)) == "late"
        if action == "late" and (seq >= self._late_before or gone):
            return "pass"
        return action

    def _take(self, way: Way, packet: bytes) -> None:
        payload = packet[_IP_UDP_BYTES:]
        seq = int.from_bytes(payload[self._seq_at[way] : self._seq_at[way] + 4], "big")
        ssid = int.from_bytes(payload[self._ssid_at : self._ssid_at + 2], "big")
        action = self._draw(way, ssid, seq)
        if way == "forward":
            self._drawn[ssid, seq] = action
        event = Event(way, ssid, seq, action, time.monotonic())
        self.events.append(event)
        match action:
            case "pass" | "duplicate":
                self._deliver(event, packet)
                if action == "duplicate":
                    self._deliver(event, packet)
            case "late":
                due = event.at + LATE_S
                heapq.heappush(self._asleep, (due, len(self.events), event, packet))
            case "hold":
                behind = 1 + seq % 4
                self._held.append((behind, event.at + HELD_AT_MOST_S, event, packet))
            case "damage":
                changed = bytearray(packet)
                changed[_IP_UDP_BYTES + self._damage_at[way]] ^= 0x10
                self._write(way, _with_checksum(bytes(changed), right=True))
            case "checksum":
                self._write(way, _with_checksum(packet, right=False))

    def _deliver(self, event: Event, packet: bytes) -> None:
        self._write(event.way, packet)
        event.delivered.append(time.monotonic())
        waiting, self._held = self._held, []
        for behind, until, held, its in waiting:
            mine = (held.way, held.ssid) == (event.way, event.ssid)
            left = behind - 1 if mine and event.seq > held.seq else behind
            if left == 0:
                self._deliver(held, its)
            else:
                self._held.append((left, until, held, its))

    def _write(self, way: Way, packet: bytes) -> None:
        try:
            os.write(self._ends["backward" if way == "forward" else "forward"], packet)
        except OSError as error:  # the end is being taken down
            if error.errno != errno.EIO:
                raise


def _tun(netns: str, address: str) -> int:
    namespaces.create(netns)
    with vxlan_path.entered(netns):  # a device belongs to the namespace it was opened in
        fd = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", b"t0", _IFF_TUN_NO_PI))
    commands = f"addr add {address}/24 dev t0\nlink set t0 up"
    subprocess.run(["ip", "-n", netns, "-batch", "-"], input=commands.encode(), check=True)
    return fd
