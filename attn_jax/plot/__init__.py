"""Pictures of attention: arrays in, a matplotlib figure out.

Every function returns a figure of its own, outside pyplot, which shows itself in a notebook and is
written with ``figure.savefig(path)``; those that need one pair of axes also draw on ``ax``. Any
text is safe as a label: what looks like mathematics is none, right-to-left text is in its order,
and Chinese, Japanese and Korean are drawn where the system or the extra ``fonts`` has a font.
Weights that are negative, not finite or not summing to one are refused.
"""

from attn_jax.plot.alignment import alignment
from attn_jax.plot.arcs import arcs
from attn_jax.plot.bars import bars
from attn_jax.plot.curves import curves
from attn_jax.plot.film import animate, film
from attn_jax.plot.heads import heads, image_heads
from attn_jax.plot.heatmap import heatmap
from attn_jax.plot.image_grid import image_grid
from attn_jax.plot.overlay import overlay
from attn_jax.plot.summaries import summaries
from attn_jax.plot.summary import summary
from attn_jax.plot.viewer import Viewer, viewer
from attn_jax.plot.words import merge_words

__all__ = ["Viewer", "alignment", "animate", "arcs", "bars", "curves", "film", "heads", "heatmap"]
__all__ += ["image_grid", "image_heads", "merge_words", "overlay", "summaries", "summary", "viewer"]
