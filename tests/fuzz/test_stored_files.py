"""Damage to every kind of file in a run folder: the right data or one clear line, nothing else.

The damage is drawn from ATTN_JAX_FUZZ_SEED, in ATTN_JAX_FUZZ_CASES cases for each kind of file;
`make fuzz SEED=2 CASES=1000` sets both. Where a file has a checksum, whatever is read must be the
data that were written.
"""

import gc
import io
import json
import os
import random
import shutil
import warnings
from contextlib import redirect_stderr

import jax
import numpy as np
import pytest

from attn_jax.tasks.cache import read_arrays, write_arrays
from attn_jax.train import Checkpoints, RunFolderError, read_metrics
from attn_jax.train.disk import manifest, stored
from attn_jax.train.disk.metrics import MetricsWriter
from attn_jax.train.disk.stored import write_json
from experiments.experiment import settings
from experiments.options import parse
from experiments.reopen import experiment_of
from experiments.report import save_card
from experiments.report.card import read_card
from experiments.report.figures import read_index
from experiments.retrieval import _SUMMARY, _read_summary
from experiments.translation.alignment import frame_steps, read_frame, write_frame
from experiments.translation.alignment_scores import Score
from experiments.translation.scores import read_scores, write_scores
from experiments.translation.vocabulary import read_vocabulary

