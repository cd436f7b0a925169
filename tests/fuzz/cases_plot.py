"""A case for each public function of `plot`: what is drawn are the numbers given, and no other."""

import re
import tempfile
import types
from pathlib import Path

import numpy as np
from cases import Case, close, double, draws, equal, pick, weights
from cases_ops import TYPES
from matplotlib.patches import PathPatch
from PIL import Image

LABELS = ("a", "$x$", "<b>", "שלום", "注意", "", "a\nb", "\ud800", "é" * 9, "_^{")


def labels(size):
    return lambda draw: (
        [draw.pick(*LABELS) for _ in range(size)] if draw.pick(True, False) else None
    )


def tokens(size):
    return lambda draw: [draw.pick(*LABELS) for _ in range(size)]


def hidden(*shape):
    return lambda draw: draw.mask(*shape) if draw.pick(True, False) else None


def image(*shape):
    """An image of bytes, of fractions, or of any numbers."""

    def drawn(draw):
        x = draw.floats(*shape)
        kind = draw.pick("bytes", "fractions", "any")
        return (
            (np.abs(40 * x) % 256).astype(np.uint8)
            if kind == "bytes"
            else np.abs(x) % 1
            if kind == "fractions"
            else x
        )

    return drawn


def draws_its_text(figure):
    """Lay the figure out, which reads every label."""
    figure.draw_without_rendering()
    return figure


def drawn_maps(figure):
    """Return the arrays of all images in the figure, those of color bars left out."""
    draws_its_text(figure)
    return [image.get_array() for ax in figure.axes for image in ax.images]


def check_map(result, weights, **given):
    mask = given.get("mask")
    array = drawn_maps(result)[0]
    seen = np.ones(weights.shape, bool) if mask is None else mask
    close(np.ma.filled(np.ma.masked_invalid(array), 0)[seen], double(weights)[seen])


def check_figure(result, **_):
    draws_its_text(result)


def check_arcs(result, weights, top_k, query, **_):
    draws_its_text(result)
    rows = weights if query is None else weights[[query]]
    assert len(result.axes[0].collections[0].get_paths()) == min((rows > 0).sum(), top_k)


def check_bars(result, weights, **_):
    heights = [patch.get_height() for patch in draws_its_text(result).axes[0].patches]
    close(heights, weights)


def check_film(result, weights, frames, **_):
    shown = [array for array in drawn_maps(result) if array.shape == weights.shape[1:]]
    assert len(shown) == min(len(weights), frames)
    equal(shown[0], weights[0])
    equal(shown[-1], weights[-1] if frames > 1 else weights[0])


def animated(function, **arguments):
    with tempfile.TemporaryDirectory() as folder:
        path = function(path=Path(folder) / "film.gif", dpi=40.0, **arguments)
        with Image.open(path) as film:
            return getattr(film, "n_frames", 1)


def check_animated(result, weights, **_):
    assert 1 <= result <= len(weights)


def check_merged(result, weights, words, key_words):
    starts = [i for i, w in enumerate(words) if not i or w is None or w != words[i - 1]]
    assert result.shape[-2] == len(starts)
    close(result.sum(-1).mean() if len(starts) == len(words) else 1, 1)
    equal(np.isfinite(result), True)
    close(result.sum(-1), np.ones(result.shape[:-1]))


def check_viewer(result, weights, tokens, **_):
    page = result.html()
    assert "<script>alert" not in page
    assert re.search(r"<title>.*</title>", page, re.DOTALL)


def attention_summary(draw):
    parts = {
        "pooled": draw.weights(2, 3, 3),
        "received": np.abs(draw.floats(2, 5)),
        "entropy": np.abs(draw.floats(2, 7)),
        "distance": np.abs(draw.floats(2, 7)),
        "max_logit": draw.floats(2, 7),
    }
    chosen = [name for name in parts if draw.pick(True, False)] or ["received"]
    return {"summary": types.SimpleNamespace(**{n: parts[n] for n in chosen})}


def rows(draw):
    names = "train/loss", "test/loss", "train/accuracy", "test/accuracy"
    first = {"epoch": 1} | dict.fromkeys(names, 0.5)
    values = draw.pick((1.0, 0.5), (1.0, 1e-6), (0.0, 0.0), (0.99, 1.0))
    more = [{"epoch": n + 2, draw.pick(*names): v} for n, v in enumerate(values)]
    return {"rows": [first, *more]}


def received(draw):
    masses = np.abs(draw.floats(3, 5)) + 0.01
    drawn = {"received": masses, "marks": draw.pick([1], [0, 4])}
    for name in ("entropy", "share"):
        drawn[name] = draw.rng().random(3) if draw.pick(True, False) else None
    return drawn


def check_received(result, received, **_):
    close(drawn_maps(result)[0], received / received.sum(-1, keepdims=True))


def signed_table(draw):
    x = draw.floats(3, 5)
    return np.where(draw.mask(3, 5), x, np.nan) if draw.pick(True, False) else x


