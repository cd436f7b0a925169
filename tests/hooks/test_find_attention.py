"""The report on the attention of a function: what is found, and the true reason for what is not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen
from jax import export, lax
from jax.experimental import pallas as pl

from attn_jax import ops
from attn_jax.hooks import HookError, find_attention

X = jnp.asarray(np.random.default_rng(0).normal(size=(2, 6, 4, 8)), jnp.float32)
ROWS = X[0, :, 0]


def attention(x):
    return jax.nn.softmax(x @ x.T) @ x


def kernel(query, out):
    out[...] = attention(query[...])


def in_pallas(x):
    return pl.pallas_call(kernel, jax.ShapeDtypeStruct(x.shape, x.dtype), interpret=True)(x)


def blockwise(x):
    """Softmax one key at a time, as flash and ring attention do."""

    def step(carry, key):
        top, total, out = carry
        scores = x @ key
        new = jnp.maximum(top, scores)
        p, shrink = jnp.exp(scores - new), jnp.exp(top - new)
        return (new, total * shrink + p, out * shrink[:, None] + p[:, None] * key[None]), None

    zeros = jnp.zeros(len(x))
    (_, total, out), _ = lax.scan(step, (zeros - 1e9, zeros, jnp.zeros_like(x)), x)
    return out / total[:, None]


def exported(x):
    return export.export(jax.jit(attention))(x).call(x)


def test_a_record_says_what_there_is():
    model = linen.MultiHeadDotProductAttention(num_heads=2, name="mixer", parent=None)
    variables = model.init(jax.random.key(0), X[..., 0, :])
    (found,) = find_attention(lambda x: model.apply(variables, x))(
        jax.ShapeDtypeStruct((2, 6, 8), jnp.float32)
    )
    assert found.name == "mixer.weights"
    assert found.kind == "softmax"
    assert found.leaves == ("mixer.scores", "mixer.weights", "mixer.context")
    assert found.shape == (2, 2, 6, 6)
    assert found.axes == ("batch", "head", "query", "key")
    assert (found.loops, found.frozen, found.hidden) == ((), "", "")


def test_this_library_is_found_too():
    (found,) = find_attention(lambda x: ops.attention(x, x, x, softcap=2.0))(X)
    assert (found.name, found.kind, found.shape) == ("weights", "tap", (2, 4, 6, 6))


@pytest.mark.parametrize(
    ("fn", "reason"),
    [
        (in_pallas, "inside 'pallas_call'"),
        (blockwise, "computed blockwise"),
        (exported, "an exported program"),
    ],
)
def test_the_reason_is_the_true_one(fn, reason):
    (found,) = find_attention(fn)(ROWS)
    assert found.kind == "hidden"
    assert reason in found.hidden


def test_one_site_out_of_reach_does_not_hide_the_others():
    seen, hidden = find_attention(lambda x: in_pallas(attention(x)))(ROWS)
    assert (seen.kind, seen.shape, hidden.kind) == ("softmax", (6, 6), "hidden")


def test_dead_code_is_not_reported():
    def fn(x):
        attention(jnp.zeros((11, 8)))
        return attention(x)

    (found,) = find_attention(fn)(ROWS)
    assert found.shape == (6, 6)


def sigmoid_attention(x):
    weights = jax.nn.sigmoid(jnp.einsum("bqhd,bkhd->bhqk", x, x) - 2)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, x)


def test_sigmoid_attention_is_told_from_a_perceptron():
    (found,) = find_attention(sigmoid_attention)(X)
    assert (found.kind, found.axes[-2:]) == ("sigmoid", ("query", "key"))
    perceptrons = jax.vmap(lambda x, w, v: jax.nn.sigmoid(x @ w) @ v)
    with pytest.raises(HookError, match="no attention"):
        find_attention(perceptrons)(X[..., 0, :], jnp.ones((2, 8, 9)), jnp.ones((2, 9, 8)))
    with pytest.raises(HookError, match="no attention"):
        find_attention(lambda x, w, v: (jax.nn.sigmoid(x @ w) * (x @ w)) @ v)(
            ROWS, jnp.ones((8, 9)), jnp.ones((9, 8))
        )


def test_sigmoid_attention_is_told_from_a_gate():
    """AlphaFold's triangle multiplication: gated projections of one input, multiplied."""

    def triangle(x, left, right):
        halves = ((x @ w) * jax.nn.sigmoid(x @ w) for w in (left, right))
        return jnp.einsum("ikc,jkc->ijc", *halves)

    with pytest.raises(HookError, match="no attention was found"):
        find_attention(triangle)(jnp.ones((5, 5, 3)), jnp.ones((3, 8)), jnp.ones((3, 8)))


def test_a_softmax_that_multiplies_nothing_is_no_attention():
    with pytest.raises(HookError, match="no attention was found"):
        find_attention(lambda x: jax.nn.softmax(x @ x.T).sum())(ROWS)
