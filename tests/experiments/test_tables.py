"""The tables over seeds, against values by hand."""

import pytest

from experiments.seeds import results, runs
from experiments.tables import __main__ as command
from experiments.tables import table
from experiments.tables.rows import Row, all_rows


def test_rows_are_the_models_of_mnist_and_the_translators():
    tables = all_rows()
    assert Row("mnist_additive") in tables["mnist"]
    assert Row("mnist_bags") not in tables["mnist"]
    assert Row("translation_dot", "grammar").name == "translation_dot-grammar"
    names = [row.name for rows in tables.values() for row in rows]
    assert len(set(names)) == len(names)
    with pytest.raises(SystemExit, match="no row or table 'mnist_dots'; there are mnist_additive"):
        command.main(["--rows", "mnist_dots"])


def test_results_are_drawn_between_the_marks(tmp_path):
    for seed, accuracy in enumerate((0.9925, 0.995, 0.996)):
        result = {"metrics": {"test/accuracy": accuracy}, "training_seconds": 100.0 + seed}
        results.write("mnist_dot", seed, result, tmp_path)
    metrics = {"greedy/exact": 0.9995, "test/aer_linked_words": 0.0021}
    result = {"metrics": metrics, "training_seconds": 60.0}
    results.write("translation_dot-dates", 1, result, tmp_path)
    result |= {"training_seconds": None}
    results.write("translation_dot-grammar", 0, result, tmp_path)
    begins = [f"<!-- drawn by python -m experiments.tables draw: {name} -->" for name in all_rows()]
    page = tmp_path / "page.md"
    page.write_text("".join(f"{begin}\nold\n<!-- end -->\n" for begin in begins))
    table.write_tables(results.read(tmp_path), page)
    text = page.read_text()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()]
    commit = results.commit()
    # The mean of the three by hand.
    assert ["`mnist_dot`", "99.45 (99.25–99.60)", "3", "100–102", commit] in cells
    row = ["`translation_dot`", "dates", "99.95", "0.002", "–", "1", "60", commit]
    assert row in cells
    assert ["`translation_dot`", "grammar", "99.95", "0.002", "–", "1", "–", commit] in cells
    assert "old" not in text
    assert "mnist_additive" not in text
    before = page.read_bytes()
    table.write_tables({}, page)
    assert page.read_bytes() == before
    page.write_text(begins[0])
    with pytest.raises(ValueError, match=r"must hold .* once"):
        table.write_tables(results.read(tmp_path), page)


def test_the_page_has_both_marks():
    text = table.PAGE.read_text()
    for name in all_rows():
        assert text.count(f"<!-- drawn by python -m experiments.tables draw: {name} -->") == 1


def test_a_row_is_trained_with_its_task_and_resumed(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(runs, "train", lambda name, words: trained.append((name, words)) or 1)
    row = Row("translation_additive", "reverse")
    with pytest.raises(RuntimeError, match="seed 2 ended with code 1"):
        runs.finished_run(row.experiment, 2, tmp_path, row.arguments)
    words = ["--train.seed", "2", "--task.name", "reverse", "--runs", str(tmp_path / "seed-2")]
    assert trained == [("translation_additive", words)]


def test_what_has_a_result_is_not_trained_again(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command._reason("mnist_dot", 0) == ""
    results.write("mnist_dot", 0, {"metrics": {}, "training_seconds": 1.0}, tmp_path)
    assert command._reason("mnist_dot", 0) == "has a result; --again trains it anew"
