"""Short messages between the processes of a run, through JAX's coordination service.

Unlike collective operations they need no device, and may wait for as long as process 0 draws.
"""

import itertools
import json
from collections.abc import Callable
from typing import Any, TypeVar

import jax

T = TypeVar("T")

_CHANNELS = itertools.count()
_LONGEST = 7 * 24 * 3600.0


class ProcessError(RuntimeError):
    """An error about another process of the run."""


class Processes:
    """The processes of a run, of which this is one.

    All of them make the same calls in the same order. A single process only talks to itself.

    Args:
        index: The number of this process, from 0.
        count: How many there are.
        patience: How long to wait for another process, in seconds.

    Example:
        >>> alone = Processes()
        >>> alone.leads, alone.exchange("ready"), alone.first(lambda: 3)
        (True, ['ready'], 3)
    """

    def __init__(self, index: int = 0, count: int = 1, patience: float = _LONGEST):
        self.index, self.count, self.patience = index, count, patience
        # Every process makes its channels in the same order, so the same number is the same one.
        self._name = f"attn_jax/{next(_CHANNELS) if count > 1 else 'alone'}"
        self._messages = itertools.count()

    @property
    def leads(self) -> bool:
        """Whether this is process 0, which alone prints, draws and writes files by itself."""
        return self.index == 0

    def exchange(self, message: str) -> list[str]:
        """Tell all processes something; return what each of them tells.

        Args:
            message: What this one tells.

        Returns:
            The messages, in the order of the processes.

        Raises:
            ProcessError: If another process does not answer.
        """
        return self.exchange_as(self._next(), message)

    def exchange_as(self, name: str, message: str) -> list[str]:
        """Exchange messages under a name that is used once, in any order among other calls.

        Args:
            name: The name.
            message: What this process tells.

        Returns:
            The messages, in the order of the processes.

        Raises:
            ProcessError: If another process does not answer.
        """
        if self.count == 1:
            return [message]
        self.write(f"{name}/{self.index}", message)
        return [self._read(f"{name}/{index}", index) for index in range(self.count)]

    def first(self, function: Callable[[], T]) -> T:
        """Call a function in process 0 alone, and return its result in all.

        Args:
            function: Returns anything that JSON can hold.

        Returns:
            Its result.

        Raises:
            ProcessError: In the others, if it raises an error in process 0.
        """
        if self.count == 1:
            return function()
        name = self._next()
        if not self.leads:
            answer = json.loads(self._read(name, 0))
            if "error" in answer:
                raise ProcessError(f"process 0 ended: {answer['error']}")
            return answer["result"]
        try:
            result = function()
        except Exception as error:
            self.write(name, json.dumps({"error": describe(error)}))
            raise
        self.write(name, json.dumps({"result": result}))
        return result

    def write(self, name: str, message: str) -> None:
        """Write a message under a name; the last one stays.

        Args:
            name: The name, within this channel.
            message: The message.
        """
        # JSON, because the service takes an empty text for none.
        _service().key_value_set(f"{self._name}/{name}", json.dumps(message), allow_overwrite=True)

    def wait(self, name: str) -> str | None:
        """Wait for the message under a name.

        Args:
            name: The name, within this channel.

        Returns:
            The message, or None if none has come within `patience`.

        Raises:
            ProcessError: If process 0, which holds the messages, has ended, or for it another.
        """
        milliseconds = int(self.patience * 1000)
        try:
            stored = _service().blocking_key_value_get(f"{self._name}/{name}", milliseconds)
        except jax.errors.JaxRuntimeError as error:
            if str(error).startswith("DEADLINE_EXCEEDED"):
                return None
            raise ProcessError(self.lost()) from error
        return json.loads(stored)

    def lost(self) -> str:
        """Return what an error of JAX's coordination service says of the other processes.

        Process 0 holds the service. In the others an error means that process 0 has ended; in
        process 0 it means that any of the others has.
        """
        if not self.leads:
            name = "process 0"
        else:
            name = "process 1" if self.count == 2 else "another process"
        return f"{name} ended or cannot be reached"

    def live(self) -> set[int]:
        """Return the processes that have not ended; each of them must call this as well."""
        return set(_service().get_live_nodes(list(range(self.count))))

    def _read(self, name: str, sender: int) -> str:
        message = self.wait(name)
        if message is None:
            raise ProcessError(
                f"process {sender} of {self.count} has not answered for {self.patience:,.0f} s; is "
                "it running, and with the same command?"
            )
        return message

    def _next(self) -> str:
        return str(next(self._messages))


def describe(error: BaseException) -> str:
    """Return an error as one line.

    Args:
        error: The error.

    Returns:
        Its type and message.
    """
    return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"


def _service() -> Any:
    # JAX has no public name for it; Orbax takes it from here as well.
    from jax._src import distributed

    return distributed.global_state.client
