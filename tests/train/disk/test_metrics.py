import pytest

from attn_jax.train import read_metrics
from attn_jax.train.disk.metrics import MetricsWriter


def row(step, **values):
    return {"step": step, "train/loss": 1 / step, "time/unix": 1000.0 + step, **values}


def write(run_dir, steps, start=0):
    records = MetricsWriter(run_dir, start)
    for step in steps:
        records.write(row(step))
    records.sync()
    records.close()


def test_rows_are_read_as_written(tmp_path):
    write(tmp_path, [3, 5])
    assert read_metrics(tmp_path) == [row(3), row(5)]


@pytest.mark.parametrize("step", [0, 3, 4, 5, 7])
def test_going_on_cuts_the_rows_past_the_step(tmp_path, step):
    write(tmp_path, [3, 5])
    write(tmp_path, [11], start=step)
    assert [r["step"] for r in read_metrics(tmp_path)] == [s for s in (3, 5) if s <= step] + [11]
    assert len(list(tmp_path.glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize("tail", ['{"step": 7, "tra', '{"step": 7', "\x00\x00", "{"])
def test_a_row_that_a_crash_cut_short_is_dropped(tmp_path, tail):
    write(tmp_path, [3, 5])
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(tail)
    assert [r["step"] for r in read_metrics(tmp_path)] == [3, 5]
    write(tmp_path, [11], start=9)
    assert [r["step"] for r in read_metrics(tmp_path)] == [3, 5, 11]


def test_a_folder_without_rows_has_none(tmp_path):
    assert read_metrics(tmp_path) == []


def test_what_json_cannot_hold_is_refused(tmp_path):
    records = MetricsWriter(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.write(row(1, broken=float("nan")))
    records.close()
