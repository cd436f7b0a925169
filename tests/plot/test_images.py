"""Every figure beside a picture of it that a person has looked at.

After a change that is meant to be seen, ``python tests/plot/test_images.py`` draws them again.
"""

from pathlib import Path
from types import SimpleNamespace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.testing.compare import compare_images

from attn_jax import plot

BASELINES = Path(__file__).parent / "baselines"
# Of 255, the root of the mean square. The locked matplotlib brings FreeType and the font with it,
# so that machines differ by their arithmetic alone; test_the_tolerance_is_tight tells what it sees.
TOLERANCE = 4.0
# Letters are not fitted to pixels, and no setting of the user's has a part in it.
SETTINGS = mpl.rcParamsDefault | {"backend": "agg", "text.hinting": "none"}


def weights(*shape, sharp=0.25):
    """Maps that look like attention: a diagonal, blurred."""
    rng = np.random.default_rng(7)
    rows, columns = np.arange(shape[-2]), np.arange(shape[-1])
    distance = rows[:, None] / shape[-2] - columns / shape[-1]
    scores = rng.normal(0, 1, shape) - (distance / sharp) ** 2
    raised = np.exp(scores)
    return raised / raised.sum(-1, keepdims=True)


def alignment():
    sure = np.eye(5, 7, dtype=bool)
    possible = np.eye(5, 7, 1, dtype=bool)
    source = ["the", "$5", "שלום", "مرحبا", "a_b", "cat's", "."]
    target = ["le", "5 $", "bonjour", "x" * 30, "."]
    return plot.alignment(
        weights(5, 7, sharp=0.1), source=source, target=target, sure=sure, possible=possible
    )


def overlay(**look):
    image = np.hypot(*np.mgrid[-1:1:30j, -1:1:42j])
    return plot.overlay(image, weights(3, 37)[1], (5, 7), prefix_tokens=2, **look)


def image_grid():
    images = np.random.default_rng(0).random((5, 10, 15))
    reading = {"labels": [1, 2, 3, 4, 5], "predictions": [1, 2, 0, 4, 5]}
    return plot.image_grid(images, weights(5, 6), (2, 3), columns=3, **reading)


def curves():
    rows = [
        {"epoch": at, "train/loss": 2.0**-at, "test/loss": 2.2**-at, "train/accuracy": 1 - 0.5**at}
        for at in range(1, 8)
    ]
    return plot.curves(rows)


def summary():
    line = np.random.default_rng(3).random((2, 331))
    fields = {"received": line, "entropy": 1 + line, "pooled": weights(2, 13, 11)}
    return plot.summary(SimpleNamespace(**fields))


def summaries():
    return plot.summaries(weights(7, 29), entropy=np.linspace(3, 1, 7), share=np.ones(7) / 7)


def circuit():
    heads = [f"layers.{layer}.heads.{head}" for layer in (0, 1) for head in (0, 1)]
    edges = [
        ("embedding", f"{heads[1]}.value", 0.5),
        ("embedding", f"{heads[2]}.query", 1.1),
        (heads[1], f"{heads[2]}.key", 2.0),
        (heads[1], "layers.0.mlp", -0.3),
        ("layers.0.mlp", f"{heads[3]}.value", 0.6),
        (heads[3], "logits", -0.8),
        (heads[2], "logits", 1.9),
        ("embedding", "logits", 0.4),
        (heads[0], "logits", 0.01),
    ]
    return plot.circuit(edges, count=8)


def score_map():
    table = np.random.default_rng(5).normal(size=(6, 7)) ** 3
    table[2, 5:] = np.nan
    return plot.score_map(table, axes=("layer", "position"), columns=LABELS, label="effect")


LABELS = ["the", "$5", "שלום", "a_b", "cat's", "x" * 30, "."]

FIGURES = {
    "alignment": alignment,
    "arcs": lambda: plot.arcs(weights(5, 7), queries="abcde", keys="tuvwxyz"),
    "bars": lambda: plot.bars(weights(2, 7)[0], keys=["$x", "a_b", *"cdefg"]),
    "circuit": circuit,
    "curves": curves,
    "film": lambda: plot.film(weights(11, 5, 7), frames=5, columns=3, sure=np.eye(5, 7)),
    "heads": lambda: plot.heads(weights(2, 3, 11, 11), mask=np.tri(11)),
    "heatmap": lambda: plot.heatmap(weights(5, 5), queries="abcde", keys="vwxyz", mask=np.tri(5)),
    "image_grid": image_grid,
    "image_heads": lambda: plot.image_heads(np.zeros((2, 10, 15)), weights(2, 3, 6), (2, 3)),
    "overlay": overlay,
    "overlay_bicubic": lambda: overlay(interpolation="bicubic"),
    "overlay_contour": lambda: overlay(contour=True),
    "score_map": score_map,
    "summary": summary,
    "summaries": summaries,
}


def save(draw, path):
    with mpl.rc_context(SETTINGS):
        draw().savefig(path, dpi=50, metadata={"Software": None})
    return path


@pytest.mark.parametrize("name", FIGURES)
def test_the_figure_looks_as_it_did(name, tmp_path):
    drawn = save(FIGURES[name], tmp_path / f"{name}.png")
    assert compare_images(BASELINES / f"{name}.png", drawn, tol=TOLERANCE) is None


def test_every_function_that_draws_is_compared():
    # A viewer's figures are these; its page is looked at in a browser.
    undrawn = {"animate", "merge_words", "viewer", "Viewer"}
    assert set(plot.__all__) - undrawn <= set(FIGURES)


def test_the_tolerance_is_tight(tmp_path):
    def moved():
        figure = alignment()
        links = figure.axes[0].collections[0]
        links.set_verts([path.vertices[:4] + np.array([1, 0]) for path in links.get_paths()])
        return figure

    drawn = save(moved, tmp_path / "moved.png")
    assert compare_images(BASELINES / "alignment.png", drawn, tol=TOLERANCE) is not None


def test_the_pictures_are_small():
    assert sum(path.stat().st_size for path in BASELINES.iterdir()) < 500_000


if __name__ == "__main__":
    BASELINES.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        save(draw, BASELINES / f"{name}.png")
