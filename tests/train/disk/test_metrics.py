import binascii
import json
import warnings

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


def test_each_line_ends_with_the_crc32_of_the_row(tmp_path):
    write(tmp_path, [3])
    (line,) = (tmp_path / "metrics.jsonl").read_bytes().splitlines()
    assert json.loads(line).keys() == {*row(3), "crc32"}
    content, checksum = line[:-1].split(b', "crc32": ')
    assert checksum.decode() == f'"{binascii.crc32(content + b"}"):08x}"'


def test_any_flipped_bit_costs_at_most_its_own_rows_and_is_never_silent(tmp_path):
    write(tmp_path, [3, 5, 7])
    path = tmp_path / "metrics.jsonl"
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << (bit % 8)
        path.write_bytes(content)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = read_metrics(tmp_path)
        assert all(r in [row(3), row(5), row(7)] for r in rows)
        # A flipped line break joins two rows; one at the end of the file costs nothing.
        assert len(rows) >= 1 + (whole[bit // 8 : bit // 8 + 1] != b"\n")
        assert len(caught) == (len(rows) < 3), bit


@pytest.mark.parametrize("checked", [True, False], ids=["checksums", "first release"])
def test_going_on_past_damage_keeps_the_old_file_and_every_whole_row(tmp_path, checked):
    path, lines = tmp_path / "metrics.jsonl", []
    if checked:
        write(tmp_path, [3, 5, 7])
    else:
        path.write_text("".join(json.dumps(row(step)) + "\n" for step in (3, 5, 7)))
    path.write_bytes(damaged := path.read_bytes().replace(b'{"step": 5', b'{"step"; 5'))
    with pytest.warns(UserWarning, match=r"metrics.jsonl is damaged in line 2, which is left out"):
        assert read_metrics(tmp_path) == [row(3), row(7)]
    writer = MetricsWriter(tmp_path, 7, lines.append)
    writer.write(row(11))
    writer.close()
    assert lines == [
        "metrics.jsonl is damaged in line 2, which is left out; metrics.jsonl.damaged is the old "
        "file."
    ]
    assert (tmp_path / "metrics.jsonl.damaged").read_bytes() == damaged
    assert read_metrics(tmp_path) == [row(3), row(7), row(11)]


LINES = ["[]", "3", "null", '{"loss": 1}', '{"step": "x"}', "[" * 99_999, '{"step": Infinity}']
LINES += ['{"step": 1, "epoch": []}', '{"step": 1, "epoch": "x"}', f'{{"step": 1{"0" * 400}}}']


@pytest.mark.parametrize("line", LINES)
def test_lines_of_another_shape_are_damage(tmp_path, line):
    (tmp_path / "metrics.jsonl").write_text(f'{line}\n{{"step": 2}}\n')
    with pytest.warns(UserWarning, match="line 1"):
        assert read_metrics(tmp_path) == [{"step": 2}]


def test_a_folder_without_rows_has_none(tmp_path):
    assert read_metrics(tmp_path) == []


def test_what_json_cannot_hold_is_refused(tmp_path):
    records = MetricsWriter(tmp_path)
    with pytest.raises(ValueError, match="not JSON compliant"):
        records.write(row(1, broken=float("nan")))
    records.close()
