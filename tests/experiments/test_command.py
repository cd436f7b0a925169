"""The command line, from a first run to a reopened one, on a small set of images."""

import datetime
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import types
from pathlib import Path

import jax
import numpy as np
import pytest

import experiments
from attn_jax import nn
from attn_jax.train import Checkpoints, DamagedError, lock_run, read_metrics
from attn_jax.train.disk.run_folder import begun_at
from experiments.__main__ import main
from experiments.command import last_run
from experiments.new_run import begin_run, new_run
from experiments.options import parse
from experiments.translate import main as translate


@pytest.fixture(scope="module")
def run(arguments):
    """A trained run of the article's model."""
    words = ["--train.epochs", "3", "--language", "zh"]
    assert main(["mnist_article", *words, *arguments]) == 0
    (folder,) = Path(arguments[-1]).glob("mnist_article/*")
    return folder


def test_a_run_leaves_what_it_should(run):
    names = {path.name for path in run.iterdir()}
    assert {"command.json", "metrics.jsonl", "checkpoints", "figures", "report.html"} <= names
    assert any(name.startswith("events.out.tfevents") for name in names)
    command = json.loads((run / "command.json").read_text())
    assert command["experiment"] == "mnist_article"
    assert command["train"]["epochs"] == 3
    assert {"curves.png", "digits.png"} <= {path.name for path in (run / "figures").iterdir()}


def test_a_run_that_translates_nothing_is_not_asked_to(run, capsys):
    assert translate([str(run), "hello"]) == 1
    error = capsys.readouterr().err
    assert "ValueError" in error
    assert "which does not translate; give a run of a translation_* experiment." in error


def test_a_run_can_be_reopened_and_looked_into(run):
    model, variables, task = experiments.load(run)
    test = task.load()["test"][0]
    batch = task.prepare({"image": test["image"]})
    logits, weights = nn.apply_with_weights(model, variables, batch["image"])
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    accuracy = float((logits.argmax(-1) == test["label"]).mean())
    assert accuracy == pytest.approx(rows[-1]["test/accuracy"], abs=1e-6)
    assert {name: array.shape for name, array in weights.items()} == {
        "pooling.attention.weights": (100, 1, 28)
    }


def test_load_takes_the_experiments_folder_and_names_the_checkpoints(run):
    last, best = experiments.load(run.parent), experiments.load(run, checkpoint="best")
    assert jax.tree.structure(last[1]) == jax.tree.structure(best[1])
    with pytest.raises(FileNotFoundError, match=r"has no checkpoint 7; it has \[10, 20, 30\]"):
        experiments.load(run, checkpoint=7)
    with pytest.raises(FileNotFoundError, match=r"There is no run at .*nothing\. Create one"):
        experiments.load(run.parent.parent / "nothing")