SEED = int(os.environ.get("ATTN_JAX_FUZZ_SEED", 0))
CASES = int(os.environ.get("ATTN_JAX_FUZZ_CASES", 40))
EXPECTED = (RunFolderError, OSError, ValueError)
NAME = "translation_dot"
WORDS = ["--task.name", "reverse", "--task.train", "50", "--task.validation", "5", "--task.test"]
WORDS += ["5", "--model.embedding-dim", "5", "--model.encoder.features", "3"]
WORDS += ["--model.decoder.features", "7"]
ROWS = [
    {"step": step, "epoch": 1, "train/loss": 1 / step, "time/unix": 3.0} for step in range(1, 9)
]
LINE = {"title": "Deletion", "value": 0.5, "low": 0.25, "high": 0.75, "random": 0.1, "uniform": 0.1}
LINE |= {"reads": "supports", "verdict": "moves it"}
HOSTILE = [
    None,
    True,
    3,
    -1,
    10**400,
    2**63,
    1e308,
    "",
    "x" * 5000,
    "../../etc/passwd",
    "\ud800",
    "\0",
    "</script><script>",
    "--help",
    "--tyro-write-completion",
    "os.system",
    [],
    {},
    [[]],
    {"": []},
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run folder by the library's own writers, without the training."""
    run = tmp_path_factory.mktemp("run")
    experiment = parse(NAME, WORDS).experiment
    command = {"experiment": NAME, "arguments": WORDS, "begun": "2026-11-29T10:00:00+00:00"}
    command |= {part: settings(getattr(experiment, part)) for part in ("model", "task")}
    write_json(run / "command.json", command)
    experiment.begin(run)
    writer = MetricsWriter(run)
    for row in ROWS:
        writer.write(row)
    writer.close()
    state = {"state": {"params": {"kernel": np.arange(12.0).reshape(3, 4)}}}
    state = jax.tree.map(jax.numpy.asarray, state)
    record = {"step": 8, "elapsed": 1.5, "metrics": {"validation/exact": 0.5}}
    Checkpoints(run / "checkpoints").save(8, state, record)
    write_frame(run, 8, np.full((2, 3, 5), 0.2, np.float32), np.array([0, 1]))
    numbers = (0.2, 0.8, 0.8, 0.1, 0.9, 0.9, 0.9)
    score = Score("decoder.attention.weights", "mean", "before", "argmax", *numbers)
    scores = {"signatures": {"bleu": "a", "chrf": "b"}, "alignment": [score._asdict()] * 2}
    write_scores(run, scores)
    (run / "figures").mkdir()
    entries = [{"name": name, "title": "A title", "caption": ""} for name in ("a", "b")]
    write_json(run / "figures" / "index.json", {"figures": entries})
    (run / "old").mkdir()
    for path in (run / "command.json", run / "vocabulary.json", run / "scores.json"):
        content = json.loads(path.read_text())
        del content["sha256"]
        (run / "old" / path.name).write_text(json.dumps(content))
    (run / "old" / "vocabulary.json").rename(run / "old" / "wording.json")
    np.savez(run / "summary.npz", **dict.fromkeys(_SUMMARY, np.arange(7.0)))
    save_card(run, {"verdict": "It can be read.", "lines": [LINE]})
    write_arrays(run / "cache.npz", {"image": np.arange(60, dtype=np.uint8)})
    return run


def restore(run):
    return Checkpoints(run / "checkpoints").restore(8)


def restore_resealed(run):
    """Restore a checkpoint whose manifest was made to fit the damage, as an attacker would."""
    (run / "checkpoints" / "8" / manifest.NAME).unlink(missing_ok=True)
    manifest.seal(run / "checkpoints" / "8")
    return restore(run)


def vocabulary(run):
    content = read_vocabulary(run)
    content.source.decode(content.source.encode("abc"))
    return content._asdict() | {"source": content.source.vocabulary, "target": ()}


def alignment_scores(run):
    return [Score(**each) for each in read_scores(run).get("alignment", [])]


def task(run):
    return settings(experiment_of(run).task)


# Of each kind of file: what reads it, and whether a checksum covers what it returns. Those in
# `old/` have none, as in the runs of version 0.1.0.
DOORS = {
    "command.json": (task, True),
    "vocabulary.json": (vocabulary, True),
    "scores.json": (alignment_scores, True),
    "card.json": (read_card, True),
    "figures/index.json": (lambda run: read_index(run / "figures"), True),
    "alignments/00000008.npz": (lambda run: read_frame(run, 8), True),
    "summary.npz": (lambda run: _read_summary(run / "summary.npz"), True),
    "cache.npz": (lambda run: read_arrays(run / "cache.npz"), True),
    "checkpoints/8/record.json": (restore, True),
    "checkpoints/8/MANIFEST.sha256": (restore, True),
    "checkpoints/8/arrays/_METADATA": (restore, True),
    "old/command.json": (lambda run: task(run / "old"), False),
    "old/wording.json": (lambda run: vocabulary(run / "old"), False),
    "old/scores.json": (lambda run: alignment_scores(run / "old"), False),
}
# What a door returns instead of what is damaged, with a line on standard error.
LEFT_OUT = ([], None)


def read(door, run):
    """Return what a door returns, or the error, which must be one that ends in a line."""
    try:
        return door(run), None
    except EXPECTED as refusal:
        error = refusal
    assert str(error).strip(), repr(error)
    return None, error


def same(first, second):
    try:
        jax.tree.map(np.testing.assert_array_equal, first, second)
    except (AssertionError, ValueError, TypeError):
        return False
    return True


def damage(content, rng):
    """Return content with an accident, or as an attacker would write it."""
    kind = rng.randrange(7 if content[:1] in b"[{" else 4)
    place = rng.randrange(len(content))
    if kind == 0:
        flipped = bytearray(content)
        for _ in range(rng.choice([1, 1, 2, 9])):
            flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 1:
        return content[: rng.choice([0, place, len(content) - 1])]
    if kind == 2:
        return content[:place] + bytes(rng.choice([1, 512])) + content[place + 512 :]
    if kind == 3:
        return content[:place] + rng.choice([content, b"[" * 99_999, rng.randbytes(64)])
    return reshape(content, rng)


def reshape(content, rng):
    """Return JSON with one value, at any depth, replaced, doubled or left out."""
    try:
        root = [json.loads(content)]
    except ValueError:
        return content[1:]
    holder, key = root, 0
    while isinstance(holder[key], dict | list) and holder[key] and rng.random() < 0.75:
        holder = holder[key]
        key = rng.choice(list(holder)) if isinstance(holder, dict) else rng.randrange(len(holder))
    choice = rng.randrange(4)
    if choice == 0 and holder is not root:
        del holder[key]
    elif choice == 1 and isinstance(holder, dict):
        holder[rng.choice(["x", "", "step", "\0"])] = holder[key]
    else:
        holder[key] = rng.choice(HOSTILE)
    return json.dumps(root[0]).encode()


@pytest.mark.parametrize("name", DOORS)
def test_damage_gives_the_right_data_or_a_line(name, run):
    rng = random.Random(f"{SEED} {name}")
    door, checked = DOORS[name]
    path = run / name
    whole, (right, error) = path.read_bytes(), read(door, run)
    assert error is None
    try:
        for case in range(CASES):
            content = damage(whole, rng)
            path.write_bytes(content)
            with redirect_stderr(io.StringIO()):
                data, error = read(door, run)
            # Without its checksum a file is one of the first release.
            sealed = b"sha256" in content or not name.endswith(".json")
            if checked and sealed and error is None:
                assert same(data, right) or data in LEFT_OUT, (case, content)
    finally:
        path.write_bytes(whole)
    assert same(read(door, run)[0], right)


def test_a_zip_file_whose_list_of_members_is_zeros_is_damaged(run, tmp_path):
    # Found by seed 1: NumPy reads such a file as one without arrays.
    content = (run / "cache.npz").read_bytes()
    start = content.index(b"PK\x05\x06") + 4
    (tmp_path / "cache.npz").write_bytes(content[:start] + bytes(len(content) - start))
    for reader in (read_arrays, stored.read_arrays):
        with pytest.raises(ValueError, match="holds no arrays"):
            reader(tmp_path / "cache.npz")


def test_damaged_metrics_cost_only_their_rows(run):
    rng, path = random.Random(SEED), run / "metrics.jsonl"
    whole = path.read_bytes()
    assert read_metrics(run) == ROWS
    try:
        for case in range(CASES):
            content = damage(whole, rng)
            path.write_bytes(content)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)
                # A cut may leave a file without a single checksum, as of the first release.
                rows = read_metrics(run)
            assert b"crc32" not in content or all(row in ROWS for row in rows), (case, content)
    finally:
        path.write_bytes(whole)


