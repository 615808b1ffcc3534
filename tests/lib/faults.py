# SPDX-License-Identifier: LGPL-2.1-or-later
"""Has calls of a running healthd fail, by tests/faults/fault.c."""

import ctypes
import errno
import mmap
import os
import struct

import pytest

# In the order of Call in fault.c, each with the errors it is tried with.
CALLS = {
    "open": (errno.EMFILE, errno.EIO),
    "read": (errno.EIO, errno.EINTR),
    "write": (errno.EIO, errno.ENOSPC),
    "socket": (errno.EMFILE, errno.ENOBUFS),
    "connect": (errno.ENETUNREACH, errno.EADDRNOTAVAIL),
    "accept4": (errno.EMFILE, errno.ECONNABORTED),
    "epoll_ctl": (errno.ENOSPC, errno.ENOMEM),
    "memfd_create": (errno.EMFILE,),
    "pipe2": (errno.EMFILE,),
    "spawn": (errno.EAGAIN, errno.ENOMEM),
    "thread": (errno.EAGAIN,),
    "getaddrinfo": (errno.EMFILE,),
    "malloc": (errno.ENOMEM,),
    "recv": (errno.EIO, errno.ECONNRESET),
    "send": (errno.EPIPE, errno.ENOBUFS),
}
EVER = 1 << 62
LIBC = ctypes.CDLL(None, use_errno=True)
SYS_PIDFD_GETFD = 438


def fire_clock_timer(pid):
    """The kernel cancels this timer at a wake-up, which only it can; that it elapses looks the same."""
    directory = f"/proc/{pid}/fd"
    number = next(int(name) for name in os.listdir(directory)
                  if "[timerfd]" in os.readlink(f"{directory}/{name}"))
    process = os.pidfd_open(pid)
    try:
        timer = LIBC.syscall(SYS_PIDFD_GETFD, process, number, 0)
        if timer < 0:
            pytest.skip(f"may not touch its descriptors: {os.strerror(ctypes.get_errno())}")
        at_once = struct.pack("@4l", 0, 0, 0, 1)
        assert LIBC.timerfd_settime(timer, 0, at_once, None) == 0
        os.close(timer)
    finally:
        os.close(process)


class Faults:
    """The file that is shared with one daemon."""

    def __init__(self, directory):
        self.path = os.path.join(directory, "fault")
        with open(self.path, "w+b") as file:
            file.truncate(mmap.PAGESIZE)
            self.memory = mmap.mmap(file.fileno(), mmap.PAGESIZE)

    def environment(self):
        return {"LD_PRELOAD": os.environ["HEALTHD_FAULT_LIBRARY"], "HEALTHD_FAULT": self.path}

    def arm(self, call, error=0, first=1, count=EVER):
        """From its first one from now on count calls fail with this error."""
        self.disarm()
        struct.pack_into("=5Q", self.memory, 8, error, first, count, 0, 0)
        struct.pack_into("=Q", self.memory, 0, list(CALLS).index(call) + 1)

    def disarm(self):
        struct.pack_into("=Q", self.memory, 0, 0)

    def set_clock(self, seconds):
        """So much the clock on the wall is ahead (or, below 0, behind) from now on."""
        struct.pack_into("=q", self.memory, 48, seconds)

    def sleep(self, pid, seconds):
        """To the process, the machine has slept so long in all: the clocks say so, and it is woken."""
        self.set_clock(seconds)
        struct.pack_into("=q", self.memory, 64, seconds)
        fire_clock_timer(pid)

    @property
    def seen(self):
        return struct.unpack_from("=Q", self.memory, 32)[0]

    @property
    def failed(self):
        return struct.unpack_from("=Q", self.memory, 40)[0]

    @property
    def waits(self):
        """How often it asked the kernel what is ready, since it was first started."""
        return struct.unpack_from("=Q", self.memory, 56)[0]

    def close(self):
        self.memory.close()
