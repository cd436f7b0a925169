import io

import pytest
from rich.console import Console

from attn_jax.train.progress import Progress

STEP = {
    "step": 5,
    "epoch": 2,
    "train/accuracy": 0.75,
    "train/loss": 0.5,
    "learning_rate": 0.1,
    "time/examples_per_second": 12345.6,
}
END = {**STEP, "step": 7, "validation/accuracy": 0.875, "validation/loss": 0.25}


def shown(terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=200, _environ={})
    with Progress(21, 3, console) as progress:
        progress.say("[brackets] stay")
        progress.show(STEP, at_end=False)
        progress.show(END, at_end=True)
    return console.file.getvalue()


def test_plain_lines_where_there_is_no_terminal():
    assert [line for line in shown(False).splitlines() if line] == [
        "[brackets] stay",
        "epoch 2/3  |  train accuracy 0.7500  loss 0.5000  |  validation accuracy 0.8750  |  "
        "12,346 examples/s",
    ]


@pytest.mark.parametrize("part", ["epoch 2/3", "12,346 examples/s", "loss 0.5000", "━━", "0:00:"])
def test_a_bar_on_a_terminal(part):
    assert part in shown(True)
