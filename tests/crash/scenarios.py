"""The kinds of work that are killed: each begins in a folder, or goes on there."""

import dataclasses
import hashlib
import json
import os
import tempfile
import warnings
import zipfile
from pathlib import Path

import jax
import numpy as np
from matplotlib.figure import Figure
from tiny import CONFIG
from tiny import train as train_tiny

from attn_jax.tasks.fetch import Wheel
from attn_jax.tasks.mnist import digests, sources, tfds
from attn_jax.tasks.translation import bitext
from attn_jax.tasks.translation.bitext_digests import BITEXT_DIGESTS
from attn_jax.train import Checkpoints, read_metrics
from experiments.__main__ import main
from experiments.reopen import last_run
from experiments.translation.alignment import frame_steps, write_frame
from experiments.translation.scores import write_scores

NAME = "translation_dot"
WORDS = ["--task.name", "reverse", "--task.train", "64", "--task.validation", "5", "--task.test"]
WORDS += ["5", "--model.embedding-dim", "5", "--model.encoder.features", "3"]
WORDS += ["--model.decoder.features", "7", "--train.epochs", "2", "--train.batch-size", "16"]
PAIRS = [("Close this tab", "Fermer cet onglet"), ("Open the file", "Ouvrir le fichier")]


def train(folder):
    """Trains the tiny model, and after each epoch writes what a translator writes."""
    config = dataclasses.replace(CONFIG, epochs=2, checkpoint_every=9)

    def on_epoch(state, row):
        weights = np.tile(jax.device_get(state.params["outer"]["kernel"]), (2, 1, 1))
        for step in {0, row["step"]} - {*frame_steps(folder)}:
            write_frame(folder, step, weights * (step > 0), np.array([0, 1]))
        write_scores(folder, {"signatures": {"bleu": "a", "chrf": "b"}, "alignment": []})
        return {"first": float(weights[0, 0, 0])}

    resumes = (folder / "command.json").exists()
    train_tiny(folder, resume=resumes, config=config, on_epoch=on_epoch)


def translate(folder):
    """Trains a translator by the command line, with frames, scores, figures and a report."""
    _draw_quickly()
    begun = any(folder.glob(f"{NAME}/*/command.json"))
    return main([NAME, *(["--resume"] if begun else WORDS), "--runs", str(folder)])


def report(folder):
    """Draws the figures of the translator again, and writes its report."""
    _draw_quickly()
    return main(["report", str(last_run(folder / NAME))])


def _draw_quickly():
    """Writes a word for each picture: drawing takes most of the time, and changes no other file."""

    def save(figure, path, **options):
        text = f"<svg>{len(figure.axes)} axes</svg>"
        if hasattr(path, "write"):  # the still picture of a page
            path.write(text.encode())
        else:
            Path(path).write_text(text)

    Figure.savefig = save


def fetch(folder):
    """Fetches a wheel of pairs from a folder that serves as a registry, and keeps the pairs."""
    registry = folder.parent / "registry"
    os.environ |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(registry), "UV_NO_INDEX": "1"}
    os.environ |= {"UV_FIND_LINKS": str(registry), "ATTN_JAX_CACHE": str(folder / "cache")}
    # What a killed process leaves in the system's folder of temporary files is the system's.
    tempfile.tempdir = str(folder / "tmp")
    os.makedirs(tempfile.tempdir, exist_ok=True)
    bitext.JUPYTERLAB["fr"] = _wheel(registry)
    BITEXT_DIGESTS["jupyterlab"]["fr"] = hashlib.sha256(
        json.dumps([list(pair) for pair in PAIRS]).encode()
    ).hexdigest()
    pairs, _ = bitext.read_bitext("jupyterlab", "fr")
    assert [(pair.source_text, pair.target_text) for pair in pairs] == PAIRS


def _wheel(registry):
    registry.mkdir(exist_ok=True)
    path, info = registry / "tiny_data-1.0-py3-none-any.whl", "tiny_data-1.0.dist-info"
    catalogue = json.dumps({source: [target] for source, target in PAIRS})
    files = {
        "pack_fr_FR/locale/fr_FR/LC_MESSAGES/notebook.json": catalogue,
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: tiny_data\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": "",
    }
    if not path.exists():
        with zipfile.ZipFile(path, "w") as file:
            for name, content in files.items():
                file.writestr(name, content)
    return Wheel("tiny-data", "1.0", hashlib.sha256(path.read_bytes()).hexdigest())


def caches(folder):
    """Mends a damaged cache of images, and prepares a TFDS set of the same."""
    rng, arrays = np.random.default_rng(0), {}
    for split, count in (("train", 13), ("test", 7)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = (np.arange(count) % 3).astype(np.uint8)
    for name, array in arrays.items():
        digests.MNIST_DIGESTS[name] = hashlib.sha256(_idx(array)).hexdigest()
    os.environ |= {"ATTN_JAX_CACHE": str(folder / "cache"), "TFDS_DATA_DIR": str(folder / "none")}
    sources.read_wheel = lambda: arrays
    cache = sources.mnist_cache()
    cache.parent.mkdir(exist_ok=True)
    if not any(cache.parent.iterdir()):
        cache.write_bytes(b"PK")
    warnings.simplefilter("ignore", UserWarning)
    builder = tfds.AttnMnist(data_dir=folder / "tfds")
    builder.download_and_prepare()
    for split in ("train", "test"):
        rows = builder.as_data_source(split)
        np.testing.assert_array_equal(
            [row["image"][..., 0] for row in rows], arrays[f"{split}_images"]
        )


def _idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


SCENARIOS = {each.__name__: each for each in (train, translate, report, fetch, caches)}


def outcome(folder):
    """Return what the work has left in its folder, but the clock: a digest for every file."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    result = {}
    for path in files:
        name = path.relative_to(folder).as_posix()
        if name.startswith(f"{NAME}/"):
            name = name.split("/", 2)[2]
        if name.startswith("tmp/") or "/incomplete." in name:
            continue
        if "tfevents" in name:
            name, content = "tfevents", ""
        elif path.name == "metrics.jsonl":
            content = json.dumps([_without_clock(row) for row in read_metrics(path.parent)])
        elif path.name in ("command.json", "record.json"):
            content = json.dumps(_without_clock(json.loads(path.read_text())))
        elif "checkpoints" in path.parts and "arrays" in path.parts:
            name, content = f"{name.split('arrays')[0]}arrays", _arrays(path)
        elif path.suffix == ".html":
            content = path.read_text().rstrip().endswith("</html>")
        elif path.name == "MANIFEST.sha256" or "tfds" in path.parts:
            content = ""
        else:
            content = path.read_bytes().hex()
        result[name] = hashlib.sha256(repr(content).encode()).hexdigest()[:16]
    return result


def _without_clock(content):
    if not isinstance(content, dict):
        return content
    clock = ("begun", "elapsed", "sha256", "arguments")
    return {
        name: _without_clock(value)
        for name, value in content.items()
        if name not in clock and not name.startswith("time/")
    }


def _arrays(path):
    """Return the digest of the arrays of the checkpoint that holds a file."""
    index = path.parts.index("checkpoints")
    step = path.parts[index + 1]
    if step not in _arrays.known:
        arrays, _ = Checkpoints(Path(*path.parts[: index + 1])).restore(int(step))
        leaves = {
            jax.tree_util.keystr(key): np.asarray(leaf).tobytes().hex()
            for key, leaf in jax.tree.leaves_with_path(arrays)
        }
        _arrays.known[step] = json.dumps(leaves)
    return _arrays.known[step]


_arrays.known = {}
