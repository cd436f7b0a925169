"""Runs whose `command.json` is damaged, is old, or comes from somebody else."""

import json
import os
import sys

import numpy as np
import pytest

import experiments
from attn_jax.tasks.tfds_sets import prepared_folder
from attn_jax.train import RunFolderError
from experiments.__main__ import main
from experiments.experiment import settings
from experiments.known_paths import known_paths_file, require_known_paths
from experiments.options import parse
from experiments.stored_command import stored_experiment
from experiments.translate import main as translate
from experiments.translation.alignment import write_frame
from experiments.translation.figures import _read_frames

DEEP = "[" * 100_000


def write(run, words=(), **changes):
    """Write the command of a run that was started with these words, and changes to it."""
    run.mkdir(parents=True, exist_ok=True)
    experiment = parse("mnist_dot", []).experiment
    command = {
        "experiment": "mnist_dot",
        "arguments": [str(word) for word in words],
        "model": settings(experiment.model),
        "task": settings(experiment.task),
    }
    command |= changes
    (run / "command.json").write_text(json.dumps(command))
    return run


TEXTS = {
    "empty": "",
    "list": "[]",
    "null": "null",
    "number": "3",
    "no keys": "{}",
    "deep": DEEP,
    "deep inside": '{"experiment": ' + DEEP,
    "huge": '{"a": "' + "x" * 2**20 + '"}',
    "digits": '{"experiment": ' + "9" * 5000 + "}",
    "half of a pair": '{"experiment": "\\ud800"}',
}
CHANGES = {
    "experiment": ["os", "mnist_dott", "../mnist_dot", "", "x" * 9999, 3, None, [], {}],
    "arguments": [None, 3, "--train.epochs 3", [3], [None], [["--help"]], {"a": 1}, ["\0"]],
    "model": [None, 3, []],
    "task": [None, 3, []],
}
ARGUMENTS = {
    "--task.gone 3": "Unrecognized options: --task.gone, 3",
    "--train.epochs x": "invalid literal for int",
    "--train.epochs 0": "epochs=0 must be at least 1",
    "--train.epochs": "Missing value for argument '--train.epochs'",
    "--help": "has the option '--help', which is none of a run",
    "-h": "has the option '-h'",
    "positional": "Unrecognized options: positional",
}


def refused(run, capsys, message=""):
    """Return the one line by which a run is refused, whatever opens it."""
    with pytest.raises((RunFolderError, ValueError)) as refusal:
        experiments.load(run)
    name = str(run / "command.json")
    assert name in str(refusal.value)
    for call, words in (
        (main, ["report", str(run)]),
        (main, ["mnist_dot", "--resume", "--runs", str(run.parent.parent)]),
        (translate, [str(run), "text"]),
    ):
        capsys.readouterr()
        assert call(words) == 1
        out, error = capsys.readouterr()
        assert error.count("\n") == 1, error
        assert name in error
        assert message in error
        assert not out
    return str(refusal.value)


@pytest.mark.parametrize("name", TEXTS)
def test_a_command_of_another_shape_is_refused_in_a_line(name, tmp_path, capsys):
    run = write(tmp_path / "mnist_dot" / "1")
    (run / "command.json").write_text(TEXTS[name])
    refused(run, capsys)


@pytest.mark.parametrize("field", CHANGES)
def test_entries_of_another_shape_are_refused_in_a_line(field, tmp_path, capsys):
    for value in CHANGES[field]:
        refused(write(tmp_path / "mnist_dot" / "1", **{field: value}), capsys)


