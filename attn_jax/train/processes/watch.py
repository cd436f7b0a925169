"""A watch on the other processes: the end of one ends all, and a signal stops all at one step."""

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterable
from types import TracebackType

import jax

from attn_jax.train.interrupt import TrainingInterrupted
from attn_jax.train.processes.abort import say_at_abort
from attn_jax.train.processes.channel import ProcessError, Processes, describe

_LOOK = 1.0
_JOIN = 2.0


class Watch:
    """Context in which the processes of a run end together.

    Threads listen, so that a process learns of the others even while it waits for them in a
    collective operation. A single process has none.

    Args:
        processes: The processes of the run.
        hint: How to resume, for the message.

    Example:
        >>> with Watch(Processes(), "resume it") as watch:
        ...     watch.stop_signal(None), watch.stop_signal(15)
        (None, 15)
    """

    def __init__(self, processes: Processes, hint: str):
        self.processes, self.hint = processes, hint
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._calls, self._stop_at, self._number = 0, -1, 0
        self._requested, self._stack = False, contextlib.ExitStack()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "Watch":
        """Start to listen."""
        if self.processes.count > 1:
            line = f"ProcessError: {self.processes.lost()}. To resume: {self.hint}"
            self._stack.enter_context(say_at_abort(line))
            for listen in (self._listen_for_ends, self._listen_for_signals, self._look):
                self._threads.append(threading.Thread(target=listen, daemon=True))
                self._threads[-1].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop to listen; after an error, tell the others."""
        if self.processes.count == 1:
            return
        if error is None:
            self.processes.exchange("done")
        elif isinstance(error, jax.errors.JaxRuntimeError):
            # If another process said why it ended, its reason is printed meanwhile.
            time.sleep(2 * _LOOK)
        with self._lock:
            self._closing.set()
        own = [self.processes.index]
        for name in ("end", "stop"):
            self._tell(name, "", own)
        self._stack.close()
        known = isinstance(error, ProcessError) or kind is TrainingInterrupted
        fault = None if known else error
        if fault is not None:
            reason = f"process {self.processes.index} ended: {describe(fault)}"
            self._tell("end", reason, {*range(self.processes.count)} - {*own})
        # A thread that waits in JAX while Python ends would abort the process.
        for thread in self._threads:
            thread.join(_JOIN)
        if fault is not None and isinstance(fault, jax.errors.JaxRuntimeError):
            raise ProcessError(
                "an operation with the other processes failed, so that one of them has probably "
                f"ended ({describe(fault)}). To resume: {self.hint}"
            ) from fault

    def stop_signal(self, number: int | None) -> int | None:
        """Return the signal to stop by; to be called after each call of the devices.

        All processes return it after the same call, which comes after those that any of them has
        made when the signal arrives.

        Args:
            number: The signal that this process has received, if it has.

        Returns:
            The signal, or None to go on.
        """
        if self.processes.count == 1:
            return number
        if number is not None and not self._requested:
            self._requested = True
            self._tell("stop", str(number), range(self.processes.count))
        with self._lock:
            self._calls += 1
            return self._number if self._calls == self._stop_at else None

    def _tell(self, name: str, message: str, receivers: Iterable[int]) -> None:
        # If process 0 has ended, nothing can be written.
        with contextlib.suppress(jax.errors.JaxRuntimeError):
            for receiver in receivers:
                self.processes.write(f"{name}/{receiver}", message)

    def _listen_for_ends(self) -> None:
        try:
            reason = self.processes.wait(f"end/{self.processes.index}")
        except ProcessError as error:
            reason = str(error)
        if reason:
            self._end(reason)

    def _look(self) -> None:
        """End this process if JAX counts another as dead."""
        others = {*range(self.processes.count)} - {self.processes.index}
        while not self._closing.wait(_LOOK):
            try:
                lost = others - self.processes.live()
            except jax.errors.JaxRuntimeError:
                self._end(self.processes.lost())
            else:
                if lost:
                    names = ", ".join(map(str, sorted(lost)))
                    self._end(f"process {names} ended or cannot be reached")

    def _end(self, reason: str) -> None:
        with self._lock:
            if not self._closing.is_set():
                # The main thread may be waiting in a collective operation that never ends.
                line = f"ProcessError: {reason}. To resume: {self.hint}\n"
                os.write(sys.stderr.fileno(), line.encode())
                os._exit(1)

    def _listen_for_signals(self) -> None:
        with contextlib.suppress(ProcessError):
            number = self.processes.wait(f"stop/{self.processes.index}")
            # Meanwhile the main thread takes no further step, or the others might wait for it.
            with self._lock:
                if number and not self._closing.is_set():
                    calls = self.processes.exchange_as("calls", str(self._calls))
                    self._number, self._stop_at = int(number), max(map(int, calls)) + 1
