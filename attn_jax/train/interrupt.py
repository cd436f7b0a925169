"""Stops on request, at a point where the run can be resumed from."""

import signal
import threading
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingInterrupted(KeyboardInterrupt):
    """Training stopped on request, after writing a checkpoint.

    Args:
        message: Where it stopped and how to go on.
        number: The signal that asked for it.
    """

    def __init__(self, message: str, number: int):
        super().__init__(message)
        self.number = number


class Interrupt:
    """While entered, notes SIGINT and SIGTERM instead of letting them end the process.

    A second signal acts as if this were not here. Outside the main thread, where Python lets
    nobody handle signals, it notes nothing.

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
        """Begins to note signals."""
        if threading.current_thread() is threading.main_thread():
            self._previous = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Gives the signals back."""
        for number, handler in self._previous.items():
            signal.signal(number, handler)  # pyright: ignore[reportArgumentType]
        self._previous = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self.__exit__()