def test_the_name_of_an_experiment_is_never_imported(tmp_path, monkeypatch):
    (tmp_path / "evil.py").write_text("raise SystemExit('imported')\nexperiment = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name in ("evil", "..evil", "...evil", "mnist_dot.evil", "__init__"):
        with pytest.raises(RunFolderError, match="which is not in experiments/configs"):
            experiments.load(write(tmp_path / "run", experiment=name))
    assert "evil" not in sys.modules


def test_a_misspelt_experiment_gets_the_nearest(tmp_path):
    with pytest.raises(RunFolderError, match=r"configs\. Did you mean mnist_dot\? Restore that"):
        experiments.load(write(tmp_path / "run", experiment="mnist_dott"))


@pytest.mark.parametrize("words", ARGUMENTS)
def test_options_that_are_not_taken_end_no_program(words, tmp_path, capsys):
    run = write(tmp_path / "mnist_dot" / "1", words.split())
    refused(run, capsys, ARGUMENTS[words])


@pytest.mark.parametrize("option", ["--tyro-write-completion", "--tyro_write_completion"])
def test_no_option_writes_a_file(option, tmp_path, capsys):
    target = tmp_path / "precious"
    target.write_text("mine")
    for words in ([option, "bash", target], [f"{option}=bash", target], [option, f"bash={target}"]):
        refused(write(tmp_path / "mnist_dot" / "1", words), capsys, f"has the option '{option}")
    assert target.read_text() == "mine"


def test_data_in_the_runs_own_folder_are_refused(tmp_path, capsys):
    run = tmp_path / "mnist_dot" / "1"
    (run / "data").mkdir(parents=True)
    (tmp_path / "link").symlink_to(run / "data")
    around = os.path.relpath(run / "data")
    for path in (run, run / "data", tmp_path / "link", f"{run}/../1/data", around):
        write(run, ["--task.dataset", "bars", "--task.folder", str(path)])
        error = refused(run, capsys, "inside the run's own folder, which is refused")
        assert f"takes its data from {path} (--task.folder)" in error


@pytest.mark.parametrize("split", [True, False])
def test_a_folder_and_a_name_make_no_way_into_the_run(split, tmp_path):
    run = write(tmp_path / "1")
    (run / "evil").mkdir()
    root, name = (tmp_path, "1/evil") if split else (tmp_path / "1" / "..", str(run / "evil"))
    words = ["--task.name", "tfds", "--task.folder", str(root), "--task.dataset", name]
    write(run, words, experiment="translation_dot")
    with pytest.raises(RunFolderError, match=r"\(--task.dataset\), inside the run's own folder"):
        experiments.load(run)


OPENED, WATCHED = [], []


def watch(event, arguments):
    if event == "open" and any(str(arguments[0]).startswith(folder) for folder in WATCHED):
        OPENED.append(arguments[0])


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A folder of data that the user has not named, nor any other; what is read of it is noted."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "train-labels-idx1-ubyte").write_bytes(bytes([0, 0, 8, 1, 0, 0, 0, 2, 0, 1]))
    WATCHED.append(str(folder))
    yield folder
    WATCHED.remove(str(folder))
    OPENED.clear()


sys.addaudithook(watch)


def test_a_path_that_the_user_has_not_named_is_not_read(elsewhere, tmp_path, capsys, monkeypatch):
    words = ["--task.dataset", "two", "--task.folder", str(elsewhere)]
    task = settings(parse("mnist_dot", words).experiment.task)
    run = write(tmp_path / "mnist_dot" / "1", words, task=task)
    resume = ["mnist_dot", "--resume", "--runs", str(tmp_path)]
    way_out = (
        f" names the path {elsewhere} (--task.folder), which you have not named on this machine, "
        f"so it is not read. If you trust it, run `python -m experiments allow {elsewhere}`, and "
        "try again."
    )
    with pytest.raises(RunFolderError) as refusal:
        experiments.load(run)
    assert str(refusal.value).endswith(way_out)
    for words in (["report", str(run)], resume):
        assert main(words) == 1
        assert capsys.readouterr().err == f"RunFolderError: {refusal.value}\n"
    # In the run's folder a word of the options may be the name of a file by chance.
    monkeypatch.chdir(run)
    assert stored_experiment(run).task.folder == elsewhere
    assert not OPENED
    assert main(["allow", os.path.relpath(elsewhere)]) == 0
    with pytest.raises(FileNotFoundError, match="has no checkpoint 'last'"):
        experiments.load(run)
    assert not capsys.readouterr().err


def test_a_path_that_is_given_again_is_known(elsewhere, tmp_path, capsys):
    words = ["--task.dataset", "two", "--task.folder", str(elsewhere)]
    task = settings(parse("mnist_dot", words).experiment.task)
    run = write(tmp_path / "mnist_dot" / "1", words, task=task)
    resume = ["mnist_dot", "--resume", "--runs", str(tmp_path), f"--task.folder={elsewhere}"]
    assert main(resume) == 1
    # The path is known, so the next check is met: of the training options, which this run lacks.
    assert "was started with a different command" in capsys.readouterr().err
    with pytest.raises(FileNotFoundError, match="has no checkpoint 'last'"):
        experiments.load(run)


def test_a_path_of_a_new_run_is_known_from_then_on(elsewhere, tmp_path):
    words = ["--task.dataset", "two", "--task.folder", str(elsewhere), "--runs", str(tmp_path)]
    experiment = parse("mnist_dot", words).experiment
    with pytest.raises(RunFolderError):
        require_known_paths(tmp_path, "mnist_dot", experiment)
    # It ends before its first step, as the folder lacks images.
    assert main(["mnist_dot", *words]) == 1
    require_known_paths(tmp_path, "mnist_dot", experiment)


def test_known_paths_are_compared_whole_and_links_followed(elsewhere, tmp_path, monkeypatch):
    odd = tmp_path / "a\nb \u00e9"
    (tmp_path / "link").symlink_to(elsewhere)
    for path in (tmp_path / "link", odd, odd):
        assert main(["allow", str(path)]) == 0
    assert len(known_paths_file().read_text().splitlines()) == 2
    for path, known in (
        (elsewhere, True),
        (odd, True),
        (elsewhere / "x", False),
        (odd.parent, False),
    ):
        experiment = parse("mnist_dot", ["--task.folder", str(path)]).experiment
        try:
            require_known_paths(tmp_path, "mnist_dot", experiment)
        except RunFolderError:
            assert not known
        else:
            assert known


def test_a_list_that_cannot_be_written_is_said(elsewhere, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    assert main(["allow", str(elsewhere)]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    words = ["--task.dataset", "two", "--task.folder", str(elsewhere), "--runs", str(tmp_path)]
    assert main(["mnist_dot", *words]) == 1
    first, _ = capsys.readouterr().err.splitlines()
    assert first.endswith("its paths have to be allowed before it is opened again.")


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/evil", "..:1.0.0"])
def test_the_name_of_a_set_is_no_path(name, tmp_path):
    with pytest.raises(ValueError, match="is a path, not the name of a set"):
        prepared_folder(name, tmp_path)


def test_damaged_frames_are_left_out_with_a_line(tmp_path, capsys):
    weights, numbers = np.full((2, 3, 5), 0.2, np.float32), np.array([0, 1])
    for step in (0, 5, 9):
        write_frame(tmp_path, step, weights, numbers)
    write_frame(tmp_path, 6, weights, numbers[::-1])
    write_frame(tmp_path, 7, weights[..., :4], numbers)
    (tmp_path / "alignments" / "00000005.npz").write_bytes(b"PK")
    assert list(_read_frames(tmp_path, [0, 1, 2])) == [0, 9]
    assert capsys.readouterr().err.count("it is left out.") == 3
