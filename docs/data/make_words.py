"""Write words.npz, four attentions of six words by hand: `python docs/data/make_words.py`."""

import functools
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from attn_jax import ops

WORDS = ["the", "cat", "sat", "on", "the", "mat"]
#         animal thing action glue
FEATURES = [
    [0, 0, 0, 1],
    [1, 0.3, 0, 0],
    [0, 0, 1, 0],
    [0, 0, 0.3, 1],
    [0, 0, 0, 1],
    [0.1, 1, 0, 0],
]
ASKS = [[0, 0, 5, 0], [0, 0, 2.5, 3], [5, 1.5, 0, 0], [1.5, 5, 0, 0]]


def main() -> None:
    """Store the dot product, the scaled one, the scaled one with sparsemax, and a causal one."""
    x = jnp.array(FEATURES)
    query = x @ jnp.array(ASKS)
    scaled = functools.partial(ops.scaled_dot_product_attention, query, x, x)
    maps = [
        ops.dot_product_attention(query, x, x)[1],
        scaled()[1],
        scaled(normalizer=ops.sparsemax)[1],
        scaled(mask=ops.causal_mask(6, 6))[1],
    ]
    np.savez_compressed(
        Path(__file__).with_name("words.npz"), tokens=WORDS, maps=np.stack(maps)[None]
    )


if __name__ == "__main__":
    main()
