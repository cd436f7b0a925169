"""A small translator, from the command line to its scores, its pictures and new texts."""

import csv
import dataclasses
import io
import json
import shutil
import types
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from rich.console import Console

import experiments
from attn_jax.models import beam_decode, greedy_decode, translation_weights
from attn_jax.tasks.translation.example import Example
from attn_jax.train import RunFolderError, read_metrics, sequence_loss
from attn_jax.train.disk import manifest
from experiments.__main__ import main as train
from experiments.experiment import settings
from experiments.options import parse
from experiments.reopen import reopen_experiment
from experiments.report.language import in_chinese
from experiments.translate import main as translate
from experiments.translate import warn_of_end
from experiments.translation import examples, figures, vocabulary
from experiments.translation.alignment import frame_steps, read_frame
from experiments.translation.alignment_scores import COUNTS, score_alignments
from experiments.translation.examples import script
from experiments.translation.scores import is_exact, score_texts, score_tokens
from experiments.translation.terminal import print_alignment

SETTINGS = {
    "--task.name": "reverse",
    "--task.train": 700,
    "--task.validation": 31,
    "--task.test": 43,
    "--model.embedding-dim": 17,
    "--model.encoder.features": 13,
    "--model.decoder.features": 19,
    "--train.batch-size": 64,
    "--train.epochs": 2,
    "--train.log-every": 6,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    arguments = [str(word) for pair in SETTINGS.items() for word in pair]
    assert train(["translation_additive", *arguments, "--runs", str(runs)]) == 0
    (folder,) = Path(runs).glob("translation_additive/*")
    return folder


@pytest.fixture(scope="module")
def row(run):
    return read_metrics(run)[-1]


@pytest.fixture(scope="module")
def opened(run):
    return experiments.load(run)


def links_by_hand(weights, example, shift):
    """|A|, |S|, |A and S|, |A and P| of the strongest weights, by sets."""
    rows = range(len(example.target))
    guess = {(t, int(np.argmax(weights[t + shift]))) for t in rows}
    sure, possible = set(example.sure), set(example.possible)
    return np.array([len(guess), len(sure), len(guess & sure), len(guess & possible)])


def test_the_error_rates_are_those_of_sets_of_links(opened, row):
    model, variables, task = opened
    totals = {"before": 0, "after": 0}
    for bucket in task.load()["test"]:
        found = translation_weights(
            model, variables, *(jnp.asarray(bucket[s]) for s in ("source", "target"))
        )
        for weights, number in zip(*found.values(), bucket["example"], strict=True):
            example = task.examples("test")[number]
            for shift, name in enumerate(totals):
                totals[name] = totals[name] + links_by_hand(weights[0], example, shift)
    for name, (guess, sure, both, allowed) in totals.items():
        for count in COUNTS:
            # Every letter of a reversed text has a link, so that both counts are the same.
            rate = row[f"aer_{count}/decoder.attention.weights/mean/{name}/argmax"]
            assert rate == pytest.approx(1 - (both + allowed) / (guess + sure), abs=1e-6)
    guess, sure, both, allowed = totals["before"]
    for count in COUNTS:
        rate = row[f"aer_{count}/decoder.attention.weights/mean/before/argmax"]
        assert row[f"test/aer_{count}"] == rate
        assert row[f"test/alignment_precision_{count}"] == pytest.approx(allowed / guess, abs=1e-6)
    assert row["test/alignment_recall"] == pytest.approx(both / sure, abs=1e-6)


def test_both_counts_are_those_of_sets_where_words_have_no_gold(opened):
    model, variables, task = opened
    # The first letter of each word loses its gold.
    examples = [
        dataclasses.replace(e, sure=tuple(x for x in e.sure if x[0]), possible=())
        for e in task.examples("test")
    ]
    buckets = task.load()["test"]
    every, linked = np.zeros(4, int), np.zeros(4, int)
    for bucket in buckets:
        (maps,) = translation_weights(
            model, variables, *(jnp.asarray(bucket[s]) for s in ("source", "target"))
        ).values()
        for weights, number in zip(maps[:, 0], bucket["example"], strict=True):
            example, sure = examples[number], set(examples[number].sure)
            guess = {(t, int(weights[t].argmax())) for t in range(len(example.target))}
            for total, links in ((every, guess), (linked, {x for x in guess if x[0]})):
                right = len(links & sure)
                total += len(links), len(sure), right, right
    score, *_, threshold, _, _ = score_alignments(
        model, variables["params"], buckets, examples, threshold=1.0
    )
    rates = [
        rate
        for guess, sure, both, allowed in (every, linked)
        for rate in (1 - (both + allowed) / (guess + sure), allowed / guess)
    ]
    assert rates[0] > rates[2]
    scores = [
        getattr(score, f"{name}_{count}") for count in COUNTS for name in ("aer", "precision")
    ]
    np.testing.assert_allclose(scores, rates, rtol=1e-6)
    assert score.recall == pytest.approx(every[2] / every[1])
    assert threshold.links == "threshold"
    assert [threshold.precision_all_words, threshold.precision_linked_words] == [None, None]
    assert [threshold.aer_all_words, threshold.f_linked_words, threshold.recall] == [1, 0, 0]


def test_translations_are_scored_as_they_are_written(opened, row):
    model, variables, task = opened
    exact = right = tokens = 0
    for bucket in task.load()["test"]:
        decode = jax.jit(lambda source: greedy_decode(model, variables, source, max_length=17))
        for written, number in zip(decode(bucket["source"]).tokens, bucket["example"], strict=True):
            wanted = [*task.target_tokenizer.encode(task.examples("test")[number].target_text), 2]
            places = [w == int(t) for w, t in zip(wanted, written, strict=False)]
            exact, right, tokens = exact + all(places), right + sum(places), tokens + len(places)
    assert row["greedy/exact"] == pytest.approx(exact / 43)
    assert row["greedy/token_accuracy"] == pytest.approx(right / tokens)
    # Of a sentence that is told rightly token by token, every prefix is what greedy search writes.
    assert row["greedy/exact"] == pytest.approx(row["test/exact"])
    assert 0 <= row["greedy/bleu"] <= 100
    assert 0 < row["greedy/chrf"] <= 100


def test_bleu_of_texts_without_blanks_counts_characters():
    scores, signatures = score_texts(["2016-02-07"], ["2016-02-08"])
    # 9 of 10 characters, 8 of 9 pairs, 7 of 8 threes and 6 of 7 fours.
    assert scores["bleu"] == pytest.approx(100 * (9 / 10 * 8 / 9 * 7 / 8 * 6 / 7) ** 0.25)
    assert "tok:char" in signatures["bleu"]
    assert "tok:13a" in score_texts(["a b"], ["a b"])[1]["bleu"]
    assert "tok:zh" in score_texts(["打开"], ["关闭"])[1]["bleu"]
    assert "tok:char" in score_texts(["開く"], ["閉じる"])[1]["bleu"]
    mostly_spaced = ["a b", "c d", "关闭"]
    assert "tok:13a" in score_texts(mostly_spaced, mostly_spaced)[1]["bleu"]


def test_an_unknown_token_is_never_right():
    written = np.array([[5, 3, 2], [5, 6, 2]])
    assert score_tokens(written, written) == {"exact": 0.5, "token_accuracy": 5 / 6}
    assert [is_exact(row, row) for row in written] == [False, True]
    logits = 9 * jax.nn.one_hot(written, 7)
    _, metrics = sequence_loss(logits, {"target": jnp.array(written)}, unknown=3)
    assert [float(x) for x in metrics["accuracy"]] == [5, 6]
    assert [float(x) for x in metrics["exact"]] == [1, 2]


def test_the_report_has_scores_alignments_and_how_they_came_to_be(run, row):
    index = json.loads((run / "figures" / "index.json").read_text())["figures"]
    names = {entry["name"] for entry in index}
    texts = [text for each in index for text in (each["title"], each["caption"]) if text]
    assert [text for text in texts if in_chinese(text) is None] == []
    assert names >= {"learning-1", "learning-2", "error-rate", "scores", "viewer", "curves"}
    assert names & {"alignments", "mistakes", "misaligned"}
    with (run / "figures" / "scores.csv").open(newline="") as file:
        header, *cells = csv.reader(file)
    assert header[4:] == [
        "AER, all words",
        "precision, all words",
        "F, all words",
        "AER, linked",
        "precision, linked",
        "F, linked",
        "recall",
    ]
    assert len(cells) == 6
    assert cells[0][4] == f"{row['test/aer_all_words']:.4f}"
    assert cells[0][7] == f"{row['test/aer_linked_words']:.4f}"
    page = (run / "report.html").read_text()
    assert f"<td>{cells[0][4]}</td>" in page
    assert ">alignment error rate, all words</span></dt>" in page
    assert ">alignment error rate, linked words</span></dt>" in page
    assert "<dt>BLEU</dt>" in page
    assert "version:" in page
    frames = sorted((run / "alignments").iterdir())
    steps = [row["step"] for row in read_metrics(run)]
    assert len(steps) > 2
    assert [int(frame.stem) for frame in frames] == [0, *steps]
    maps = []
    for frame in frames:
        with np.load(frame) as kept:
            maps.append(kept["weights"])
            np.testing.assert_allclose(kept["weights"].sum(-1), 1, atol=1e-5)
    # Before training it looks anywhere.
    assert maps[0].max() < maps[-1].max()


def unsealed(path):
    """The content of a file of JSON, without its checksum."""
    content = json.loads(path.read_text(encoding="utf-8"))
    content.pop("sha256")
    return content


def flip(path):
    """Flips a bit in the middle of a file, and returns what the file held before."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    before, _ = path.read_bytes(), path.write_bytes(content)
    return before


def test_damaged_scores_and_frames_are_kept_and_made_again(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    first, middle, last = (frame_steps(run)[index] for index in (0, 1, -1))
    names = {step: f"{step:08}.npz" for step in (first, middle, last)}
    before = flip(copy / "scores.json")
    for name in names.values():
        flip(copy / "alignments" / name)
    assert train(["report", str(copy)]) == 0
    error = capsys.readouterr().err
    assert error.count(".damaged") == len(error.splitlines()) == 4
    assert (copy / "scores.json.damaged").exists()
    assert (copy / "scores.json").read_bytes() == before
    for step in (first, last):
        for again, written in zip(read_frame(copy, step), read_frame(run, step), strict=True):
            np.testing.assert_array_equal(again, written)
    # There is no checkpoint of this step, so nothing can make its frame again.
    assert frame_steps(copy) == [step for step in frame_steps(run) if step != middle]
    assert {path.name for path in (copy / "alignments").glob("*.damaged")} == {
        f"{name}.damaged" for name in names.values()
    }
    (copy / "scores.json").unlink()
    assert train(["report", str(copy)]) == 0
    assert (copy / "scores.json").read_bytes() == before
    assert not capsys.readouterr().err


@pytest.mark.parametrize("name", ["vocabulary.json", "command.json"])
def test_what_cannot_be_made_again_is_refused_and_left_alone(name, run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / run.parent.name / "run")
    flip(copy / name)
    damaged = (copy / name).read_bytes()
    resume = [run.parent.name, "--resume", "--runs", str(tmp_path)]
    for call in (
        lambda: train(["report", str(copy)]),
        lambda: train(resume),
        lambda: translate([str(copy), "abc"]),
    ):
        assert call() == 1
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert str(copy / name) in error
        assert "train again." in error
    with pytest.raises(ValueError if name == "vocabulary.json" else RunFolderError):
        experiments.load(copy)
    assert (copy / name).read_bytes() == damaged


def test_a_run_on_a_file_of_its_owner_translates_without_it(run, tmp_path, capsys):
    plain, copy = (shutil.copytree(run, tmp_path / name) for name in ("plain", "run"))
    words = ["--task.name", "tsv", "--task.path", str(tmp_path / "pairs.tsv")]
    command = unsealed(copy / "command.json")
    model = [word for pair in SETTINGS.items() if "model" in pair[0] for word in map(str, pair)]
    command["arguments"] = [*words, *model]
    experiment = parse(run.parent.name, command["arguments"]).experiment
    command |= {part: settings(getattr(experiment, part)) for part in ("model", "task")}
    (copy / "command.json").write_text(json.dumps(command))
    outputs = []
    for folder in (plain, copy):
        assert translate([str(folder), "abc"]) == 0
        outputs.append(capsys.readouterr().out.partition("Alignment: ")[0])
    assert outputs[0] == outputs[1]
    with pytest.raises(RunFolderError, match="which you have not named on this machine"):
        experiments.load(copy)


def test_a_run_of_the_first_release_opens_without_checksums(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    for path in copy.rglob("*.json"):
        if "arrays" not in path.parts and "sha256" in (content := json.loads(path.read_text())):
            del content["sha256"]
            path.write_text(json.dumps(content))
    for path in (copy / "checkpoints").iterdir():
        (path / "MANIFEST.sha256").unlink()
        manifest.seal(path)
    assert train(["report", str(copy)]) == 0
    assert not capsys.readouterr().err
    jax.tree.map(np.testing.assert_array_equal, experiments.load(copy)[1], experiments.load(run)[1])


def test_one_text_is_translated_shown_and_drawn(run, opened, tmp_path, capsys):
    model, variables, task = opened
    source = jnp.array([task.source_tokenizer.encode("hello")])
    tokens = greedy_decode(model, variables, source, max_length=17).tokens[0]
    figure = tmp_path / "alignment.svg"
    assert translate([str(run), "hello", "--plot", str(figure)]) == 0
    first, head, *rows = capsys.readouterr().out.splitlines()
    assert first == task.target_tokenizer.decode(tokens.tolist())
    assert head.split() == ["hello"]
    written = [line.split(" │ ")[0] for line in rows if " │ " in line]
    assert "".join(written).rstrip("⏎") == first
    assert "<svg" in figure.read_text()


def test_many_texts_become_a_line_each_and_nothing_else(run, opened, tmp_path, capsys):
    model, variables, task = opened
    path = tmp_path / "lines.txt"
    path.write_text("attention\n\nabé\njax\n", encoding="utf-8")
    assert translate([str(run), "--file", str(path)]) == 0
    printed = capsys.readouterr()
    lines = printed.out.splitlines()
    assert len(lines) == 4
    assert lines[1] == ""
    for text, line in ((0, "attention"), (3, "jax")):
        source = jnp.array([task.source_tokenizer.encode(line)])
        tokens = greedy_decode(model, variables, source, max_length=17).tokens[0]
        assert lines[text] == task.target_tokenizer.decode(tokens.tolist())
    assert printed.err.strip() == "line 3: unknown to the model: 'é'"


def test_an_unknown_letter_is_shown_as_such(run, tmp_path, capsys):
    assert translate([str(run), "abé", "--plot", str(tmp_path / "x.png")]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[1].split() == ["ab⁇é"]
    assert "unknown to the model: 'é'" in err


def test_what_is_too_long_is_told(run, opened, tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xef\xbb\xbf" + b"abc\n" + b"ab" * 60 + b"\n")
    assert translate([str(run), "--file", str(path)]) == 0
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2
    assert "unknown" not in err  # the byte order mark is no character
    longest = max(bucket["source"].shape[1] for bucket in opened[2].load()["train"])
    assert f"line 2: 120 tokens, more than the {longest} of the longest text in training" in err
    assert "line 1" not in err
    warn_of_end(np.array([5, 6, 7]), "line 3")
    warn_of_end(np.array([5, 2, 0]), "line 4")
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("line 3: the translation is cut off after 3 tokens")


def test_texts_beside_a_file_are_refused(run, tmp_path, capsys):
    assert translate([str(run), "hello", "--file", str(tmp_path / "x")]) == 1
    assert "--file is translated line by line" in capsys.readouterr().err


def test_a_frame_that_a_kill_cut_short_is_no_frame(run, tmp_path):
    experiment, params = reopen_experiment(run, "last")
    (tmp_path / "alignments").mkdir()
    (tmp_path / "alignments" / "00000000.npz.tmp").write_bytes(b"PK\x03\x04")
    assert frame_steps(tmp_path) == []
    experiment.on_log(params, {"step": 6}, tmp_path)
    assert frame_steps(tmp_path) == [0, 6]
    for step in (0, 6):
        (weights, index), (expected, _) = (read_frame(f, step) for f in (tmp_path, run))
        assert weights.shape == expected.shape
        assert len(index) == 2
    np.testing.assert_allclose(
        read_frame(tmp_path, 0)[0], read_frame(run, 0)[0], rtol=1e-6, atol=1e-7
    )


def test_a_film_is_densest_where_attention_is_learnt():
    steps = list(range(0, 1281, 10))
    # Doubled or so each time: a factor of 128 in six steps.
    assert figures._spread(steps) == [0, 10, 20, 50, 110, 250, 570, 1280]
    assert figures._spread(steps[:5]) == steps[:5]


def test_nothing_to_draw_is_told_and_spoils_no_report(run, monkeypatch, tmp_path, capsys):
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    monkeypatch.setattr(examples, "legible", lambda text: False)
    experiment, params = reopen_experiment(copy, "last")
    experiment.draw(params, copy)
    assert "No test sentence is drawn" in capsys.readouterr().out


def test_a_line_that_is_no_utf8_is_named(run, tmp_path, capsys):
    path = tmp_path / "lines.txt"
    path.write_bytes(b"fine\nb\xffd\n")
    assert translate([str(run), "--file", str(path)]) == 1
    assert "lines.txt, line 2: byte 2 is not UTF-8" in capsys.readouterr().err


def test_other_vocabularies_are_refused_with_the_difference(run, tmp_path, capsys):
    copy = tmp_path / run.parent.name / run.name
    shutil.copytree(run, copy)
    path = copy / "vocabulary.json"
    kept = unsealed(path)
    kept["source"]["known"][0] = "å"
    path.write_text(json.dumps(kept), encoding="utf-8")
    with pytest.raises(ValueError, match="the source vocabulary has changed"):
        experiments.load(copy)
    assert train(["translation_additive", "--runs", str(tmp_path), "--resume"]) == 1
    error = capsys.readouterr().err
    assert "the source vocabulary has changed" in error
    assert "missing now: 'å'; new: 'a'; token 4 was 'å' and is 'a'" in error
    kept["target"]["known"].append("å")
    path.write_text(json.dumps(kept), encoding="utf-8")
    assert translate([str(copy), "hello"]) == 1
    size = len(kept["target"]["known"]) + 4
    error = capsys.readouterr().err
    assert "the checkpoint is of another model or other data: params['head']['bias']" in error
    assert f"({size - 1},), but this run's RecurrentTranslator has ({size},)" in error
    path.unlink()
    assert translate([str(copy), "hello"]) == 1
    assert "the run is older than that file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "broken",
    [
        "{",
        {"source": {"sentencepiece": "bm9uZQ=="}},
        {"source": {"level": "characters", "known": []}},
        {"max_target_length": "many"},
        {"source_lengths": None},
    ],
)
def test_a_broken_vocabulary_is_reported_in_a_line(broken, run, tmp_path, capsys):
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    path = copy / "vocabulary.json"
    kept = unsealed(path)
    path.write_text(broken if isinstance(broken, str) else json.dumps(kept | broken))
    assert translate([str(copy), "hello"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{path} cannot be read" in line


def test_a_run_of_the_first_release_is_read_by_its_old_names(run, tmp_path):
    path = run / "vocabulary.json"
    stored = unsealed(path)
    assert sorted(stored) == [
        "max_target_length",
        "pairs",
        "source",
        "source_lengths",
        "target",
    ]
    stored["read"], stored["written"] = (
        stored.pop("source_lengths"),
        stored.pop("max_target_length"),
    )
    (tmp_path / "wording.json").write_text(json.dumps(stored), encoding="utf-8")
    old, new = (vocabulary.read_vocabulary(folder) for folder in (tmp_path, run))
    assert old[2:] == new[2:]
    assert old.source.vocabulary == new.source.vocabulary
    assert old.target.vocabulary == new.target.vocabulary


def test_other_pairs_of_the_same_tokens_are_refused(run, tmp_path):
    copy = tmp_path / run.name
    shutil.copytree(run, copy)
    path = copy / "vocabulary.json"
    kept = unsealed(path)
    path.write_text(json.dumps(kept | {"pairs": "0" * 64}), encoding="utf-8")
    with pytest.raises(ValueError, match="the pairs have changed since"):
        experiments.load(copy)


def test_pairs_are_told_apart_by_text_order_and_split():
    one, two = Example((), (), source_text="a", target_text="b"), Example((), (), source_text="b")
    every = [
        {"train": [one, two], "test": []},
        {"train": [two, one], "test": []},
        {"train": [one], "test": [two]},
        {"train": [Example((), (), source_text="ab"), two], "test": []},
    ]
    assert len({vocabulary.digest(splits) for splits in every}) == 4


def test_an_interrupted_first_epoch_resumes_on_no_other_pairs(run, tmp_path, capsys):
    """What is compared is there before the first step."""
    experiment = reopen_experiment(run, "last")[0]
    fresh = tmp_path / "fresh"
    experiment.begin(fresh)
    assert (fresh / "vocabulary.json").read_text() == (run / "vocabulary.json").read_text()
    missing = ["--task.name", "tsv", "--task.path", str(tmp_path / "none.tsv")]
    assert train(["translation_additive", *missing, "--runs", str(tmp_path / "runs")]) == 1
    assert "there is no file" in capsys.readouterr().err
    assert not list((tmp_path / "runs").rglob("*"))


def test_another_alignment_than_was_named_is_refused(run, capsys):
    runs = ["--runs", str(run.parent.parent), "--resume"]
    assert train(["translation_additive", *runs, "--alignment-row", "after"]) == 1
    assert '+    "alignment_row": "after"' in capsys.readouterr().err
    assert train(["translation_additive", *runs, "--task.name", "dates"]) == 1
    assert '+    "name": "dates"' in capsys.readouterr().err


def test_a_run_translates_where_its_pairs_are_not(tmp_path, capsys):
    pairs, text = tmp_path / "pairs.tsv", "the sea is calm"
    words = ["calm sea", "red sky", "old house", "long road", "deep lake"]
    rows = [f"the {b} is {a}\tla {b} est {a}" for a, b in map(str.split, words)]
    rows += [f"a {b} {at}\tune {b} {at}" for at, (_, b) in enumerate(map(str.split, words * 4))]
    pairs.write_text("\n".join(rows), encoding="utf-8")
    small = {n: v for n, v in SETTINGS.items() if n != "--task.train"} | {
        "--task.name": "tsv",
        "--task.path": pairs,
        "--task.vocabulary-size": 40,
        "--train.batch-size": 4,
    }
    arguments = [str(word) for pair in small.items() for word in pair]
    assert train(["translation_dot", *arguments, "--runs", str(tmp_path)]) == 0
    (run,) = tmp_path.glob("translation_dot/*")
    model, variables, task = experiments.load(run)
    source = jnp.array([task.source_tokenizer.encode(text)])
    longest = max(b["target"].shape[1] for split in task.load().values() for b in split)
    tokens = greedy_decode(model, variables, source, max_length=longest).tokens[0]
    pairs.unlink()
    capsys.readouterr()
    assert translate([str(run), text]) == 0
    first, *_, last = capsys.readouterr().out.splitlines()
    assert first == task.target_tokenizer.decode(tokens.tolist())
    drawn = run / "translations" / "1.svg"
    assert last == f"Alignment: {drawn}"
    assert "<svg" in drawn.read_text()


def test_a_run_that_cannot_be_written_still_translates(run, tmp_path, capsys):
    copy = tmp_path / run.name
    shutil.copytree(run, copy, ignore=shutil.ignore_patterns("translations"))
    assert translate([str(run), "hello", "--plot", str(tmp_path / "x.svg")]) == 0
    *expected, _ = capsys.readouterr().out.splitlines()
    (copy / "translations").write_text("in the way")
    assert translate([str(copy), "hello"]) == 0
    out, err = capsys.readouterr()
    assert out.splitlines() == expected
    assert err.splitlines() == [
        f"The alignment was not drawn, because {copy / 'translations'} cannot be written (File "
        "exists); choose another place with --plot PATH."
    ]
    assert translate([str(copy), "hello", "--plot", str(copy / "translations" / "x.svg")]) == 1
    assert "Error: " in capsys.readouterr().err


@pytest.mark.parametrize("links", [True, False])
def test_a_figure_is_whole_or_absent_and_replaces_none(links, run, tmp_path, capsys, monkeypatch):
    run = shutil.copytree(run, tmp_path / "run")
    folder = run / "translations"
    text = "abcd"

    def killed(figure, path, **options):
        Path(path).write_text("<svg")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("matplotlib.figure.Figure.savefig", killed)
        with pytest.raises(KeyboardInterrupt):
            translate([str(run), text])
    assert not list(folder.iterdir())
    if not links:
        monkeypatch.setattr("os.link", lambda *_: (_ for _ in ()).throw(PermissionError()))
    for _ in range(2):
        assert translate([str(run), text]) == 0
    if links:
        # Another process takes the next number after it was chosen.
        numbers = types.SimpleNamespace(count=lambda start: range(start - 1, start + 1))
        monkeypatch.setattr("experiments.translate.itertools", numbers)
        assert translate([str(run), text]) == 0
    figures = sorted(path.name for path in folder.iterdir())
    assert figures == ["1.svg", "2.svg", *(["3.svg"] if links else [])]
    assert all((folder / name).read_text().rstrip().endswith("</svg>") for name in figures)


def test_options_of_translating(run, opened, tmp_path, capsys, monkeypatch):
    model, variables, task = opened
    source = jnp.array([task.source_tokenizer.encode("hello")])
    beams = beam_decode(model, variables, source, max_length=17, beam_size=3, length_penalty=2.0)
    options = ["--beam", "3", "--length-penalty", "2.0", "--checkpoint", "best"]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\r\n\nhello")))
    assert translate([str(run), *options]) == 0
    wanted = task.target_tokenizer.decode(beams.tokens[0, 0].tolist())
    assert capsys.readouterr().out.splitlines() == [wanted, "", wanted]
    before = len(list((run / "translations").glob("*.svg")))
    assert translate([str(run), "hello", "jax"]) == 0
    drawn = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Align")]
    assert drawn == [f"Alignment: {run / 'translations' / f'{before + n}.svg'}" for n in (1, 2)]
    assert translate([str(run), "hello", "--plot", str(tmp_path / "x.xyz")]) == 1
    assert "must end in .svg, .png, .pdf" in capsys.readouterr().err
    assert translate([str(run), "hello", "--beam", "2", "--length-penalty", "-1"]) == 1
    assert "length_penalty=-1.0 must be finite and at least 0" in capsys.readouterr().err


def test_the_step_after_the_end_is_the_ends_own():
    experiment = parse("translation_additive", ["--alignment-row", "after"]).experiment
    weights = np.array([[[[1.0, 0], [0, 1.0], [0.5, 0.5], [0, 0], [0, 0]]]])
    rows = experiment.alignment.select({"only": weights})[0]
    np.testing.assert_array_equal(rows[:3], [[0, 1], [0.5, 0.5], [0.5, 0.5]])


def test_a_plot_of_several_texts_is_refused(run, capsys):
    assert translate([str(run), "a", "b", "--plot", "x.svg"]) == 1
    assert "one text" in capsys.readouterr().err


def printed_alignment(weights, source, target, width):
    console = Console(file=io.StringIO(), width=width)
    print_alignment(np.array(weights), source, target, console=console)
    return console.file.getvalue().splitlines()


def test_shades_stand_under_wide_and_leftward_letters():
    lines = printed_alignment([[0.0, 1.0, 0.0], [0.3, 0.0, 0.7]], "日月7", "7x", 40)
    assert lines == ["    日月7", "7 │   ██ ", "x │ ░░  ▓"]
    (head, _) = printed_alignment([[0.5, 0.5]], "אב", "x", 40)
    assert head == "    א\u200eב\u200e"


def test_what_does_not_fit_is_named():
    lines = printed_alignment([[0.75, 0.25], [0.0, 1.0]], ["la", "mer"], ["sea", "the"], 9)
    words = "sea │ la 75 %, mer 25 % the │ mer 100 %"
    assert " ".join(lines).split() == words.split()


def test_scripts_are_told_apart():
    texts = ("7 февраля 2016", "2016年2月7日", "7 février", "2016-02-07")
    assert [script(text) for text in texts] == ["CYRILLIC", "CJK", "LATIN", ""]
