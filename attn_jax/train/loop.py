"""The host loop: the only part of training that does I/O, between the calls of the device."""

import math
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax

from attn_jax.train.compiled import Program
from attn_jax.train.config import TrainConfig
from attn_jax.train.data_order import calls, epoch_order
from attn_jax.train.devices import own_copy
from attn_jax.train.disk.checkpoint import Checkpoints
from attn_jax.train.disk.metrics import MetricsWriter
from attn_jax.train.disk.stored import StoredFileError, is_record
from attn_jax.train.evaluate import means
from attn_jax.train.interrupt import Interrupt, TrainingInterrupted
from attn_jax.train.multi_step import Sums
from attn_jax.train.processes.watch import Watch
from attn_jax.train.progress import Progress
from attn_jax.train.step import TrainState

OnEpoch = Callable[[TrainState, Mapping[str, Any]], Mapping[str, float] | None]
"""Called with the state and the row at the end of an epoch; its result is added to the row."""

OnLog = Callable[[TrainState, Mapping[str, Any]], object]
"""Called with the state and the row for each row within an epoch."""


class NonFiniteError(FloatingPointError):
    """An error about a loss or metric that is NaN or infinite."""


class Loop:
    """The state of the host during training.

    The order of events in every epoch:

    1. The order of the examples is computed from (seed, epoch).
    2. The devices take steps, `steps_per_call` at a time, but never past a step at which 3 or 4
       is due.
    3. After every `log_every` steps, and at the epoch's end, the sums are fetched. A loss that is
       not finite ends the run. The means become a row, and the sums start again from zero. At the
       epoch's end validation and test are evaluated and `on_epoch` is called, for the same row.
       The row is written to metrics.jsonl and TensorBoard, and shown.
    4. After every `checkpoint_every` steps, and at the epoch's end, the rows are flushed to the
       disk, and then a checkpoint is written: the state and the partial sums. So no checkpoint is
       newer than the rows.
    5. After a signal, a checkpoint is written as in 4, and the run ends.

    Several processes do all this together, and stop after the same step; process 0 alone writes
    rows and calls `on_epoch` and `on_log`, while the others wait.

    A killed run resumes from the newest whole checkpoint with the same numbers: the step alone
    determines the position in the epoch, and later rows are removed.

    Args:
        program: The data, the first state and the jitted functions.
        config: The settings.
        run_dir: The run's folder; training resumes from a checkpoint in it.
        progress: Shows the rows.
        interrupt: Notes signals.
        watch: Watches the other processes.
        on_epoch: The experiment's part of 3 at the end of an epoch.
        on_log: The experiment's part of 3 within an epoch.
        resume_hint: How to resume, for the message after an interruption.
        resume: Whether a checkpoint is expected.
    """

    def __init__(
        self,
        program: Program,
        config: TrainConfig,
        run_dir: Path,
        progress: Progress,
        interrupt: Interrupt,
        watch: Watch,
        on_epoch: OnEpoch | None = None,
        on_log: OnLog | None = None,
        resume_hint: str = "resume it",
        resume: bool = False,
    ):
        self.program, self.config, self.progress = program, config, progress
        self.on_epoch, self.on_log = on_epoch, on_log
        self.interrupt, self.watch, self.resume_hint = interrupt, watch, resume_hint
        self.processes, self.resumes = watch.processes, resume
        self.checkpoints = Checkpoints(
            run_dir / "checkpoints", keep=config.keep, best=config.best, processes=self.processes
        )
        self.state, self.sums, self.step, elapsed = self._restore()
        leads = self.processes.leads
        self.metrics = MetricsWriter(run_dir, self.step, progress.say) if leads else None
        self.row: dict[str, Any] = {}
        self.saved = self.step
        self.began = time.monotonic() - elapsed
        self.lap, self.lap_step = time.monotonic(), self.step

    def run(self) -> TrainState:
        """Train to the end of the last epoch.

        Returns:
            The final state.
        """
        try:
            for epoch in range(self.step // self.program.steps_per_epoch, self.config.epochs):
                self._epoch(epoch)
        finally:
            if self.metrics:
                self.metrics.close()
        return self.state

    def _restore(self) -> tuple[TrainState, Sums, int, float]:
        fresh = {"state": self.program.state, "sums": self.program.zero_sums()}
        checkpoint = self.checkpoints.newest(fresh, self.progress.say)
        if checkpoint is None:
            if self.resumes:
                self.progress.say("There is no whole checkpoint; training begins at step 0.")
            return fresh["state"], fresh["sums"], 0, 0.0
        arrays, record = checkpoint
        if not is_record(record, {"step": int, "elapsed": int | float}):
            raise StoredFileError(
                f"a checkpoint in {self.checkpoints.folder} has no step and elapsed time in its "
                "record.json; remove that checkpoint, and resume."
            )
        self.progress.say(f"Resumed at step {record['step']}.")
        return arrays["state"], arrays["sums"], record["step"], record["elapsed"]

    def _epoch(self, epoch: int) -> None:
        first = epoch * self.program.steps_per_epoch
        order = epoch_order(self.program.sizes, epoch, self.config)
        take = self.program.begin_epoch(order, self.step - first)
        pauses = self._pauses(first)
        for call in calls(order.segments, self.step - first, pauses, self.config.steps_per_call):
            self.state, self.sums = take(self.state, self.sums, call)
            self.step = first + call.position
            if call.position in pauses:
                self._pause(epoch, call.position)
            if number := self.watch.stop_signal(self.interrupt.number):
                self._stop(number)

    def _pauses(self, first: int) -> list[int]:
        """Return the positions in the epoch at which the host has work to do."""
        positions = range(1, self.program.steps_per_epoch + 1)
        return [p for p in positions if self._logs(p) or self._saves(first + p, p)]

    def _logs(self, position: int) -> bool:
        every = self.config.log_every
        return position == self.program.steps_per_epoch or bool(every and position % every == 0)

    def _saves(self, step: int, position: int) -> bool:
        every = self.config.checkpoint_every
        return position == self.program.steps_per_epoch or bool(every and step % every == 0)

    def _pause(self, epoch: int, position: int) -> None:
        if self._logs(position):
            self._log(epoch, at_end=position == self.program.steps_per_epoch)
        if self._saves(self.step, position):
            self._save()
        self.lap, self.lap_step = time.monotonic(), self.step

    def _log(self, epoch: int, *, at_end: bool) -> None:
        row = {
            "step": self.step,
            "epoch": epoch + 1,
            **means([self._finite_sums().metrics], "train"),
        }
        row["learning_rate"] = float(self.program.schedule(self.step - 1))
        examples = (self.step - self.lap_step) * self.config.batch_size
        now = time.monotonic()
        row["time/examples_per_second"] = examples / (now - self.lap)
        if at_end:
            row |= self.program.evaluate(self.state.params)
        row |= self._added(row, at_end=at_end)
        row |= {"time/elapsed": time.monotonic() - self.began, "time/unix": time.time()}
        self._require_finite(row)
        self.row, self.sums = row, self.program.zero_sums()
        if self.metrics:
            self.metrics.write(row)
        self.progress.show(row, at_end=at_end)

    def _added(self, row: Mapping[str, Any], *, at_end: bool) -> dict[str, float]:
        """Return what the experiment adds to a row."""
        if (self.on_epoch if at_end else self.on_log) is None:
            return {}
        state = own_copy(self.program.mesh, self.state)

        def call() -> dict[str, float]:
            if self.on_epoch and at_end:
                return {k: float(value) for k, value in (self.on_epoch(state, row) or {}).items()}
            if self.on_log and not at_end:
                self.on_log(state, row)
            return {}

        return self.processes.first(call)

    def _finite_sums(self) -> Sums:
        sums = jax.device_get(self.sums)
        if sums.broken >= 0:
            self._not_finite(f"the loss of step {sums.broken}")
        return sums

    def _require_finite(self, row: Mapping[str, Any]) -> None:
        for name, value in row.items():
            if not math.isfinite(value):
                self._not_finite(f"{name} after step {self.step}")

    def _not_finite(self, what: str) -> None:
        raise NonFiniteError(
            f"{what} is not finite, with learning_rate={self.config.learning_rate} and "
            f"clip_norm={self.config.clip_norm}; start a new run with a lower learning rate, a "
            f"longer warm-up or a smaller clip_norm. The last checkpoint is of step {self.saved}."
        )

    def _save(self) -> None:
        self._finite_sums()
        record = {
            "step": self.step,
            "elapsed": time.monotonic() - self.began,
            "metrics": self.row if self.row.get("step") == self.step else {},
        }
        if self.metrics:
            self.metrics.sync()
        self.checkpoints.save(self.step, {"state": self.state, "sums": self.sums}, record)
        self.saved = self.step

    def _stop(self, number: int) -> None:
        if self.saved != self.step:
            self._save()
        raise TrainingInterrupted(
            f"Stopped by {signal.Signals(number).name} after step {self.step}; a checkpoint was "
            f"written. To resume: {self.resume_hint}",
            number,
        )
