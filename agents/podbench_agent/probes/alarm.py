"""Timers as files: timerfd on CLOCK_MONOTONIC, to wait for alone or with sockets.

Against a timeout of `select` it is programmed once instead of once per wait (each time costs a trap
in a virtual machine) and has no slack of its own. Python has it from 3.13 on only.

Source: timerfd_create(2), kernel/time/hrtimer.c.
"""

import ctypes
import os
import struct
import time

import numpy as np

from podbench.model.errors import ProbeError
from podbench.wire.copies import Ints

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK, _TFD_CLOEXEC = 0o4000, 0o2000000
_TFD_TIMER_ABSTIME = 1


_COUNT_BYTES = 8
"""Bytes returned by reading an expired timer."""
_ITIMERSPEC = struct.Struct("@llll")
"""struct itimerspec: interval (s, ns), value (s, ns)."""


class Alarm:
    """One timer. Register `fd` edge-triggered and never read it, or make it blocking and read it.

    Raises:
        ProbeError: The kernel has no timerfd.
    """

    def __init__(self, *, blocking: bool = False) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        flags = _TFD_CLOEXEC | (0 if blocking else _TFD_NONBLOCK)
        self.fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, flags)
        if self.fd < 0:
            raise ProbeError(f"timerfd_create: {os.strerror(ctypes.get_errno())}")
        self._settime = libc.timerfd_settime
        self._settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self._spec = bytearray(_ITIMERSPEC.size)
        self._pointer = ctypes.addressof((ctypes.c_char * _ITIMERSPEC.size).from_buffer(self._spec))

    def set(self, mono_ns: int, every_ns: int = 0) -> None:
        """Expires at this time (CLOCK_MONOTONIC, ns), immediately if it is past.

        Args:
            mono_ns: When.
            every_ns: And again each time so much later; 0: once.
        """
        _ITIMERSPEC.pack_into(
            self._spec, 0, *divmod(every_ns, 1_000_000_000), *divmod(mono_ns, 1_000_000_000)
        )
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        """Closes the timer."""
        os.close(self.fd)


class Wakeups:
    """Sleeps until each of a series of times; the timer after the next is always armed.

    A timer that is set while an earlier one waits on its CPU need not be written to the hardware:
    that is done once for both when the earlier one goes off. In a virtual machine each such write
    is a trap: here a wake-up takes 13 us of CPU this way, by clock_nanosleep 19. Where the times
    are evenly spaced, two timers that repeat by themselves take turns, and none is set any more.

    Args:
        due_ns: (n,) times on CLOCK_MONOTONIC, not descending.

    Raises:
        ProbeError: The kernel has no timerfd.
    """

    def __init__(self, due_ns: Ints) -> None:
        self._due_ns = due_ns.data
        self._n = len(due_ns)
        gaps = np.diff(due_ns)
        self._gap_ns = int(gaps[0]) if self._n > 1 and np.ptp(gaps) == 0 else 0
        """Between any two; 0 where they differ."""
        self._timers = Alarm(blocking=True), Alarm(blocking=True)
        self._fds = tuple(timer.fd for timer in self._timers)
        self._set = 0
        """Number of times with an armed timer."""

    def wait(self, n: int) -> None:
        """Sleeps until time `n`; returns immediately if it is past."""
        due_ns = self._due_ns[n]
        if time.monotonic_ns() >= due_ns:
            return
        if self._set < self._n:
            self._set_ahead(n)
        os.read(self._fds[n & 1], _COUNT_BYTES)
        while time.monotonic_ns() < due_ns:  # that was one gone off unread, for a time passed over
            os.read(self._fds[n & 1], _COUNT_BYTES)

    def _set_ahead(self, n: int) -> None:
        for after in range(max(n, self._set), min(n + 2, self._n)):
            self._timers[after & 1].set(self._due_ns[after], 2 * self._gap_ns)
        self._set = self._n if self._gap_ns else min(n + 2, self._n)

    def close(self) -> None:
        """Closes the timers."""
        for timer in self._timers:
            timer.close()
