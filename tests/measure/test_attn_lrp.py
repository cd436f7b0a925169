"""AttnLRP, compared with relevance that is passed back by the paper's equations, one by one."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import hooks, measure, nn, ops

T, D, E, F, C = 5, 7, 3, 11, 2  # tokens, features, features of a head, of the perceptron, classes
EPSILON = 1e-5


def draw(seed, *shape):
    return np.random.default_rng([7, seed]).normal(size=shape)


X = draw(0, 3, T, D)
TARGET = np.array([1, 0, 1])
WEIGHTS = {
    name: draw(number, *shape) / np.sqrt(shape[0])
    for number, (name, shape) in enumerate(
        {
            "query": (D, E),
            "key": (D, E),
            "value": (D, E),
            "out": (E, D),
            "up": (D, F),
            "gate": (D, F),
            "down": (F, D),
            "classes": (D, C),
        }.items(),
        start=1,
    )
}
BIAS = draw(20, F)


def model(x, activation):
    """One layer: attention, then a gated perceptron, each with a normalization before it."""
    w = {name: jnp.asarray(each, x.dtype) for name, each in WEIGHTS.items()}
    normal = (x - x.mean(-1, keepdims=True)) / jnp.sqrt(x.var(-1, keepdims=True) + EPSILON)
    scores = (normal @ w["query"]) @ jnp.swapaxes(normal @ w["key"], -1, -2) / np.sqrt(E)
    weights = hooks.tap("weights", jax.nn.softmax(scores))
    x = x + weights @ (normal @ w["value"]) @ w["out"]
    normal = x * jax.lax.rsqrt((x * x).mean(-1, keepdims=True) + EPSILON)
    hidden = activation(normal @ w["up"] + jnp.asarray(BIAS, x.dtype)[None, None]) * (
        normal @ w["gate"]
    )
    x = x + hidden @ w["down"]
    return x.mean(-2) @ w["classes"]


# The paper's rules, for one example, in float64.


def through_matrix(x, w, relevance, bias=0.0):
    """R_i = sum_j x_i w_ij R_j / z_j (epsilon rule, equation 8, without epsilon)."""
    return np.einsum("ti,ij,tj->ti", x, w, relevance / (x @ w + bias))


def through_sum(terms, relevance):
    return [term * relevance / sum(terms) for term in terms]


def through_product(left, right, relevance):
    """R_ji = sum_p a_ji v_ip R_jp / (2 o_jp), and the same for v (proposition 3.3)."""
    each = np.einsum("ji,ip,jp->jip", left, right, relevance / (2 * left @ right))
    return each.sum(2), each.sum(0)


def through_softmax(scores, weights, relevance):
    """R_i = x_i (R_i - s_i sum_j R_j) (proposition 3.1)."""
    return scores * (relevance - weights * relevance.sum(-1, keepdims=True))


def by_hand(x, target, activation):
    """Return the relevance of the inputs and of the attention weights."""
    w = WEIGHTS
    # Forward.
    normal = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + EPSILON)
    query, key, value = (normal @ w[name] for name in ("query", "key", "value"))
    scores = query @ key.T / np.sqrt(E)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    context = weights @ value
    middle = x + context @ w["out"]
    scaled = middle / np.sqrt((middle**2).mean(-1, keepdims=True) + EPSILON)
    up, gate = scaled @ w["up"] + BIAS, scaled @ w["gate"]
    hidden = activation(up) * gate
    last = middle + hidden @ w["down"]
    pooled = last.mean(0, keepdims=True)
    # Backward: a mean and a class are matrices too.
    mean = np.full((1, T), 1 / T)
    relevance = (pooled @ w["classes"] * np.eye(C)[target]).reshape(1, C)
    relevance = through_matrix(pooled, w["classes"], relevance)
    relevance = through_matrix(last.T, mean.T, relevance.T).T
    r_middle, r_mlp = through_sum([middle, hidden @ w["down"]], relevance)
    r_hidden = through_matrix(hidden, w["down"], r_mlp)
    # A gate and what it gates get half each; the activation passes on what it gets.
    r_scaled = through_matrix(scaled, w["up"], r_hidden / 2, BIAS)
    r_scaled += through_matrix(scaled, w["gate"], r_hidden / 2)
    # A normalization passes on what it gets.
    r_x, r_attention = through_sum([x, context @ w["out"]], r_middle + r_scaled)
    r_context = through_matrix(context, w["out"], r_attention)
    r_weights, r_value = through_product(weights, value, r_context)
    r_scores = through_softmax(scores, weights, r_weights)
    r_query, r_key = through_product(query, key.T, r_scores)
    r_normal = through_matrix(normal, w["query"], r_query)
    r_normal += through_matrix(normal, w["key"], r_key.T)
    r_normal += through_matrix(normal, w["value"], r_value)
    # The mean that is subtracted is linear: x - x M.
    centering = np.eye(D) - 1 / D
    return r_x + through_matrix(x, centering, r_normal), r_weights


def _gelu(x):
    return x * (1 + np.vectorize(math.erf)(x / np.sqrt(2))) / 2


ACTIVATIONS = {
    "gelu": (lambda x: jax.nn.gelu(x, approximate=False), _gelu),
    "silu": (jax.nn.silu, lambda x: x / (1 + np.exp(-x))),
    "tanh": (jnp.tanh, np.tanh),
    "softplus": (jax.nn.softplus, lambda x: np.log1p(np.exp(x))),
    "sigmoid": (lambda x: 1 / (1 + jnp.exp(-x)), lambda x: 1 / (1 + np.exp(-x))),
}
enable_x64 = jax.enable_x64 if hasattr(jax, "enable_x64") else jax.experimental.enable_x64


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_relevance_follows_the_equations(name):
    activation, of_numpy = ACTIVATIONS[name]

    def fn(x):
        return model(x, activation)

    expected = [by_hand(x, target, of_numpy) for x, target in zip(X, TARGET, strict=True)]
    of_inputs, of_weights = (np.stack(each) for each in zip(*expected, strict=True))
    with enable_x64(True):
        inputs, target = jnp.asarray(X), jnp.asarray(TARGET)
        relevance = measure.attn_lrp(fn, inputs, target)
        np.testing.assert_allclose(relevance, of_inputs, rtol=1e-6, atol=1e-7)
        relevance = measure.attn_lrp(fn, inputs, target, at="weights")["weights"]
        np.testing.assert_allclose(relevance, of_weights, rtol=1e-6, atol=1e-7)


def logit_of(fn, inputs, target):
    return fn(inputs)[np.arange(len(target)), target]


def test_relevance_is_conserved_without_biases_and_softmax():
    """Through gates, activations, root mean squares, a loop and a branch."""
    w = {name: jnp.float32(each) for name, each in WEIGHTS.items()}

    def layer(x, skip):
        normal = x / jnp.sqrt((x * x).mean(-1, keepdims=True))

        def gated(x):
            return x + (jax.nn.gelu(x @ w["up"]) * (x @ w["gate"])) @ w["down"]

        return jax.lax.cond(skip, lambda x: x, gated, normal), None

    def fn(x):
        return jax.lax.scan(layer, x, jnp.array([False, True, False]))[0].mean(1) @ w["classes"]

    inputs, target = jnp.float32(X), jnp.asarray(TARGET)
    relevance = jax.jit(lambda x: measure.attn_lrp(fn, x, target))(inputs)
    np.testing.assert_allclose(relevance.sum((1, 2)), logit_of(fn, inputs, target), rtol=1e-4)


@pytest.mark.parametrize("kind", ["weights first", "sum last", "fused"])
def test_weights_and_values_share_the_relevance_of_the_context(kind):
    """Whether the sum of softmax divides the weights or the context."""
    value = jnp.float32(draw(30, 3, T, 1, C))

    def fn(inputs):
        query, key, value = inputs
        if kind == "fused":
            return ops.attention(query, key, value)[:, 0, 0]
        scores = jnp.einsum("nqhd,nkhd->nhqk", query, key)
        if kind == "weights first":
            weights = jax.nn.softmax(scores / np.sqrt(D))
            return jnp.einsum("nhqk,nkhd->nqhd", weights, value)[:, 0, 0]
        exponentials = jnp.exp(scores / np.sqrt(D))
        total = jnp.swapaxes(exponentials.sum(-1, keepdims=True), 1, 2)
        return (jnp.einsum("nhqk,nkhd->nqhd", exponentials, value) / total)[:, 0, 0]

    query, key = (jnp.float32(draw(seed, 3, T, 1, D)) for seed in (31, 32))
    inputs, target = (query, key, value), jnp.asarray(TARGET)
    r_query, r_key, r_value = measure.attn_lrp(fn, inputs, target)
    logit = logit_of(fn, inputs, target)
    np.testing.assert_allclose(r_value.sum((1, 2, 3)), logit / 2, rtol=1e-4)
    # Half through softmax (proposition 3.1), and half of that to each side of the scores.
    scores = np.einsum("nd,nkd->nk", *map(np.float64, (query[:, 0, 0], key[:, :, 0]))) / np.sqrt(D)
    weights = np.exp(scores) / np.exp(scores).sum(-1, keepdims=True)
    chosen = np.take_along_axis(np.float64(value[:, :, 0]), TARGET[:, None, None], -1)[..., 0]
    through = scores * weights * (chosen / 2 - (weights * chosen / 2).sum(-1, keepdims=True))
    np.testing.assert_allclose(r_key.sum((2, 3)), through / 2, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(r_query.sum((1, 2, 3)), through.sum(-1) / 2, rtol=1e-4, atol=1e-6)


def test_a_module_with_a_mask():
    """Hidden keys get no relevance, and nothing is NaN."""
    module = nn.MultiHeadAttention(num_heads=2, head_dim=3, out_dim=C)
    inputs, mask = jnp.float32(X), np.arange(T) < np.array([5, 2, 3])[:, None]
    variables = module.init(jax.random.key(0), inputs)

    def fn(x):
        return module.apply(variables, x, key_mask=jnp.asarray(mask)).mean(1)

    for at in ("*.weights", "*.scores"):
        (relevance,) = measure.attn_lrp(fn, inputs, jnp.asarray(TARGET), at=at).values()
        assert np.isfinite(relevance).all()
        assert not np.asarray(relevance).transpose(0, 3, 1, 2)[~mask].any()


def test_the_function_itself_is_unchanged():
    inputs = jnp.float32(X)

    def fn(x):
        return model(x, jax.nn.silu)

    np.testing.assert_allclose(
        measure.apply_lrp_rules(fn)(inputs), fn(inputs), rtol=1e-5, atol=1e-6
    )


@jax.custom_vjp
def multiply(x, y):
    return x * y


multiply.defvjp(lambda x, y: (x * y, (x, y)), lambda saved, g: (g * saved[1], g * saved[0]))


@pytest.mark.parametrize(
    ("fn", "inputs", "message"),
    [
        (lambda x: jnp.eye(4)[x], jnp.array([1]), "name a hook point: at='embedding'"),
        (lambda x: jnp.ones((1, 2)), jnp.ones((1, 2)), "no result of the function depends on"),
        (lambda x: multiply(x, x[:, ::-1]), jnp.ones((1, 2)), "needs a rule for 'mul'"),
        (
            lambda x: ops.streaming_attention(x, x, x)[:, 0, 0],
            jnp.ones((1, 300, 1, 2)),
            "needs a rule for 'streaming_attention'",
        ),
    ],
    ids=["tokens", "constant", "own derivative", "blocks"],
)
def test_what_it_refuses(fn, inputs, message):
    with pytest.raises((ValueError, hooks.HookError), match=message):
        measure.attn_lrp(fn, inputs, jnp.array([0]))