def test_parameters_of_another_shape_are_refused_with_both_shapes(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    checkpoints = Checkpoints(copy / "checkpoints")
    arrays, record = checkpoints.restore(30)
    path, leaf = jax.tree.leaves_with_path(arrays["state"]["params"])[0]
    reshape = jax.tree_util.tree_map_with_path
    arrays["state"]["params"] = reshape(
        lambda p, x: jax.numpy.zeros((*x.shape, 3)) if p == path else x, arrays["state"]["params"]
    )
    checkpoints.save(30, arrays, record)
    name, shape = f"params{jax.tree_util.keystr(path)}", leaf.shape
    with pytest.raises(ValueError, match="is of another model or other data") as refusal:
        experiments.load(copy)
    expected = f"{name} is {(*shape, 3)}, but this run's ImageClassifier has {shape}; restore"
    assert expected in str(refusal.value)


def test_load_falls_back_to_the_last_whole_checkpoint_and_changes_nothing(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    (copy / "checkpoints" / "99999999").mkdir()
    (copy / "checkpoints" / "30" / "record.json").write_text("{}")
    before = sorted(copy.rglob("*"))
    reopened, expected = (
        experiments.load(folder, checkpoint=step)[1] for folder, step in ((copy, "last"), (run, 20))
    )
    jax.tree.map(np.testing.assert_array_equal, reopened, expected)
    assert capsys.readouterr().err.splitlines() == [
        "Skipped the checkpoint of step 99999999: it is unfinished (it has no manifest). Using "
        "step 20.",
        "Skipped the checkpoint of step 30: record.json differs from its sha256 sum. Using step "
        "20.",
    ]
    assert sorted(copy.rglob("*")) == before
    with pytest.raises(DamagedError, match=r"no whole checkpoint 30 \(step 30: record.json"):
        experiments.load(copy, checkpoint=30)
    for step in (10, 20):
        (copy / "checkpoints" / str(step) / "MANIFEST.sha256").unlink()
    for choice in ("last", "best"):
        with pytest.raises(DamagedError, match=rf"no whole checkpoint '{choice}' \(step "):
            experiments.load(copy, checkpoint=choice)


def test_resuming_a_finished_run_changes_nothing(run, arguments):
    before = (run / "metrics.jsonl").read_bytes()
    assert main(["mnist_article", "--runs", arguments[-1], "--resume"]) == 0
    assert (run / "metrics.jsonl").read_bytes() == before


def test_a_run_may_lack_settings_that_came_later_where_they_have_their_defaults(run, tmp_path):
    folder = tmp_path / "mnist_article"
    copy = shutil.copytree(run, folder / "run")
    command = json.loads((copy / "command.json").read_text())
    del command["sha256"], command["model"]["hidden_dim"], command["task"]["warp"]
    (copy / "command.json").write_text(json.dumps(command))
    jax.tree.map(np.testing.assert_array_equal, *(experiments.load(x)[1] for x in (run, copy)))
    assert main(["mnist_article", "--runs", str(tmp_path), "--resume"]) == 0
    # The default of this one is None, and the experiment sets it.
    del command["model"]["attention"]["hidden_dim"]
    (copy / "command.json").write_text(json.dumps(command))
    with pytest.raises(ValueError, match=r"the model of mnist_article has changed(.|\n)*\+.*128"):
        experiments.load(copy)


def test_resuming_with_other_options_is_refused(run, arguments, capsys):
    assert main(["mnist_article", "--runs", arguments[-1], "--resume", "--train.seed", "5"]) == 1
    assert '"seed": 5' in capsys.readouterr().err


def test_a_finished_run_goes_on_and_stays_longer(arguments, tmp_path, capsys):
    words = ["mnist_article", *arguments[:-1], str(tmp_path)]
    assert main([*words, "--train.epochs", "1"]) == 0
    again = ["mnist_article", "--runs", str(tmp_path), "--resume"]
    assert main([*again, "--train.epochs", "2"]) == 0
    assert "goes on from 1 to 2 epochs" in capsys.readouterr().out
    (run,) = tmp_path.glob("mnist_article/*")
    assert [row["epoch"] for row in read_metrics(run) if "test/accuracy" in row] == [1, 2]
    before = (run / "metrics.jsonl").read_bytes()
    assert main(again) == 0
    assert (run / "metrics.jsonl").read_bytes() == before


def test_the_report_is_written_again_in_the_language_of_the_run_or_another(run, capsys):
    page = run / "report.html"
    assert '<html lang="zh-Hans">' in page.read_text("utf-8")
    page.unlink()
    assert main(["report", str(run)]) == 0
    assert '<html lang="zh-Hans">' in page.read_text("utf-8")
    assert "report.html" in capsys.readouterr().out
    assert main(["report", str(run), "--language", "en"]) == 0
    assert '<html lang="en">' in page.read_text("utf-8")


def test_a_run_interrupted_says_how_to_resume(arguments, tmp_path):
    command = [sys.executable, "-m", "experiments", "mnist_article", *arguments[:-1], str(tmp_path)]
    command += ["--train.epochs", "2000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            time.sleep(0.1)
            if any(read_metrics(run) for run in tmp_path.glob("mnist_article/*")):
                process.send_signal(signal.SIGINT)
                break
        _, error = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGINT
    assert f"make train EXP=mnist_article ARGS='--resume --runs {tmp_path}'" in error.decode()


@pytest.mark.parametrize("words", [["list"], ["--help"], ["mnist_aditive"]])
def test_what_needs_no_jax_does_not_import_it(words):
    code = (
        "import sys; from experiments.__main__ import main; status = main(sys.argv[1:]); "
        "assert not {'jax', 'numpy'} & set(sys.modules); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == (2 if words == ["mnist_aditive"] else 0), said
    assert "mnist_conv_additive" in said
    assert ("Did you mean mnist_additive?" in said) == (words == ["mnist_aditive"])


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (["look", "minilm"], "hub,train"),
        (["translate", "runs/x", "hello"], "train"),
        (["report"], "train"),
        (["train", "mnist_dot"], "train"),
    ],
)
def test_without_the_packages_of_an_extra_a_line_names_it(words, extra):
    code = (
        "import sys; sys.modules['tyro'] = None; from experiments.__main__ import entry; "
        "sys.exit(entry())"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True)
    line = f"the package 'tyro' is missing: pip install 'attn-jax[{extra}]'.\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", line)


def test_a_misspelt_option_gets_the_nearest(capsys):
    with pytest.raises(SystemExit):
        main(["mnist_article", "--train.lerning-rate", "1"])
    assert "--train.learning-rate" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["baseline", "20261129-100000-backup", "old_20261129-100000"])
def test_the_last_run_is_the_one_begun_last_whatever_the_first_is_called_now(tmp_path, name):
    begun = {"20261129-100000": "2026-11-29T10:00:00+00:00", "20261130-100000": "2026-11-30"}
    for order, (run, moment) in enumerate(begun.items()):
        (tmp_path / run).mkdir()
        command = tmp_path / run / "command.json"
        command.write_text(json.dumps({"begun": moment}))
        # The files were modified the other way round, as by a copy that does not keep their times.
        os.utime(command, (1000 - order, 1000 - order))
    if "backup" in name:
        shutil.copytree(tmp_path / "20261129-100000", tmp_path / name)
    else:
        (tmp_path / "20261129-100000").rename(tmp_path / name)
    assert last_run(tmp_path).name == "20261130-100000"
    shutil.rmtree(tmp_path / "20261130-100000")
    # Of a run and its copy, the copy is not the one to resume.
    assert last_run(tmp_path).name == ("20261129-100000" if "backup" in name else name)


