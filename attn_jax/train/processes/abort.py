"""A line of ours where JAX aborts a process, as it does when it loses process 0."""

import contextlib
import ctypes
import os
import signal
from collections.abc import Iterator

_HANDLER = ctypes.CFUNCTYPE(None, ctypes.c_int)


@contextlib.contextmanager
def say_at_abort(line: str) -> Iterator[None]:
    """Print a line, and end with status 1, if the process aborts while the block runs.

    Args:
        line: The line.
    """

    def handle(number: int) -> None:
        os.write(2, f"{line}\n".encode())
        os._exit(1)

    # A handler of Python's would run in the main thread, later; the process ends before.
    handler = _HANDLER(handle)
    library = ctypes.CDLL(None)
    library.signal.restype = ctypes.c_void_p
    library.signal.argtypes = [ctypes.c_int, ctypes.c_void_p]
    before = library.signal(signal.SIGABRT, ctypes.cast(handler, ctypes.c_void_p))
    try:
        yield
    finally:
        library.signal(signal.SIGABRT, before)