def test_a_checkpoint_that_an_attacker_sealed_ends_no_program(run, tmp_path, monkeypatch):
    # After an error Orbax forgets coroutines of its own, which pytest takes for an error.
    monkeypatch.setattr("sys.unraisablehook", lambda _: None)
    rng = random.Random(SEED)
    files = sorted(path for path in (run / "checkpoints" / "8").rglob("*") if path.is_file())
    for case in range(CASES):
        copy = shutil.copytree(run / "checkpoints", tmp_path / str(case) / "checkpoints").parent
        path = copy / rng.choice(files).relative_to(run)
        path.write_bytes(damage(path.read_bytes() or b"\0", rng))
        read(restore_resealed, copy)
    gc.collect()


@pytest.mark.parametrize("name", [name for name in DOORS if "MANIFEST" not in name])
@pytest.mark.parametrize("kind", ["folder", "pipe", "loop", "nothing"])
def test_what_is_no_file_is_neither_waited_for_nor_followed(kind, name, run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    path = copy / name
    path.unlink()
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "loop":
        path.symlink_to(path)
    with redirect_stderr(io.StringIO()):
        data, error = read(DOORS[name][0], copy)
    assert error is not None or data in (None, [])


def test_names_that_look_like_numbers_are_no_steps(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    names = ["008", "\u0668", "-8", "8 ", "9" * 200 + "x", "8\n", "<img src=x>"]
    for name in names:
        shutil.copytree(copy / "checkpoints" / "8", copy / "checkpoints" / name)
        shutil.copy(copy / "alignments" / "00000008.npz", copy / "alignments" / f"{name}.npz")
    assert Checkpoints(copy / "checkpoints").steps() == [8]
    assert frame_steps(copy) == [8]
