"""The entry point of training: `fit` trains a model on a task in a run folder."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import jax

from attn_jax.train.compiled import Program, build
from attn_jax.train.config import PLACEMENT, TrainConfig
from attn_jax.train.devices import data_mesh, own_copy, processes_of, require_divisible
from attn_jax.train.disk.lock import NAME as LOCK
from attn_jax.train.disk.lock import lock_run
from attn_jax.train.disk.manifest import remove_drafts
from attn_jax.train.disk.metrics import read_metrics
from attn_jax.train.disk.run_folder import (
    extend_command,
    require_new,
    require_same,
    require_space,
    write_command,
)
from attn_jax.train.interrupt import Interrupt
from attn_jax.train.loop import Loop, OnEpoch, OnLog
from attn_jax.train.processes.agreement import require_same_everywhere, require_shared
from attn_jax.train.processes.watch import Watch
from attn_jax.train.progress import Progress, log_console
from attn_jax.train.protocols import Apply, Init, Loss, StreamedTask, Task
from attn_jax.train.step import TrainState


class FitResult(NamedTuple):
    """The result of a finished run.

    Attributes:
        state: The final state; with several processes, a whole copy on one device of each.
        rows: All rows of metrics.jsonl.
        run_dir: The run's folder.
    """

    state: TrainState
    rows: list[dict[str, Any]]
    run_dir: Path


OnEnd = Callable[[FitResult], object]


def fit(
    init: Init,
    apply: Apply,
    loss: Loss,
    task: Task | StreamedTask,
    config: TrainConfig,
    run_dir: str | Path,
    *,
    resume: bool = False,
    command: Mapping[str, Any] | None = None,
    on_epoch: OnEpoch | None = None,
    on_log: OnLog | None = None,
    on_end: OnEnd | None = None,
    devices: Sequence[jax.Device] | None = None,
    resume_hint: str = "call fit with resume=True",
) -> FitResult:
    """Train a model, in a run folder from which training resumes exactly after a crash.

    A run that is killed at any moment and resumed ends with the same parameters, optimizer state
    and rows, bit for bit, as a run that was never stopped, apart from the entries `time/*`. On
    accelerators this requires deterministic compilation
    (`XLA_FLAGS=--xla_gpu_deterministic_ops=true`).

    Where several processes have joined (`attn_jax.train.join`), all of them call `fit` with the
    same arguments and a folder that they share. Process 0 alone prints, writes rows and calls
    `on_epoch`, `on_log` and `on_end`; the others write their messages to `logs/` in the folder.

    Args:
        init: Makes the parameters from a key and a prepared batch.
        apply: Runs the model.
        loss: Computes the loss and metrics of its outputs.
        task: Loads the data, or opens them, to be read as they are needed.
        config: The settings.
        run_dir: The run's folder, for command.json, metrics.jsonl, TensorBoard events, checkpoints.
        resume: Resume the run in `run_dir` from its newest whole checkpoint.
        command: A description of the run, for command.json; resuming refuses a different one.
        on_epoch: Called with the state and the row of metrics at the end of each epoch; its result
            is added to the row. It must not keep the state, because the next step reuses its
            memory. If a crash makes the run repeat an epoch, it is called again.
        on_log: The same after every `log_every` steps within an epoch; its result is not used.
        on_end: Called with the result, also when a finished run is resumed. No other process writes
            to the folder until it returns.
        devices: The devices to train on; None for all.
        resume_hint: How to resume, for the message after an interruption.

    Returns:
        The final state and all rows of metrics.

    Raises:
        RunFolderError: If the folder holds another run, cannot be written, lacks space, or is being
            written by another process.
        NonFiniteError: If a loss or metric becomes NaN or infinite.
        TrainingInterrupted: After SIGINT, SIGTERM, SIGHUP or SIGUSR1, with a checkpoint written.
        CheckpointError: If a checkpoint cannot be written.
        ProcessError: If another process ends, differs in its arguments, or sees another folder.

    Example:
        >>> import tempfile
        >>> import jax.numpy as jnp
        >>> import numpy as np
        >>> from attn_jax.train import classification_loss
        >>> class Signs:
        ...     def load(self):
        ...         x = np.linspace(-1, 1, 40, dtype=np.float32)
        ...         points = {"x": x, "label": (x > 0).astype(np.int32)}
        ...         return {"train": [points], "validation": [points]}
        ...
        ...     def prepare(self, batch, rng=None):
        ...         return batch
        >>> def init(rng, batch):
        ...     return jnp.zeros((1, 2))
        >>> def apply(params, batch, *, rng=None, train=False):
        ...     return batch["x"][:, None] @ params
        >>> config = TrainConfig(epochs=2, batch_size=8)
        >>> run_dir = tempfile.mkdtemp()
        >>> result = fit(init, apply, classification_loss, Signs(), config, run_dir)
        2 parameters, 2 epochs of 5 steps of 8 examples, on ...
        epoch 1/2  |  train accuracy ...  |  validation accuracy ...  |  ... examples/s
        epoch 2/2  |  train accuracy ...  |  validation accuracy 1.0000  |  ... examples/s
        >>> int(result.state.step), [row["step"] for row in result.rows]
        (10, [5, 10])
    """
    placement = {name: getattr(config, name) for name in PLACEMENT}
    run_dir, mesh = Path(run_dir), data_mesh(devices, **placement)
    eval_batch_size = config.eval_batch_size or 4 * config.batch_size
    require_divisible(mesh, batch_size=config.batch_size, eval_batch_size=eval_batch_size)
    begun, settings = datetime.now(UTC), _settings(command, config)
    processes = processes_of(mesh)
    with Watch(processes, resume_hint) as watch, contextlib.ExitStack() as stack:
        require_same_everywhere(processes, {**settings, **placement})

        def enter() -> list[str]:
            notes = require_same(run_dir, settings, mesh) if resume else []
            lock_notes = stack.enter_context(lock_run(run_dir))
            if resume:
                extend_command(run_dir, settings)
            else:
                require_new(run_dir)
            remove_drafts(run_dir)
            return [*lock_notes, *notes]

        notes = processes.first(enter)
        require_shared(processes, run_dir / LOCK)
        program = build(init, apply, loss, task, config, mesh)

        def begin() -> None:
            require_space(run_dir, program.state, config.keep + 2)
            if not resume:
                write_command(run_dir, settings, mesh, begun)

        processes.first(begin)
        console = stack.enter_context(log_console(run_dir, processes))
        with (
            Progress(program.steps_per_epoch * config.epochs, config.epochs, console) as progress,
            Interrupt() as interrupt,
        ):
            for line in (*notes, _outline(program, config)):
                progress.say(line)
            loop = Loop(
                program,
                config,
                run_dir,
                progress,
                interrupt,
                watch,
                on_epoch,
                on_log,
                resume_hint,
                resume,
            )
            state = own_copy(mesh, loop.run())
        result = FitResult(state, read_metrics(run_dir), run_dir)
        if on_end is not None:
            processes.first(lambda: on_end(result) and None)
    return result


def _settings(command: Mapping[str, Any] | None, config: TrainConfig) -> dict[str, Any]:
    """Return what a run is resumed by; how it is laid out on devices is no part of it."""
    train = {k: x for k, x in dataclasses.asdict(config).items() if k not in PLACEMENT}
    return json.loads(json.dumps({**(command or {}), "train": train}))


def _outline(program: Program, config: TrainConfig) -> str:
    parameters = sum(leaf.size for leaf in jax.tree.leaves(program.state.params))
    first = program.mesh.devices.flat[0]
    epochs = "1 epoch" if config.epochs == 1 else f"{config.epochs} epochs"
    return (
        f"{parameters:,} parameters, {epochs} of {program.steps_per_epoch} steps of "
        f"{config.batch_size} examples, on {program.mesh.size} x {first.device_kind}; compiling "
        "before the first step."
    )
