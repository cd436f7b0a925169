"""The base class of experiments: a model, a task, training settings, and what uses them."""

import abc
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import jax
from flax import linen as nn

from attn_jax.train import TrainConfig
from experiments.truth.evidence import Evidence


@dataclasses.dataclass(frozen=True)
class Experiment(abc.ABC):
    """A model, a task and training settings, whose fields are options of the command line.

    A subclass for each kind of task defines what the model takes, its loss, and its figures; a
    file of `configs/` holds an instance, named `experiment`.
    """

    model: nn.Module
    """The network to train."""
    task: Any
    """The data to train on."""
    train: TrainConfig
    """The settings of training."""

    inputs: ClassVar[tuple[str, ...]]
    """The names of the arrays of a batch that the model takes, in this order."""
    has_dropout: ClassVar[bool] = True
    """Whether the model takes `train`, and a key called dropout."""

    def suited_to(self, task: Any) -> "Experiment":
        """Return the experiment with the defaults for this task, if they differ."""
        return self

    def options(self) -> list[str]:
        """Return the names of the options besides model, task and training."""
        parts = [field.name for field in dataclasses.fields(self)]
        return [name for name in parts if name not in ("model", "task", "train")]

    def sized_model(self) -> nn.Module:
        """Return the model with the sizes that depend on the data."""
        return self.model.clone(**self.task.sizes)

    def init(self, rng: jax.Array, batch: Mapping[str, jax.Array]) -> Any:
        """Make fresh parameters for batches of the shapes of `batch`."""
        return self.sized_model().init(rng, *(batch[name] for name in self.inputs))["params"]

    def apply(
        self,
        params: Any,
        batch: Mapping[str, jax.Array],
        *,
        rng: jax.Array | None = None,
        train: bool = False,
    ) -> Any:
        """Run the model on the arrays named in `inputs`."""
        options: dict[str, Any] = {}
        if self.has_dropout:
            options = {"train": train, "rngs": {} if rng is None else {"dropout": rng}}
        given = (batch[name] for name in self.inputs)
        return self.sized_model().apply({"params": params}, *given, **options)

    @abc.abstractmethod
    def loss(self, outputs: Any, batch: Mapping[str, jax.Array]) -> Any:
        """Return the scalar to minimize, and metrics as (sum, weight)."""

    def on_epoch(self, params: Any, row: Mapping[str, Any], run: Path) -> Mapping[str, float]:
        """Evaluate the model after an epoch, and return metrics to add to the row.

        It may write files to the run's folder. If a crash makes the run repeat an epoch, it is
        called again.
        """
        return {}

    def on_log(self, params: Any, row: Mapping[str, Any], run: Path) -> None:
        """Evaluate the model for each row within an epoch."""
        return

    def begin(self, run: Path) -> None:
        """Write to the folder of a new run what is needed to reopen it."""
        return

    def check(self, run: Path) -> None:
        """Raise a ValueError if a run was trained on other data than the task has now."""
        return

    def example(self) -> Mapping[str, jax.Array]:
        """Return a prepared batch for `init`, of which only the shapes matter."""
        rows = self.task.load()["validation"][0]
        return self.task.prepare({name: array[:1] for name, array in rows.items()})

    def check_params(self, params: Any) -> None:
        """Raise a ValueError if parameters are not of this model."""
        expected = jax.eval_shape(self.init, jax.random.key(0), self.example())
        require_params(self.sized_model(), expected, params)

    def evidence(self, params: Any) -> Evidence | None:
        """Return test examples with the keys that decide them, where the task knows them.

        It is all that `make truth` needs to score attention, and other ways of asking, against
        the truth.
        """
        return None

    @abc.abstractmethod
    def draw(self, params: Any, run: Path) -> None:
        """Draw the figures of a trained model into the run's folder."""


def require_params(model: nn.Module, expected: Any, params: Any) -> None:
    """Refuse parameters that do not fit a model, naming the first that does not.

    Args:
        model: The model.
        expected: A tree with the names and shapes of its parameters.
        params: The parameters.

    Raises:
        ValueError: If a name or shape differs.
    """
    shapes, model_shapes = (
        {jax.tree_util.keystr(path): leaf.shape for path, leaf in jax.tree.leaves_with_path(tree)}
        for tree in (params, expected)
    )
    for name in sorted({*shapes, *model_shapes}):
        shape, model_shape = (each.get(name, "nothing") for each in (shapes, model_shapes))
        if shape != model_shape:
            raise ValueError(
                f"the checkpoint is of another model or other data: params{name} is {shape}, but "
                f"this run's {type(model).__name__} has {model_shape}; restore the run's own files."
            )


def settings(value: Any, stored: Any = None) -> Any:
    """Return the settings of a model, task or option as JSON, for command.json.

    A field with `changes_results` false in its metadata is left out: a run may be resumed and
    reopened without it.

    Args:
        value: The model, task or option.
        stored: The settings of a run to compare with. A field that they lack is newer than the run,
            and is left out where it has its default, which leaves everything as it was before.

    Example:
        >>> settings(TrainConfig(epochs=3))["epochs"]
        3
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        internal = ("parent", "name") if isinstance(value, nn.Module) else ()
        kind = type(value).__name__
        before = stored if isinstance(stored, Mapping) and stored.get("is") == kind else None
        fields = {
            field.name: settings(getattr(value, field.name), before and before.get(field.name))
            for field in dataclasses.fields(value)
            if field.name not in internal
            and field.metadata.get("changes_results", True)
            and not (_is_default(value, field) and before is not None and field.name not in before)
        }
        return {"is": kind, **fields}
    if isinstance(value, list | tuple):
        return [settings(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return getattr(value, "__name__", str(value))


def _is_default(value: Any, field: dataclasses.Field) -> bool:
    return settings(getattr(value, field.name)) == settings(field.default)
