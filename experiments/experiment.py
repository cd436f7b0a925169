"""What an experiment is: a model, a task, how to train; and what is done with them."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
from flax import linen as nn

from attn_jax.train import TrainConfig


@dataclasses.dataclass(frozen=True)
class Experiment(abc.ABC):
    """A model, a task and how to train; every field of each is an option of the command line.

    A subclass for each kind of task says how the model is called, what its loss is and what is
    left to look at; a file of this folder holds one instance, named `experiment`.
    """

    model: nn.Module
    """The network."""
    task: Any
    """The data."""
    train: TrainConfig
    """How to train."""

    def suited_to(self, task: Any) -> "Experiment":
        """The experiment with the defaults for this task, where they differ from its own."""
        return self

    def options(self) -> list[str]:
        """The names of what is set beside model, task and training, and a resumed run keeps."""
        parts = [field.name for field in dataclasses.fields(self)]
        return [name for name in parts if name not in ("model", "task", "train")]

    def sized_model(self) -> nn.Module:
        """The model with the sizes that depend on the data filled in."""
        return self.model.clone(**self.task.sizes)

    @abc.abstractmethod
    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters for batches shaped as `batch`."""

    @abc.abstractmethod
    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run the model."""

    @abc.abstractmethod
    def loss(self, outputs: Any, batch: Mapping[str, jax.Array]) -> Any:
        """Judge the outputs: the scalar to minimise, and metrics as (sum, weight)."""

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Look at the model after an epoch, whose row has its number, from 1, and the step.

        What is returned is added to the row. It may leave files in the run's folder. An epoch that
        a crash makes the run repeat calls it again.
        """
        return {}

    def on_log(self, params: Any, row: Mapping[str, Any], run: Path) -> None:
        """Look at the model wherever an epoch has a row before its end."""
        return

    def begin(self, run: Path) -> None:
        """Leave in a new run's folder what the run will be reopened by; make the folder for it."""
        return

    def check(self, run: Path) -> None:
        """Refuse, by a ValueError, to reopen a run whose data was not what the task has now."""
        return

    def check_params(self, params: Any) -> None:
        """Refuse, by a ValueError, parameters that are not of this model."""
        return

    @abc.abstractmethod
    def draw(self, params: Any, run: Path) -> None:
        """Draw the figures of a trained model into the run's folder."""


def settings(value: Any) -> Any:
    """What a value was set to, as JSON can hold it: for command.json, and to compare two by.

    Example:
        >>> settings(TrainConfig(epochs=3))["epochs"]
        3
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        of_flax = ("parent", "name") if isinstance(value, nn.Module) else ()
        fields = [field.name for field in dataclasses.fields(value) if field.name not in of_flax]
        found = {name: settings(getattr(value, name)) for name in fields}
        return {"is": type(value).__name__, **found}
    if isinstance(value, list | tuple):
        return [settings(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__name__", str(value))
