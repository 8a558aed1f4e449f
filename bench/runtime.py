"""Process-wide settings for heavy work on a CPU."""

import ctypes
import os
import sys
import threading
import time

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4  # <malloc.h>


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of giving it back to the kernel at once.

    A network allocates and frees the same large tensors at every step; fetching them anew from
    the kernel each time costs up to ten times the arithmetic on virtual machines. Elsewhere than
    on Linux with glibc this does nothing.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
    mallopt(_M_TOP_PAD, 64 << 20)


def die_with_parent() -> None:
    """End this worker process when the process that started it is gone (`kill -9` included)."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1.0)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