def test_a_run_without_a_time_began_when_its_command_was_written(tmp_path):
    runs = (("a", "{}", 2000), ("b", '{"begun": "1970-01-01T00:16:40Z"}', 9000))
    for name, text, modified in runs:
        (tmp_path / name).mkdir()
        (tmp_path / name / "command.json").write_text(text)
        os.utime(tmp_path / name / "command.json", (modified, modified))
    assert last_run(tmp_path).name == "a"


@pytest.mark.parametrize("text", ["", "[]", "null", '{"begun": 3}', '{"begun": "soon"}'])
def test_a_command_that_cannot_be_read_still_has_a_time(tmp_path, text):
    (tmp_path / "command.json").write_text(text)
    os.utime(tmp_path / "command.json", (500, 500))
    assert begun_at(tmp_path) == 500


def test_runs_of_one_second_get_folders_of_their_own_and_are_ordered_as_numbers(
    tmp_path, monkeypatch
):
    class Fixed(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            assert tz == datetime.UTC
            return cls(2026, 11, 29, 10, 0, 0, tzinfo=tz)

    monkeypatch.setattr("experiments.new_run.datetime", types.SimpleNamespace(datetime=Fixed))
    runs = [new_run(tmp_path / "experiment") for _ in range(11)]
    second = "20261129-100000"
    assert [run.name for run in runs] == [second, *(f"{second}-{n}" for n in range(2, 12))]
    for run in runs:
        (run / "command.json").write_text("{}")
        os.utime(run / "command.json", (1000, 1000))
    assert last_run(tmp_path / "experiment") == runs[-1]


def test_what_a_killed_process_left_of_a_run_that_had_not_begun_is_removed(tmp_path):
    folder = tmp_path / "mnist_dot"
    left, begun, mine = (folder / name for name in ("20260101-000000", "20260101-000001", "notes"))
    for path in (left, begun, mine):
        path.mkdir(parents=True)
        (path / "vocabulary.json").write_text("{}")
    (begun / "command.json").write_text("{}")
    with begin_run(folder) as first, begin_run(folder) as second:
        # The first has not begun, but its process lives.
        assert {*folder.iterdir()} == {first, second, begun, mine}
    assert {*folder.iterdir()} == {begun, mine}


def test_two_resumes_at_once_are_one_and_a_refusal(run, arguments, capsys):
    with lock_run(run):
        assert main(["mnist_article", "--runs", arguments[-1], "--resume"]) == 1
        assert main(["report", str(run)]) == 1
    refusal = f"RunFolderError: process {os.getpid()} on "
    assert capsys.readouterr().err.count(refusal) == 2


def test_what_is_left_to_itself_depends_on_the_task():
    words = ["--task.name", "bitext", "--train.learning-rate", "0.5"]
    real = parse("translation_dot", words).experiment
    dates = parse("translation_dot", []).experiment
    assert real.model.dropout_rate > dates.model.dropout_rate == 0
    assert real.train.epochs > dates.train.epochs
    assert real.train.learning_rate == 0.5
    assert parse("translation_dot", [*words, "--train.epochs", "3"]).experiment.train.epochs == 3
    assert parse("translation_transformer", []).experiment.task.train == 80_000
    assert parse("translation_transformer", words).experiment.task.train is None


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--alignment-layer", "2"], "alignment_layer=2 is none of the 2 of Transf"),
        (["--alignment-threshold", "0"], "alignment_threshold=0.0 must be above 0"),
    ],
)
def test_an_alignment_that_cannot_be_is_refused_before_training(words, message, tmp_path, capsys):
    arguments = ["translation_transformer", "--runs", str(tmp_path), *words]
    assert main(arguments) == 1
    assert message in capsys.readouterr().err


def test_an_experiment_names_its_options(capsys):
    with pytest.raises(SystemExit):
        main(["mnist_multi_head", "--help"])
    said = capsys.readouterr().out
    for option in ("--model.attention.num-heads", "--task.dataset", "--train.seed", "--resume"):
        assert option in said


def test_programs_are_compiled_once_for_all_processes(tmp_path):
    code = """
from experiments.__main__ import reuse_programs
reuse_programs()
import jax
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event))
jax.jit(lambda x: jax.lax.fori_loop(0, 9, lambda i, x: x @ jax.numpy.sin(x), x))(jax.numpy.eye(7))
print(sum(event.endswith("/cache_hits") for event in events))
"""
    # Everything is kept here, however quick to compile.
    environment = os.environ | {
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "XDG_CACHE_HOME": str(tmp_path),
    }
    environment.pop("JAX_COMPILATION_CACHE_DIR", None)

    def hits():
        command = [sys.executable, "-c", code]
        return int(subprocess.run(command, env=environment, capture_output=True, text=True).stdout)

    assert hits() == 0
    assert any((tmp_path / "attn_jax" / "programs").glob("*/*"))
    assert hits() > 0