def check_score_map(result, scores, **_):
    (array, *_) = drawn_maps(result)
    equal(np.ma.getmaskarray(array), np.isnan(scores))
    close(np.ma.filled(array, 0), np.nan_to_num(double(scores), nan=0.0))


def graph(draw):
    numbers = [float(x) for x in draw.floats(6)]
    heads = [f"layers.{layer}.heads.{head}" for layer in (0, 1) for head in (0, 1)]
    ends = [
        ("embedding", f"{heads[0]}.query"),
        (draw.pick("embedding", heads[0]), f"{heads[2]}.{draw.pick('key', 'value')}"),
        (heads[1], draw.pick("layers.0.mlp", "logits")),
        ("layers.0.mlp", draw.pick("logits", "layers.1.mlp", "$x$.9")),
        (heads[3], "logits"),
        ("embedding", "logits"),
    ]
    edges = [(*pair, number) for pair, number in zip(ends, numbers, strict=True)]
    return {"edges": [*edges, ("embedding", "layers.1.mlp", 1.0)], "count": draw.pick(1, 3, 100)}


def check_circuit(result, edges, count):
    draws_its_text(result)
    drawn = [patch for patch in result.axes[0].patches if isinstance(patch, PathPatch)]
    assert len(drawn) == min(count, sum(number != 0 for *_, number in edges))


COLORBAR = {"colorbar": pick(True, False)}
IMAGES = draws(
    images=image(2, 6, 9), interpolation=pick("nearest", "bicubic"), negative=pick(True, False)
)

PLOT = {
    "Viewer": TYPES,
    "alignment": Case(
        draws(
            weights=weights(3, 5),
            source=tokens(5),
            target=tokens(3),
            sure=hidden(3, 5),
            possible=hidden(3, 5),
            strongest=pick(True, False),
            **COLORBAR,
        ),
        check_map,
    ),
    "animate": Case(
        draws(weights=weights(3, 2, 5), keys=labels(5), steps=pick(None, range(3))),
        check_animated,
        animated,
        share=0.3,
    ),
    "arcs": Case(
        draws(
            weights=weights(3, 5),
            queries=labels(3),
            keys=labels(5),
            query=pick(None, 1),
            top_k=pick(1, 1000),
            **COLORBAR,
        ),
        check_arcs,
    ),
    "bars": Case(draws(weights=weights(5), keys=labels(5), uniform=pick(True, False)), check_bars),
    "circuit": Case(graph, check_circuit),
    "curves": Case(rows, check_figure),
    "film": Case(
        draws(
            weights=weights(4, 3, 5), frames=pick(1, 3, 9), columns=pick(1, 8), sure=hidden(3, 5)
        ),
        check_film,
    ),
    "heads": Case(draws(weights=weights(3, 4, 5), mask=hidden(4, 5)), check_figure),
    "heatmap": Case(
        draws(
            weights=weights(3, 5),
            queries=labels(3),
            keys=labels(5),
            mask=hidden(3, 5),
            sure=hidden(3, 5),
            annotate=pick(None, True),
            **COLORBAR,
        ),
        check_map,
    ),
    "image_grid": Case(
        lambda d: (
            IMAGES(d)
            | {"weights": d.weights(2, 6), "grid": (2, 3), "columns": d.pick(1, 8)}
            | d.pick({}, {"labels": [0, 1], "predictions": [1, 1]}, {"titles": ["$x$", "שלום"]})
        ),
        check_figure,
    ),
    "image_heads": Case(
        lambda d: IMAGES(d) | {"weights": d.weights(2, 3, 6), "grid": (2, 3)}, check_figure
    ),
    "merge_words": Case(
        draws(
            weights=weights(2, 4, 4),
            words=pick([0, 0, 1, 2], [None, None, 1, 1], ["a"] * 4, [0, 1, 0, 1]),
            key_words=pick(None, [0, 0, 0, None]),
        ),
        check_merged,
    ),
    "overlay": Case(
        lambda d: {
            "image": image(*d.pick((6, 9), (6, 9, 1), (6, 9, 3)))(d),
            "weights": d.weights(7 if (prefix := d.pick(0, 1)) else 6),
            "grid": (2, 3),
            "prefix_tokens": prefix,
            "contour": d.pick(False, True),
            "interpolation": d.pick("nearest", "bicubic"),
        },
        check_figure,
    ),
    "score_map": Case(
        draws(
            scores=signed_table,
            axes=pick(None, ("layer", "$x$")),
            rows=labels(3),
            columns=labels(5),
            label=pick("", "$x"),
            **COLORBAR,
        ),
        check_score_map,
    ),
    "summaries": Case(received, check_received),
    "summary": Case(attention_summary, check_figure),
    "viewer": Case(
        lambda d: {
            "weights": {
                d.pick("a.weights", "<script>alert(1)</script>", "layers.0.weights"): d.weights(
                    2, 3, 3
                )
            },
            "axes": "hqk",
            "tokens": tokens(3)(d),
            "title": d.pick("Attention", "</title><script>alert(1)</script>", "\ud800"),
            "measures": d.pick(None, {"m": [0.5, 1.0]}),
            "top_k": d.pick(1, 4),
        },
        check_viewer,
    ),
}
