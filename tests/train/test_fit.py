import dataclasses
import json
import os
import signal
from datetime import UTC, datetime

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from attn_jax.train import (
    Checkpoints,
    NonFiniteError,
    RunFolderError,
    TrainConfig,
    TrainingInterrupted,
    read_command,
    read_metrics,
)

SHORT = dataclasses.replace(tiny.CONFIG, epochs=2, checkpoint_every=0)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    run_dir, ended = tmp_path_factory.mktemp("runs") / "tiny" / "1", []
    result = tiny.train(run_dir, config=SHORT, on_end=ended.append)
    return run_dir, result, ended


def test_a_run_leaves_its_command_rows_events_and_checkpoints(finished):
    run_dir, result, ended = finished
    assert ended == [result]
    assert int(result.state.step) == 50
    command = read_command(run_dir)
    assert command["experiment"] == "tiny"
    assert {**command["train"], "fsdp": 1, "sequence": 1} == dataclasses.asdict(SHORT)
    assert result.rows == read_metrics(run_dir)
    assert Checkpoints(run_dir / "checkpoints").steps() == [25, 50]
    assert len(list(run_dir.glob("events.out.tfevents.*"))) == 1


def test_there_is_a_row_at_every_interval_and_at_each_epochs_end(finished):
    rows = finished[1].rows
    assert [row["step"] for row in rows] == [7, 14, 21, 25, 32, 39, 46, 50]
    assert [row["epoch"] for row in rows] == [1] * 4 + [2] * 4
    always = {"step", "epoch", "train/loss", "train/accuracy", "learning_rate"}
    clock = {"time/examples_per_second", "time/elapsed", "time/unix"}
    judged = {f"{s}/{m}" for s in ("validation", "test") for m in ("loss", "accuracy")}
    for row in rows:
        at_end = judged | {"double"} if row["step"] in (25, 50) else set()
        assert set(row) == always | clock | at_end
    assert rows[3]["double"] == 2 * rows[3]["train/loss"]
    assert rows[-1]["validation/accuracy"] in np.arange(14) / 13


def test_the_tiny_task_is_learnt(finished):
    assert finished[1].rows[-1]["train/loss"] < finished[1].rows[0]["train/loss"]


def test_resuming_a_finished_run_only_ends_it_again(finished):
    run_dir, result, _ = finished
    before = (run_dir / "metrics.jsonl").read_text()
    again = tiny.train(run_dir, config=SHORT, resume=True)
    assert (run_dir / "metrics.jsonl").read_text() == before
    jax.tree.map(np.testing.assert_array_equal, again.state.params, result.state.params)


def test_a_run_is_neither_begun_twice_nor_resumed_by_another_command(finished):
    run_dir = finished[0]
    with pytest.raises(RunFolderError, match="holds a run already"):
        tiny.train(run_dir, config=SHORT)
    with pytest.raises(RunFolderError, match=r'-    "epochs": 2,\n\+    "epochs": 1,'):
        tiny.train(run_dir, config=dataclasses.replace(SHORT, epochs=1), resume=True)
    with pytest.raises(RunFolderError, match=r'-    "batch_size": 4,\n\+    "batch_size": 5,'):
        tiny.train(run_dir, config=dataclasses.replace(SHORT, epochs=3, batch_size=5), resume=True)


def test_a_run_that_goes_on_longer_is_the_longer_run_where_its_schedule_is_constant(
    tmp_path, capsys
):
    steady = dataclasses.replace(SHORT, epochs=1, schedule="constant", warmup=0.0)
    longer = dataclasses.replace(steady, epochs=2)
    tiny.train(tmp_path / "one", config=steady)
    result = tiny.train(tmp_path / "one", config=longer, resume=True)
    assert "goes on from 1 to 2 epochs" in capsys.readouterr().out
    whole = tiny.train(tmp_path / "two", config=longer)
    for part in ("params", "opt_state"):
        ours, theirs = (getattr(each.state, part) for each in (result, whole))
        jax.tree.map(np.testing.assert_array_equal, ours, theirs)
    assert [row["train/loss"] for row in result.rows] == [row["train/loss"] for row in whole.rows]
    command = read_command(tmp_path / "one")
    assert command["train"] == read_command(tmp_path / "two")["train"]
    tiny.train(tmp_path / "one", config=longer, resume=True)  # it is that run from now on


