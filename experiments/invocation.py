"""How to call a command: by make in a clone, as `attn-jax` where the package is installed."""

import shlex
from collections.abc import Sequence
from pathlib import Path

IS_CLONE = (Path(__file__).parents[1] / "Makefile").is_file()
"""Whether these files lie in a clone, whose `make` sets up what they need."""


def program() -> str:
    """Return the words that start the command line."""
    return "python -m experiments" if IS_CLONE else "attn-jax"


def report_line() -> str:
    """Return the shell command that draws a run's figures and writes its report again."""
    return "make report" if IS_CLONE else "attn-jax report"


def train_line(name: str, arguments: Sequence[str] = ()) -> str:
    """Return the shell command that trains an experiment.

    Args:
        name: The experiment.
        arguments: Its options.

    Returns:
        The command, quoted for a shell and in a clone for make too, which expands `$`.

    Example:
        >>> from experiments.invocation import train_line
        >>> train_line("mnist_dot", ["--train.seed", "2"])
        "make train EXP=mnist_dot ARGS='--train.seed 2'"
    """
    if not IS_CLONE:
        return shlex.join(["attn-jax", "train", name, *arguments])
    start = f"make train EXP={shlex.quote(name)}"
    words = shlex.join(arguments).replace("$", "$$")
    return f"{start} ARGS={shlex.quote(words)}" if arguments else start
