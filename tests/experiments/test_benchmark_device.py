import json

import numpy as np
import pytest

from experiments.benchmarks import device
from experiments.benchmarks.device_cases import SMOKE, Scale, Setting, Way
from experiments.benchmarks.device_report import Row, best_blocks, read, report, thresholds
from experiments.benchmarks.record import write


def test_without_a_device_it_says_what_to_do(capsys):
    assert device.main([]) == 1
    told = capsys.readouterr().err
    assert told.startswith("no accelerator: ")
    assert "make setup DEVICE=cuda" in told
    assert "--smoke" in told


def test_a_smoke_run_writes_rows_thresholds_and_page(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(device, "DTYPES", ("float32",))
    monkeypatch.setattr(device, "ROUNDS", 1)
    assert device.main(["--smoke", "--folder", str(tmp_path)]) == 0
    rows = json.loads((tmp_path / "device.json").read_text(encoding="utf-8"))["rows"]
    measured = {row["way"]["name"] for row in rows if "seconds" in row}
    assert measured == {"xla", "blocks", "pallas"}
    # A CPU has no cuDNN, which is a reason and no failure.
    assert {row["way"]["name"] for row in rows if "left_out" in row} == {"cudnn"}
    assert all(row["difference"] < 1e-5 for row in rows if "seconds" in row)
    page = (tmp_path / "device.md").read_text(encoding="utf-8")
    assert "streaming beats XLA from" in page
    assert "make bench PARTS=device" in page
    assert "float32 full forward 48 none pallas" in capsys.readouterr().out


def test_rows_outlive_a_run_that_is_ended(tmp_path):
    rows = [
        Row(Setting("bfloat16", "full", "forward", 512), Way("pallas", (32, 64)), {"seconds": [1]}),
        Row(Setting("bfloat16", "full", "forward", 512), Way("xla"), {"left_out": "too large"}),
    ]
    lines = tmp_path / "device.jsonl"
    lines.write_text("".join(json.dumps(row.as_json()) + "\n" for row in rows), encoding="utf-8")
    assert read(lines) == rows
    assert device.main(["--report", "--folder", str(tmp_path)]) == 0
    page = (tmp_path / "device.md").read_text(encoding="utf-8")
    assert "The time was over" in page
    assert "too large" in page


def test_the_time_is_kept(monkeypatch):
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(device.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(device, "measure", lambda setting, ways, scale: [Row(setting, Way("xla"))])
    rows = []
    assert not device.run(Scale(), 1000, rows.append)
    # A setting takes two readings of the clock.
    assert 3 <= len({row.setting for row in rows}) <= 5
    assert rows[-1].setting.dtype == "bfloat16"
    clock = iter(np.zeros(1000))
    assert device.run(SMOKE, 1000, rows.append)


def row(way, mask, tokens, seconds, blocks=None):
    setting = Setting("bfloat16", mask, "forward", tokens)
    return Row(setting, Way(way, blocks), {"seconds": [seconds]} if seconds else {"left_out": "no"})


@pytest.mark.parametrize(
    ("streamed", "expected"),
    [((9, 9, 9), "never"), ((1, 9, 1), "2,048"), ((9, 1, 1), "1,024"), ((1, 1, 1), "512")],
)
def test_a_threshold_holds_for_all_greater_lengths_and_masks(streamed, expected):
    rows = []
    for tokens, seconds in zip((512, 1024, 2048), streamed, strict=True):
        rows += [row("blocks", "causal", tokens, seconds), row("xla", "causal", tokens, 5)]
        rows += [row("blocks", "full", tokens, 2), row("xla", "full", tokens, 5)]
    ((*_, cudnn, over_xla, over_cudnn, favorite),) = thresholds(rows)
    assert (cudnn, over_xla, over_cudnn, favorite) == ("never", expected, "–", "–")


def test_what_is_too_large_is_the_slower():
    rows = [
        row("xla", "full", 512, 1), row("blocks", "full", 512, 2), row("pallas", "full", 512, 3),
        row("xla", "full", 8192, None), row("blocks", "full", 8192, 2),
        row("pallas", "full", 8192, 1),
    ]  # fmt: skip
    assert thresholds(rows)[0][3] == "8,192"
    assert thresholds(rows)[0][5] == "pallas at 1 of 2"


def test_the_fastest_blocks_are_taken(tmp_path):
    rows = [
        row("pallas", "causal", 2048, seconds, blocks)
        for blocks, seconds in {(32, 32): 3, (64, 128): 1, (128, 64): 2, (128, 128): None}.items()
    ]
    assert best_blocks(rows) == (64, 128)
    assert best_blocks(rows[3:]) is None
    page = write(report(rows, complete=True), tmp_path).read_text(encoding="utf-8")
    assert "bfloat16: (64, 128)" in page
    assert "**1,000.000**" in page