def test_with_no_whole_checkpoint_it_begins_at_zero_and_says_so(finished, tmp_path, capsys):
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    (run_dir / "command.json").write_text((finished[0] / "command.json").read_text())
    (run_dir / "metrics.jsonl").write_text(json.dumps({"step": 7}) + "\n")
    (run_dir / "checkpoints" / "7").mkdir(parents=True)
    tiny.train(run_dir, config=SHORT, resume=True)
    said = capsys.readouterr().out
    assert "Skipped the checkpoint of step 7" in said
    assert "no whole checkpoint" in said
    assert [r["train/loss"] for r in read_metrics(run_dir)] == [
        r["train/loss"] for r in finished[1].rows
    ]


def test_an_interruption_leaves_a_checkpoint_and_says_how_to_go_on(tmp_path):
    def stop(state, row):
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(TrainingInterrupted, match=r"after step 25; a checkpoint .* make again"):
        tiny.train(tmp_path / "run", config=SHORT, on_epoch=stop, resume_hint="make again")
    assert Checkpoints(tmp_path / "run" / "checkpoints").steps() == [25]


def test_only_one_process_writes_to_a_run_and_says_when_it_began(tmp_path):
    def begin_again(state, row):
        for resume in (False, True):
            with pytest.raises(RunFolderError, match=rf"process {os.getpid()} on .* is writing to"):
                tiny.train(tmp_path / "run", config=config, resume=resume)

    config = dataclasses.replace(SHORT, epochs=1)
    before = datetime.now(UTC)
    tiny.train(tmp_path / "run", config=config, on_epoch=begin_again)
    begun = datetime.fromisoformat(read_command(tmp_path / "run")["begun"])
    assert before <= begun <= datetime.now(UTC)
    assert not (tmp_path / "run" / "lock").exists()
    # Another moment is not another command.
    tiny.train(tmp_path / "run", config=config, resume=True)


def test_the_experiment_sees_every_row(tmp_path):
    config = dataclasses.replace(SHORT, log_every=10)
    seen, ends = [], []
    result = tiny.train(
        tmp_path / "run",
        config=config,
        on_log=lambda state, row: seen.append((int(state.step), row["step"])),
        on_epoch=lambda state, row: ends.append(row["step"]),
    )
    within = [step for step, _ in seen]
    assert within == [at for _, at in seen] == [10, 20, 35, 45]
    assert ends == [25, 50]
    assert [row["step"] for row in result.rows] == sorted(within + ends)


def test_a_loss_that_is_not_finite_ends_the_run_and_names_the_step(tmp_path):
    config = dataclasses.replace(SHORT, learning_rate=1e38, clip_norm=0.0, warmup=0.0)
    with pytest.raises(NonFiniteError, match=r"the loss of step \d+ is not finite, with learning"):
        tiny.train(tmp_path / "run", config=config)
    assert read_metrics(tmp_path / "run") == []


def test_every_device_takes_part_and_batches_they_cannot_share_are_refused(tmp_path):
    options = {
        "devices": None,
        "task": tiny.Tiny(train=(33, 18), noise=False),
        "apply": tiny.quiet_apply,
    }
    config = TrainConfig(epochs=1, batch_size=8, steps_per_call=2, bucket_run=1, log_every=2)
    four = tiny.train(tmp_path / "four", config=config, **options)
    one = tiny.train(tmp_path / "one", config=config, **options | {"devices": jax.devices()[:1]})
    assert jax.tree.leaves(four.state.params)[0].sharding.num_devices == 4
    assert [row["step"] for row in four.rows] == [2, 4, 6]
    for row, same in zip(four.rows, one.rows, strict=True):
        np.testing.assert_allclose(row["train/loss"], same["train/loss"], rtol=1e-5)
    with pytest.raises(ValueError, match="batch_size=6 must be a multiple of the 4 devices"):
        tiny.train(tmp_path / "six", config=dataclasses.replace(config, batch_size=6), **options)
    assert not (tmp_path / "six").exists()


def test_a_folder_that_cannot_be_written_is_known_before_the_data_is_read(tmp_path):
    class Unread(tiny.Tiny):
        def load(self):
            raise AssertionError

    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunFolderError, match="cannot be written"):
        tiny.train(tmp_path / "file" / "run", task=Unread())


def test_a_task_without_validation_and_test_trains(tmp_path):
    class Bare(tiny.Tiny):
        def load(self):
            return {"train": super().load()["train"]}

    config = TrainConfig(epochs=1, batch_size=32, log_every=0)
    rows = tiny.train(tmp_path / "run", task=Bare(), config=config).rows
    assert [row["step"] for row in rows] == [3]
    assert Checkpoints(tmp_path / "run" / "checkpoints").best_step() is None
    assert jnp.isfinite(rows[0]["train/loss"])
