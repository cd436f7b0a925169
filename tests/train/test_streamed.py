"""Records that are read as they are needed give the numbers of examples that are held."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny
from test_resume import bits, without_time

from attn_jax.train import StreamedTask, Task, TrainConfig, read_metrics

CONFIG = TrainConfig(epochs=2, batch_size=8, learning_rate=1e-2, log_every=1, eval_batch_size=8)


@pytest.fixture(scope="module", params=[1, 4])
def devices(request):
    return jax.devices()[: request.param]


def test_streaming_changes_no_number(tmp_path, devices):
    held = tiny.train(tmp_path / "held", config=CONFIG, devices=devices)
    task = tiny.Streamed()
    streamed = tiny.train(tmp_path / "streamed", config=CONFIG, devices=devices, task=task)
    for row, same in zip(streamed.rows, held.rows, strict=True):
        assert row.keys() == same.keys()
        for name in row.keys() - {"step", "epoch"}:
            if not name.startswith("time/"):
                np.testing.assert_allclose(row[name], same[name], rtol=1e-5)
    # Each epoch reads whole batches of 101 examples, and all of the other splits.
    assert len(task.reads) == 2 * (96 + 13 + 3 + 11 + 5) + 1


def test_a_streamed_run_that_is_resumed_is_the_one_never_stopped(tmp_path):
    config = dataclasses.replace(CONFIG, checkpoint_every=5)
    whole = tiny.train(tmp_path / "whole", config=config, task=tiny.Streamed())

    def stop(state, row):
        if row["step"] == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tiny.train(tmp_path / "cut", config=config, task=tiny.Streamed(), on_log=stop)
    task = tiny.Streamed()
    again = tiny.train(tmp_path / "cut", config=config, task=task, resume=True)
    assert bits(again.state) == bits(whole.state)
    rows = (read_metrics(tmp_path / name) for name in ("cut", "whole"))
    assert without_time(next(rows)) == without_time(next(rows))
    # The first five batches are not read again.
    assert len(task.reads) == (96 - 40) + 96 + 2 * (13 + 3 + 11 + 5) + 1


def test_a_task_of_neither_kind_is_refused(tmp_path, unchecked):
    assert isinstance(tiny.Streamed(), StreamedTask)
    assert not isinstance(tiny.Streamed(), Task)
    with pytest.raises(TypeError, match="object has neither load, as a Task has, nor records"):
        tiny.train(tmp_path / "run", task=object())
