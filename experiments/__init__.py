"""One short file per experiment, the command line that runs them, and the benchmarks.

`load` reopens a trained run, for example in a notebook. Nothing here imports JAX before it is
needed, so listing the experiments is fast.
"""

from pathlib import Path
from typing import Any


def load(run: str | Path, *, checkpoint: str | int = "last") -> tuple[Any, dict[str, Any], Any]:
    """Reopen a trained run.

    Args:
        run: The run's folder, `runs/<experiment>/<id>`, or `runs/<experiment>` for its last run.
        checkpoint: `"last"`, `"best"` (on validation), or the step of a checkpoint.

    Returns:
        The model (a Linen module with its sizes filled in), its variables for `model.apply`, and
        the task it was trained on.

    Raises:
        FileNotFoundError: If there is no such run.
        RunFolderError: If its `command.json` is damaged, has options that no longer exist, takes
            data from the run's own folder, or names a path that you have not named on this machine
            (`attn-jax allow PATH`).
        ValueError: If its checkpoint is damaged or the experiment has changed since.
    """
    from experiments.reopen import reopen

    return reopen(Path(run), checkpoint)
