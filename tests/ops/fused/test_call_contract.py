"""What every door of fused attention takes: masks of any right rank, integers, nothing at all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from reference_attention import Reference, close

from attn_jax import ops
from attn_jax.hooks import capture
from attn_jax.ops import Summary, attention, attention_rows, attention_tile, streaming_attention

RNG = np.random.default_rng(29)
# Batch, heads, queries and keys are of one size, so that no axis is told from another by it.
N, D = 4, 3
QUERY, KEY, VALUE = (jnp.asarray(RNG.normal(size=(N, N, N, D)), jnp.float32) for _ in range(3))
KEY_MASK = jnp.arange(N)[None] < jnp.array([4, 2, 3, 1])[:, None]
MASK = jnp.asarray(RNG.random((N, N)) < 0.7)
SEGMENTS = jnp.asarray(RNG.integers(0, 2, (N, N)))


def tile(query, key, value, **options):
    _, summary = streaming_attention(query, key, value, **options, summary=Summary())
    whole = {"rows": (0, query.shape[-3]), "columns": (0, key.shape[-3])}
    return attention_tile(query, key, log_normalizer=summary.log_normalizer, **whole, **options)


def summary(query, key, value, **options):
    options |= {"summary": Summary(received=True), "block_sizes": (2, 3)}
    return streaming_attention(query, key, value, **options)[1].received


DOORS = {
    "xla": lambda *x, **o: attention(*x, **o, implementation="xla"),
    "softcap": lambda *x, **o: attention(*x, **o, softcap=1e6),
    "streaming": lambda *x, **o: attention(*x, **o, implementation="streaming"),
    "streaming_attention": lambda *x, **o: streaming_attention(*x, **o, block_sizes=(3, 2)),
    "weights": lambda *x, **o: capture(attention, "weights")(*x, **o)[1]["weights"],
    "rows": lambda q, k, _, **o: attention_rows(q, k, rows=jnp.arange(N), **o),
    "tile": tile,
    "summary": summary,
}
MAPS = ("weights", "rows", "tile")
EACH = pytest.mark.parametrize("door", DOORS)


def expected(door, **options):
    reference = Reference(QUERY, KEY, VALUE, **options)
    if door == "summary":
        return reference.weights.sum(-2)
    return reference.weights if door in MAPS else reference.context


@EACH
@pytest.mark.parametrize("key_mask", [KEY_MASK, KEY_MASK[2], KEY_MASK[1:2]], ids=["bk", "k", "1k"])
def test_a_mask_of_the_keys_beside_one_of_the_pairs(door, key_mask):
    whole = np.broadcast_to(key_mask, (N, N))[:, None, None] & np.asarray(MASK)
    found = DOORS[door](QUERY, KEY, VALUE, mask=MASK, key_mask=key_mask, causal=True)
    close(found, expected(door, mask=whole, causal=True), 2e-5)


@EACH
def test_segments(door):
    options = {"segment_ids": SEGMENTS, "window": 2}
    close(DOORS[door](QUERY, KEY, VALUE, **options), expected(door, **options), 2e-5)


@EACH
@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("name", ["mask", "bias"])
def test_a_rank_between_is_refused_with_the_way_out(door, name):
    array = jnp.ones((N, N, N), bool if name == "mask" else float)
    message = rf"{name} of shape \(4, 4, 4\) has 3 axes.*{name}\[:, None\].*{name}\[None\]"
    with pytest.raises(ValueError, match=message):
        DOORS[door](QUERY, KEY, VALUE, **{name: array})


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("key_mask", "error", "message"),
    [
        (jnp.ones((N, 1, N), bool), ValueError, r"key_mask of shape \(4, 1, 4\) does not fit"),
        (jnp.ones((N, 5), bool), ValueError, r"key_mask of shape \(4, 5\) does not fit"),
        (jnp.ones((N, N)), TypeError, "key_mask must be boolean"),
    ],
)
def test_what_is_no_mask_of_keys_is_refused(key_mask, error, message):
    with pytest.raises(error, match=message):
        attention(QUERY, KEY, VALUE, key_mask=key_mask)


def test_masks_of_pairs_and_of_keys_are_not_joined_into_one_of_each_sequence():
    x = jax.ShapeDtypeStruct((8, 2048, 1, 8), jnp.float32)
    masks = [jax.ShapeDtypeStruct(shape, bool) for shape in ((2048, 2048), (8, 2048))]

    def attend(x, mask, key_mask):
        return streaming_attention(x, x, x, mask=mask, key_mask=key_mask)

    memory = jax.jit(attend).lower(x, *masks).compile().memory_analysis()
    assert memory.temp_size_in_bytes < 8 * 2048**2 * 4


@EACH
def test_integers_are_promoted(door):
    whole = [jnp.asarray(RNG.integers(-3, 4, (2, N, 2, D))) for _ in range(3)]
    bias = jnp.asarray(RNG.integers(-2, 3, (N, N)))
    found = DOORS[door](*whole, bias=bias)
    assert found.dtype == jnp.float32
    floats = [x.astype(jnp.float32) for x in (*whole, bias)]
    close(found, np.asarray(DOORS[door](*floats[:3], bias=floats[3])))


@pytest.mark.parametrize("sizes", [((0,), 3, 5), ((2,), 0, 5), ((2,), 3, 0), ((), 0, 0)], ids=str)
@pytest.mark.parametrize("door", ["xla", "softcap", "streaming"])
def test_nothing_gives_nothing(door, sizes):
    batch, num_queries, num_keys = sizes
    query = jnp.ones((*batch, num_queries, 4, 3))
    key = jnp.ones((*batch, num_keys, 2, 3))
    mask = jnp.ones((num_queries, num_keys), bool)

    def attend(query, key):
        return DOORS[door](query, key, key, mask=mask, sinks=jnp.ones(4))

    @jax.jit
    def everything(query, key):
        rows = attention_rows(query, key, rows=jnp.zeros(0, jnp.int32), mask=mask)
        gradients = jax.grad(lambda *x: attend(*x).sum(), argnums=(0, 1))(query, key)
        return *capture(attend, ["weights", "summary"])(query, key), gradients, rows

    context, captured, gradients, rows = everything(query, key)
    assert context.shape == query.shape
    assert not np.asarray(context).any()
    assert captured["weights"].shape == (*batch, 4, num_queries, num_keys)
    assert captured["summary"].received.shape == (*batch, 4, num_keys)
    assert not np.asarray(captured["summary"].entropy).any()
    for gradient, array in zip(gradients, (query, key), strict=True):
        np.testing.assert_array_equal(gradient, np.zeros(array.shape))
    assert rows.shape == (*batch, 4, 0, num_keys)


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize("shape", [(2, 3, 0, 5), (2, 3, 4, 0)])
def test_no_heads_and_no_features_are_refused(shape):
    x = jnp.ones(shape)
    with pytest.raises(ValueError, match="need at least one head and one feature"):
        attention(x, x, x)


@pytest.mark.parametrize("door", ["xla", "softcap", "streaming"])
def test_float16_is_computed_under_jit(door):
    half = [x.astype(jnp.float16) for x in (QUERY, KEY, VALUE)]

    @jax.jit
    def everything(*arrays):
        fn = capture(DOORS[door], "weights")
        return *fn(*arrays), jax.grad(lambda *x: (fn(*x)[0] ** 2).sum())(*arrays)

    context, captured, gradient = everything(*half)
    reference = Reference(*half)
    assert context.dtype == gradient.dtype == jnp.float16
    close(context, reference.context, 2e-2)
    close(captured["weights"], reference.weights, 2e-3)


X = jnp.asarray(RNG.normal(size=(2, 6, 8)), jnp.float32)
HIDDEN = {"-1e9": -1e9, "-inf": -np.inf, "finfo.min": float(np.finfo(np.float32).min)}


def flax_attention():
    model = linen.MultiHeadDotProductAttention(num_heads=2, attention_fn=ops.attention_fn)
    variables = model.init(jax.random.key(0), X)
    return lambda mask: capture(model.apply, "weights")(variables, X, mask=mask)[1]["weights"]


@pytest.mark.parametrize("is_traced", [False, True])
@pytest.mark.parametrize("hide", HIDDEN)
def test_a_mask_with_negative_numbers_is_a_bias(hide, is_traced):
    weights = flax_attention()
    look = jax.jit(weights) if is_traced else weights
    keep = jnp.arange(6) < 4
    found = look(jnp.where(keep, 0.0, HIDDEN[hide])[None, None, None])
    np.testing.assert_allclose(found, weights(keep[None, None, None]), atol=1e-6)


@pytest.mark.parametrize("is_traced", [False, True])
def test_a_mask_of_zeros_and_ones_is_read_by_its_nonzeros(is_traced):
    weights = flax_attention()
    look = jax.jit(weights) if is_traced else weights
    causal = linen.make_causal_mask(X[..., 0])
    assert causal.dtype == jnp.float32
    found = look(causal)
    np.testing.assert_allclose(found, weights(causal.astype(bool)), atol=1e-6)
    assert not np.triu(np.asarray(found), 1).any()


def test_a_bias_stays_beside_a_mask_of_numbers():
    bias, keep = jnp.asarray(RNG.normal(size=(N, N)), jnp.float32), MASK.at[:, 0].set(True)
    additive = jnp.where(keep, 0.0, -jnp.inf)[None, None]
    found = jax.jit(ops.attention_fn)(QUERY, KEY, VALUE, bias, additive)
    close(found, Reference(QUERY, KEY, VALUE, mask=keep, bias=bias).context)
