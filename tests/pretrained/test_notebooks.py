"""Notebooks and pages that show real weights; `make pretrained` runs the notebooks."""

import os
import re
from pathlib import Path

import jax
import numpy as np
import pytest

from attn_jax import hooks, pretrained
from attn_jax.pretrained.sources import fetched
from attn_jax.tasks.fetch import FetchError

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def weights_of(path):
    """The names of the weights in a notebook's front matter."""
    line = re.search(r"^weights: \[(.+)\]$", path.read_text("utf-8"), re.MULTILINE)
    return [] if line is None else [name.strip() for name in line[1].split(",")]


def fetch(name):
    """Fetch weights into the cache, or skip the test if that cannot be done here."""
    try:
        fetched(pretrained.available()[name])
    except FetchError as error:
        pytest.skip(f"the weights cannot be fetched here: {error}")


PAGES = sorted(NOTEBOOKS.glob("*.md"))
NEEDY = [path for path in PAGES if weights_of(path)]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_notebook_names_the_weights_that_it_loads(path):
    names = re.findall(r'pretrained\.load\("(.+?)"\)', path.read_text("utf-8"))
    assert sorted(set(names)) == sorted(weights_of(path))
    assert set(names) <= set(pretrained.available())


needs_weights = pytest.mark.skipif(
    "ATTN_JAX_REAL_WEIGHTS" not in os.environ,
    reason="the weights are downloaded only by make pretrained",
)


@needs_weights
@pytest.mark.parametrize("path", NEEDY, ids=lambda path: path.stem)
def test_a_notebook_runs_on_its_weights(path, monkeypatch):
    nbclient = pytest.importorskip("nbclient", reason="`make lint` installs nbclient")
    jupytext = pytest.importorskip("jupytext", reason="`make lint` installs jupytext")
    monkeypatch.setenv("PYTHONPATH", str(NOTEBOOKS.parent))
    for name in weights_of(path):
        fetch(name)
    notebook = jupytext.read(path)
    nbclient.NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        resources={"metadata": {"path": str(NOTEBOOKS)}},
    ).execute()


@needs_weights
def test_the_first_page_shows_the_maps_of_minilm():
    fetch("minilm")
    model = pretrained.load("minilm")
    inputs = model.encode(["The cat sat on the mat because it was tired."])
    _, captured = jax.jit(hooks.capture(model, "*.weights"))(inputs)
    with np.load(NOTEBOOKS.parent / "docs/data/minilm.npz") as stored:
        assert stored["tokens"].tolist() == model.tokenizer.shown(inputs["tokens"][0].tolist())
        for i, maps in enumerate(stored["maps"]):
            weights = captured[f"layers.{i}.attention.weights"][0]
            np.testing.assert_allclose(maps.astype(np.float32), weights, rtol=6e-4, atol=1e-7)
