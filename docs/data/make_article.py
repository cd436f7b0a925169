"""Draw the figures of `docs/article.md` from its tables: `python docs/data/make_article.py`."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
from matplotlib.figure import Figure

from attn_jax import ops, plot

DOCS = Path(__file__).parent.parent


def table(text: str, first: str) -> list[list[str]]:
    """Return the rows below the header that begins with a word, cell by cell."""
    lines = text.partition(f"| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def gradients(text: str) -> Figure:
    """Draw what reaches the query by features, and what reaches each input of the network."""
    figure = Figure(figsize=(8, 3), layout="constrained", dpi=144)
    left, right = figure.subplots(1, 2)
    rows = np.array(table(text, "features"), float)[:3]
    kinds = ("dot product", "scaled dot product", "additive")
    for values, name, style in zip(rows[:, 2:].T, kinds, ("o-", "s--", "D:"), strict=True):
        left.loglog(rows[:, 0], values, style, label=name, markersize=4)
    left.set(xlabel="features, inputs of size 1", ylabel="gradient at the query")
    for (name, *values, _), style in zip(table(text, "reads"), ("o-", "s--"), strict=True):
        right.semilogy([1, 21, 41, 60], [float(v) for v in values], style, label=name, markersize=4)
    right.set(xlabel="input, of 60", ylabel="gradient at the input, untrained")
    for ax in (left, right):
        ax.legend(frameon=False, fontsize=8)
        ax.spines[["top", "right"]].set_visible(False)
    return figure


def weights() -> Figure:
    """Draw the weights that the article prints beside those that are right."""
    query = jnp.array([[1.0, 2.0, 3.0]])
    key = jnp.array([[4.0, 5.0, 6.0], [7.0, 8.0, 9.0], [10.0, 11.0, 12.0]])
    rows = {
        "4.1 as printed": [0.206, 0.366, 0.428],
        "4.1, its scores": ops.softmax(jnp.array([65.0, 84.0, 105.0])),
        "4.2 as printed": [0.215, 0.366, 0.419],
        "4.2, right": ops.dot_product_attention(query, key, key)[1][0],
        "4.3, right": ops.scaled_dot_product_attention(query, key, key)[1][0],
    }
    maps = np.array([np.asarray(row) for row in rows.values()])
    names = ["key 1", "key 2", "key 3"]
    return plot.heatmap(maps, queries=list(rows), keys=names, colorbar=False)


def main() -> None:
    """Write both."""
    page = (DOCS / "article.md").read_text("utf-8")
    gradients(page).savefig(DOCS / "images/article_gradients.png")
    weights().savefig(DOCS / "images/article_weights.png", dpi=144)


if __name__ == "__main__":
    main()
