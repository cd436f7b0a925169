import json
import subprocess
import sys

from experiments.benchmarks import parts
from experiments.benchmarks.record import DOCS, Result, markdown_table, spread, write
from experiments.benchmarks.translation_bound import BOUND


def test_a_result_is_written_for_readers_and_for_programs(tmp_path):
    result = Result(
        part="speed",
        title="Speed",
        what="How fast.",
        header=("what", "ratio"),
        rows=[("ours | theirs", "1.5")],
        notes=["A note."],
        data={"ratio": [1.25, 1.5]},
        versions={"torch": "2.13.0"},
    )
    page = write(result, tmp_path).read_text(encoding="utf-8")
    assert page.startswith("---\norphan: true\n---\n\n# Speed\n\nHow fast.\n")
    assert "torch: 2.13.0" in page
    assert "make bench PARTS=speed" in page
    data = json.loads((tmp_path / "speed.json").read_text(encoding="utf-8"))
    assert data["ratio"] == [1.25, 1.5]
    assert {"machine", "versions", "date"} <= data.keys()


def test_tables_are_aligned_and_keep_their_columns():
    table = markdown_table(["a", "b"], [["x|y", "1"], ["z", "22"]])
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    assert "x\\|y" in table


def test_spread_is_the_median_and_the_quartiles():
    assert spread([4, 1, 3, 2]) == {"median": 2.5, "low": 1.75, "high": 3.25}
    assert spread([7]) == {"median": 7, "low": 7, "high": 7}


def test_the_page_on_translation_says_what_a_step_consists_of():
    page = (DOCS / "translation.md").read_text(encoding="utf-8")
    assert "\n\n".join(BOUND) in page


def test_unknown_parts_are_refused_with_the_known_ones():
    done = subprocess.run(
        [sys.executable, "-m", "experiments.benchmarks", "trian"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "trian" in done.stderr
    assert "train" in parts()
    assert all(name in done.stderr for name in parts())
