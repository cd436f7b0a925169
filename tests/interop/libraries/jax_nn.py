"""`jax.nn.dot_product_attention` and its options, beside attention written by hand."""

import jax
import jax.numpy as jnp

from libraries.case import Case, Library, attend

BATCH, QUERIES, KEYS, HEADS, SIZE = 2, 5, 7, 6, 4
rngs = jax.random.split(jax.random.key(0), 4)
QUERY = 2 * jax.random.normal(rngs[0], (BATCH, QUERIES, HEADS, SIZE))
KEY = jax.random.normal(rngs[1], (BATCH, KEYS, HEADS, SIZE))
VALUE = jax.random.normal(rngs[2], (BATCH, KEYS, HEADS, SIZE))
BIAS = jax.random.normal(rngs[3], (BATCH, HEADS, QUERIES, KEYS))
ROWS, COLUMNS = jnp.arange(QUERIES)[:, None], jnp.arange(KEYS)[None]


def hidden_unless(mask):
    return jnp.where(mask, 0.0, -jnp.inf)


def variant(options, bias, key=KEY, value=VALUE, wrap=lambda fn: fn):
    """Return a builder of a case of the options, which by hand are a bias."""

    def build():
        def fn(query, key, value):
            return wrap(lambda q, k, v: jax.nn.dot_product_attention(q, k, v, **options))(
                query, key, value
            )

        groups = HEADS // key.shape[2]
        weights = attend(QUERY, jnp.repeat(key, groups, 2), bias)

        def scaled(scale):
            context = jnp.einsum("bhqk,bkhd->bqhd", weights, jnp.repeat(value, groups, 2))
            return context * scale[:, None]

        return Case(fn, (QUERY, key, value), {"weights": weights}, "weights", scaled, -3)

    return build


LENGTHS = jnp.array([6, 4])
LIBRARY = Library(
    name="jax.nn",
    package="jax",
    lines="""
fn = tap_attention(jax.nn.dot_product_attention)
out, maps = capture(fn, "weights")(query, key, value)
out = intervene(fn, {"weights": patch(0.0, heads=[2], head_axis=-3)})(query, key, value)
""",
    models={
        "plain": variant({}, 0.0),
        "bias": variant({"bias": BIAS}, BIAS),
        "mask": variant({"mask": BIAS > -1}, hidden_unless(BIAS > -1)),
        "causal": variant({"is_causal": True}, hidden_unless(COLUMNS <= ROWS)),
        "window": variant(
            {"local_window_size": (2, 1)},
            hidden_unless((COLUMNS >= ROWS - 2) & (COLUMNS <= ROWS + 1)),
        ),
        "lengths": variant(
            {"key_value_seq_lengths": LENGTHS},
            hidden_unless(COLUMNS[None, None] < LENGTHS[:, None, None, None]),
        ),
        "grouped heads": variant({}, 0.0, KEY[:, :, :3], VALUE[:, :, :3]),
        "vmap": variant({}, 0.0, wrap=jax.vmap),
        "checkpoint": variant({}, 0.0, wrap=jax.checkpoint),
    },
)
