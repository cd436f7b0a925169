"""Training: a pure step, one host loop, and run folders that resume exactly after a crash.

`fit` trains any model on any task with the signatures of `attn_jax.train.protocols`.
"""

# Imported for the error that names the extra.
import attn_jax._extras.train  # noqa: F401
from attn_jax.train.config import TrainConfig
from attn_jax.train.devices import data_mesh
from attn_jax.train.disk.checkpoint import CheckpointError, Checkpoints
from attn_jax.train.disk.lock import lock_run
from attn_jax.train.disk.manifest import DamagedError
from attn_jax.train.disk.metrics import read_metrics
from attn_jax.train.disk.run_folder import RunFolderError, difference, read_command
from attn_jax.train.evaluate import make_evaluate
from attn_jax.train.fit import FitResult, fit
from attn_jax.train.interrupt import TrainingInterrupted
from attn_jax.train.lazy_logits import LazyLogits
from attn_jax.train.loop import NonFiniteError
from attn_jax.train.losses import classification_loss, sequence_loss
from attn_jax.train.mask_loss import mask_loss
from attn_jax.train.optimizer import make_optimizer, make_schedule
from attn_jax.train.processes.agreement import require_same_everywhere
from attn_jax.train.processes.channel import ProcessError, Processes
from attn_jax.train.processes.join import Place, join
from attn_jax.train.protocols import (
    Apply,
    Batch,
    Init,
    Loss,
    Metrics,
    Params,
    Records,
    StreamedTask,
    Task,
)
from attn_jax.train.set_loss import box_ious, match_objects, set_loss
from attn_jax.train.step import TrainState, init_state, make_train_step

__all__ = [
    "Apply",
    "Batch",
    "CheckpointError",
    "Checkpoints",
    "DamagedError",
    "FitResult",
    "Init",
    "LazyLogits",
    "Loss",
    "Metrics",
    "NonFiniteError",
    "Params",
    "Place",
    "ProcessError",
    "Processes",
    "Records",
    "RunFolderError",
    "StreamedTask",
    "Task",
    "TrainConfig",
    "TrainState",
    "TrainingInterrupted",
    "box_ious",
    "classification_loss",
    "data_mesh",
    "difference",
    "fit",
    "init_state",
    "join",
    "lock_run",
    "make_evaluate",
    "make_optimizer",
    "make_schedule",
    "make_train_step",
    "mask_loss",
    "match_objects",
    "read_command",
    "read_metrics",
    "require_same_everywhere",
    "sequence_loss",
    "set_loss",
]
