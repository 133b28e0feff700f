"""A timer that can be waited for together with sockets: timerfd on CLOCK_MONOTONIC.

Against a timeout of `select` it is programmed once instead of once per wait (each time costs a trap
in a virtual machine) and has no slack of its own. Python has it from 3.13 on only.

Source: timerfd_create(2).
"""

import ctypes
import os
import struct

from podbench.model.errors import ProbeError

_CLOCK_MONOTONIC = 1
_TFD_NONBLOCK, _TFD_CLOEXEC = 0o4000, 0o2000000
_TFD_TIMER_ABSTIME = 1


_ITIMERSPEC = struct.Struct("@llll")
"""struct itimerspec: interval (s, ns), value (s, ns)."""


class Alarm:
    """One timer. Register `fd` edge-triggered: it is never read.

    Raises:
        ProbeError: The kernel has no timerfd.
    """

    def __init__(self) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK | _TFD_CLOEXEC)
        if self.fd < 0:
            raise ProbeError(f"timerfd_create: {os.strerror(ctypes.get_errno())}")
        self._settime = libc.timerfd_settime
        self._settime.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p]
        self._spec = bytearray(_ITIMERSPEC.size)
        self._pointer = ctypes.addressof((ctypes.c_char * _ITIMERSPEC.size).from_buffer(self._spec))

    def set(self, mono_ns: int) -> None:
        """Goes off at this time (CLOCK_MONOTONIC, ns), at once if that is past."""
        _ITIMERSPEC.pack_into(self._spec, 0, 0, 0, *divmod(mono_ns, 1_000_000_000))
        self._settime(self.fd, _TFD_TIMER_ABSTIME, self._pointer, None)

    def close(self) -> None:
        """Closes the timer."""
        os.close(self.fd)
