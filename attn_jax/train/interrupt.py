"""Signals that stop training after a checkpoint, from which it can resume."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
"""Interruption, termination, a lost terminal, and the warning of a batch system."""


class TrainingInterrupted(KeyboardInterrupt):
    """Training that a signal stopped, after a checkpoint was written.

    Args:
        message: The step at which it stopped, and how to resume.
        number: The number of the signal.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


class Interrupt:
    """Context in which `SIGNALS` are noted instead of ending the process.

    A second signal acts as usual. Under `nohup`, SIGHUP stays ignored. Outside the main thread
    Python allows no signal handlers, and nothing is noted.

    Example:
        >>> with Interrupt() as interrupt:
        ...     signal.raise_signal(signal.SIGTERM)
        ...     interrupt.number == signal.SIGTERM
        True
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._previous: dict[int, object] = {}

    def __enter__(self) -> "Interrupt":
        """Install the handlers."""
        if threading.current_thread() is threading.main_thread():
            ignores_hangup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            handled = [n for n in SIGNALS if not (n == signal.SIGHUP and ignores_hangup)]
            self._previous = {number: signal.signal(number, self._note) for number in handled}
        return self

    def __exit__(self, *_: object) -> None:
        """Restore the previous handlers."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._previous = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.__exit__()
