"""Checkpoints: arrays written by Orbax, a record of metrics, and a manifest to verify both.

`checkpoints/<step>/` holds `arrays/` (Orbax), `record.json` and, written last, `MANIFEST.sha256`.
All processes write their arrays; process 0 does the rest.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from attn_jax.train.disk import manifest
from attn_jax.train.disk.manifest import DamagedError
from attn_jax.train.disk.stored import StoredFileError, is_finite_number, read_json, write_json
from attn_jax.train.processes.channel import ProcessError, Processes


class CheckpointError(RuntimeError):
    """An error about a checkpoint that could not be written."""


class Checkpoints:
    """The checkpoints of one run.

    Args:
        folder: The folder of the checkpoints, which need not exist yet.
        keep: How many of the last checkpoints to keep, besides the best.
        best: The metric that chooses the best checkpoint: the highest value, or the lowest loss.
        processes: The processes that save and restore together, from a folder that they share.
    """

    def __init__(
        self,
        folder: Path,
        *,
        keep: int = 3,
        best: str = "validation/accuracy",
        processes: Processes | None = None,
    ):
        self.folder, self.keep, self.best = Path(folder).absolute(), keep, best
        self.processes = processes or Processes()

    def steps(self) -> list[int]:
        """Return the steps that have a checkpoint, whole or not, ascending."""
        if not self.folder.is_dir():
            return []
        names = [path.name for path in self.folder.iterdir()]
        # Names such as 007, or with the digits of other scripts, are numbers too, but no step's.
        return sorted(int(name) for name in names if name.isdecimal() and str(int(name)) == name)

    def save(self, step: int, arrays: Any, record: Mapping[str, Any]) -> None:
        """Write a checkpoint and flush it to the disk, then remove old ones.

        Args:
            step: The step.
            arrays: A pytree of arrays.
            record: Anything JSON can hold; its `metrics` choose the best checkpoint.

        Raises:
            CheckpointError: If it cannot be written; earlier checkpoints stay as they are.
        """
        path = self._path(step)
        try:
            self.processes.first(lambda: self._make(path))
            with _checkpointer() as checkpointer:
                checkpointer.save(path / "arrays", _without_keys(arrays))
            self.processes.exchange("saved")
            self.processes.first(lambda: self._seal(path, record))
        except ProcessError:
            raise
        except Exception as error:
            if self.processes.count > 1 and isinstance(error, jax.errors.JaxRuntimeError):
                # Not the disk, but another process: `Watch` says so.
                raise
            if self.processes.leads:
                shutil.rmtree(path, ignore_errors=True)
            raise CheckpointError(
                f"the checkpoint of step {step} could not be written to {path}: {error}\n"
                f"{shutil.disk_usage(self.folder.parent).free:,} bytes are free there. Earlier "
                "checkpoints are intact: make room, and resume."
            ) from error
        self.processes.first(self._prune)

    def _make(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)

    def _seal(self, path: Path, record: Mapping[str, Any]) -> None:
        write_json(path / "record.json", record)
        manifest.seal(path)
        manifest.sync(self.folder)

    def restore(self, step: int, like: Any = None) -> tuple[Any, dict[str, Any]]:
        """Read a checkpoint, after verifying every byte of it.

        Args:
            step: The step.
            like: A pytree of arrays with the structure, shapes, types and devices to restore.
                Without it, the result is nested dictionaries and lists of arrays on the first
                device, wherever they were saved from, with random keys as their data.

        Returns:
            The arrays and the record.

        Raises:
            DamagedError: If the checkpoint is not whole.
            StoredFileError: If it is whole, but its arrays or record are not what `save` wrote.
        """
        manifest.verify(self._path(step))
        return self._read(step, like)

    def _read(self, step: int, like: Any) -> tuple[Any, dict[str, Any]]:
        path = self._path(step)
        try:
            arrays = _restore(path / "arrays", like)
        # Orbax, TensorStore and JAX raise errors of their own, with no common class.
        except Exception as error:
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise StoredFileError(
                f"the arrays of {path} are whole, but do not fit this model, or were not written "
                f"by it ({reason}); restore the code and files of the run, or train again."
            ) from error
        return arrays, read_json(path / "record.json", dict)

    def record(self, step: int) -> dict[str, Any]:
        """Return the record of a checkpoint, without verifying its arrays.

        Args:
            step: The step.

        Returns:
            The record; empty if it cannot be read, or is damaged.
        """
        try:
            return read_json(self._path(step) / "record.json", dict)
        except (OSError, StoredFileError):
            return {}

    def newest(self, like: Any, say: Callable[[str], None]) -> tuple[Any, dict[str, Any]] | None:
        """Restore the newest whole checkpoint.

        Newer checkpoints that are damaged are set aside; unfinished ones, and older ones that
        `save` would remove, are removed.

        Args:
            like: As for `restore`.
            say: Called with a line for each checkpoint that is skipped.

        Returns:
            Arrays and record, or None if no checkpoint is whole.
        """
        step = self.processes.first(lambda: self._newest_whole(say))
        if step is None:
            return None
        restored = self._read(step, like)
        # The process may have been killed while it removed old ones.
        self.processes.first(self._remove_old)
        return restored

    def _newest_whole(self, say: Callable[[str], None]) -> int | None:
        for step in reversed(self.steps()):
            try:
                manifest.verify(self._path(step))
                return step
            except DamagedError as damage:
                say(f"Skipped the checkpoint of step {step}: {damage}. {self._clear(step)}")
        return None

    def _remove_old(self) -> None:
        self._remove_unsealed()
        self._prune()

    def best_step(self) -> int | None:
        """Return the step with the best value of the metric, the earliest of equals."""
        return next(iter(self.best_steps()), None)

    def best_steps(self) -> list[int]:
        """Return the steps that have the metric, from the best to the worst."""
        sign = -1 if self.best.endswith("loss") else 1
        values = {step: self._value(step) for step in self.steps()}
        scored = [(-sign * value, step) for step, value in values.items() if value is not None]
        return [step for _, step in sorted(scored)]

    def _value(self, step: int) -> float | None:
        metrics = self.record(step).get("metrics")
        value = metrics.get(self.best) if isinstance(metrics, dict) else None
        return float(value) if is_finite_number(value) else None

    def _clear(self, step: int) -> str:
        """Make room for the step to be saved again; return what was done with the old one."""
        path, aside = self._path(step), self.folder / f"{step}.damaged"
        if not (path / manifest.NAME).exists():
            shutil.rmtree(path)
            return "It was removed."
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        return f"It is now {aside.name}."

    def _remove_unsealed(self) -> None:
        for step in self.steps():
            if not (self._path(step) / manifest.NAME).exists():
                shutil.rmtree(self._path(step))

    def _prune(self) -> None:
        current = {*self.steps()[-self.keep :], self.best_step()}
        for step in set(self.steps()) - current:
            # The manifest goes first, so that a removal that is cut short leaves nothing valid.
            (self._path(step) / manifest.NAME).unlink(missing_ok=True)
            shutil.rmtree(self._path(step))

    def _path(self, step: int) -> Path:
        return self.folder / str(step)


def _restore(folder: Path, like: Any) -> Any:
    with _checkpointer() as checkpointer:
        if like is None:
            return checkpointer.restore(folder, _on_first_device(checkpointer.metadata(folder)))
        target = jax.tree.map(_abstract, _without_keys(like))
        return jax.tree.map(_as_key_like, like, checkpointer.restore(folder, target))


def _on_first_device(metadata: Any) -> Any:
    # Orbax 0.11.20 returns the tree itself; later versions wrap it.
    tree = getattr(metadata, "item_metadata", metadata)
    first = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=first),
        getattr(tree, "tree", tree),
    )


def _abstract(leaf: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _without_keys(tree: Any) -> Any:
    """Replace random keys by their data, as not every version of Orbax restores keys."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _as_key_like(like: jax.Array, leaf: jax.Array) -> jax.Array:
    return jax.random.wrap_key_data(leaf, impl=jax.random.key_impl(like)) if _is_key(like) else leaf


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _checkpointer():
    # Orbax takes about as long to import as JAX, and help and listings do without it.
    import orbax.checkpoint

    return orbax.checkpoint.StandardCheckpointer()
