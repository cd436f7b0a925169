"""Pictures of attention: arrays in, a matplotlib figure out.

Every function returns a new figure outside pyplot, which displays itself in a notebook and is saved
with `figure.savefig(path)`; functions that need a single pair of axes can also draw on `ax`. Any
text is a safe label: it is never read as mathematics, right-to-left text keeps its order, and
Chinese, Japanese and Korean are drawn with a font of the system or of the extra `fonts`. Weights
that are negative, not finite or do not sum to one are refused.
"""

from attn_jax.plot.alignment import alignment
from attn_jax.plot.arcs import arcs
from attn_jax.plot.bars import bars
from attn_jax.plot.circuit import circuit
from attn_jax.plot.curves import curves
from attn_jax.plot.film import animate, film
from attn_jax.plot.heads import heads, image_heads
from attn_jax.plot.heatmap import heatmap
from attn_jax.plot.image_grid import image_grid
from attn_jax.plot.overlay import overlay
from attn_jax.plot.score_map import score_map
from attn_jax.plot.summary import summary
from attn_jax.plot.summary_over_epochs import summaries
from attn_jax.plot.viewer import Viewer, viewer
from attn_jax.plot.words import merge_words

__all__ = [
    "Viewer",
    "alignment",
    "animate",
    "arcs",
    "bars",
    "circuit",
    "curves",
    "film",
    "heads",
    "heatmap",
]
__all__ += [
    "image_grid",
    "image_heads",
    "merge_words",
    "overlay",
    "score_map",
    "summaries",
    "summary",
    "viewer",
]
