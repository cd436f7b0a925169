"""AtMan, compared with a loop over keys, layers and heads by the paper's equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax import hooks, measure, nn

N, T, H, D, C = 3, 5, 2, 7, 4
LENGTHS = np.array([5, 3, 1])
MASK = np.arange(T) < LENGTHS[:, None]
TARGET = np.array([2, 0, 3])


def draw(seed, *shape):
    return np.random.default_rng([11, seed]).normal(size=shape).astype(np.float32)


X, QUERY, KEY, OUT = draw(0, N, T, D), draw(1, 2, H, D, 3), draw(2, 2, H, D, 3), draw(3, D, C)


def fn(x):
    """Two causal layers, whose scores have hook points before the mask and the weights after it."""
    visible = MASK[:, None, None] & np.tril(np.ones((T, T), bool))
    for layer in range(2):
        query = jnp.einsum("nqd,hde->nhqe", x, QUERY[layer])
        keys = jnp.einsum("nkd,hde->nhke", x, KEY[layer])
        scores = hooks.tap(f"layers.{layer}.scores", query @ jnp.swapaxes(keys, -1, -2) / 3)
        weights = jax.nn.softmax(jnp.where(visible, scores, -jnp.inf))
        weights = hooks.tap(f"layers.{layer}.weights", weights)
        x = x + (weights @ x[:, None]).mean(1)
    return x[np.arange(N), LENGTHS - 1] @ OUT


def loss_by_hand(n, suppress):
    """The loss of one example of which only the keys that exist are there."""
    x = np.float64(X[n, : LENGTHS[n]])
    for layer in range(2):
        contexts = []
        for head in range(H):
            context = np.zeros_like(x)
            for q in range(len(x)):
                scores = [
                    (x[q] @ QUERY[layer, head]) @ (x[k] @ KEY[layer, head]) / 3
                    for k in range(q + 1)
                ]
                context[q] = suppress(np.array(scores)) @ x[: q + 1]
            contexts.append(context)
        x = x + np.mean(contexts, 0)
    logits = x[-1] @ np.float64(OUT)
    return np.log(np.exp(logits).sum()) - logits[TARGET[n]]


def softmax(scores):
    return np.exp(scores) / np.exp(scores).sum()


def rises_by_hand(factors_of, edited):
    """The rise of the loss; `factors_of(n, i)` gives the factor of each key."""
    rises = np.zeros((N, T))
    for n in range(N):
        for i in range(LENGTHS[n]):

            def suppress(scores, n=n, i=i):
                factors = factors_of(n, i)[: len(scores)]
                if edited == "scores":
                    return softmax(scores * (1 - factors))
                weights = softmax(scores) * (1 - factors)
                return weights / weights.sum()

            rises[n, i] = loss_by_hand(n, suppress) - loss_by_hand(n, softmax)
    return rises


@pytest.mark.parametrize("edited", ["scores", "weights"])
@pytest.mark.parametrize("factor", [0.9, 0.3, -1.5])
def test_the_loss_rises_as_in_a_loop(edited, factor):
    result = measure.atman(
        fn,
        jnp.asarray(X),
        jnp.asarray(TARGET),
        mask=jnp.asarray(MASK),
        factor=factor,
        edited=edited,
    )
    expected = rises_by_hand(lambda n, i: factor * (np.arange(T) == i), edited)
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=2e-5)


def test_keys_that_resemble_a_key_are_suppressed_with_it():
    embeddings, threshold = draw(4, N, T, 2), 0.4

    def factors(n, i):
        cosine = [
            x @ embeddings[n, i] / np.linalg.norm(x) / np.linalg.norm(embeddings[n, i])
            for x in np.float64(embeddings[n])
        ]
        return 0.9 * np.where(np.array(cosine) >= threshold, cosine, 0)

    arguments = (fn, jnp.asarray(X), jnp.asarray(TARGET))
    options = {"mask": jnp.asarray(MASK), "embeddings": jnp.asarray(embeddings)}
    result = measure.atman(*arguments, **options, threshold=threshold)
    np.testing.assert_allclose(result, rises_by_hand(factors, "scores"), rtol=1e-4, atol=2e-5)
    alone = measure.atman(*arguments, mask=options["mask"])
    assert np.abs(result - alone).max() > 0.01
    np.testing.assert_array_equal(measure.atman(*arguments, **options, threshold=1.1), alone)


def test_a_fused_module_in_batches_and_under_jit():
    module = nn.MultiHeadAttention(num_heads=H, head_dim=3, out_dim=C)
    variables = module.init(jax.random.key(0), jnp.asarray(X))
    runs = []

    def attend(x):
        runs.append(1)
        return module.apply(variables, x, key_mask=jnp.asarray(MASK))[:, 0]

    def rise(x, **options):
        return measure.atman(attend, x, jnp.asarray(TARGET), mask=jnp.asarray(MASK), **options)

    whole = rise(jnp.asarray(X))
    assert len(runs) == 1  # the model is traced once, whatever the number of keys
    np.testing.assert_allclose(rise(jnp.asarray(X), batch_size=2), whole, atol=1e-6)
    np.testing.assert_allclose(jax.jit(rise)(jnp.asarray(X)), whole, atol=1e-6)
    assert not np.asarray(whole)[~MASK].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factor": 1.0}, "factor=1.0 leaves nothing of a score"),
        ({"mask": jnp.ones((N, T + 1), bool)}, "but the mask is for 3 examples of 6 keys"),
        ({"attention": "*.score"}, r"no hook point matches '\*.score'"),
    ],
    ids=["factor", "keys", "glob"],
)
def test_what_it_refuses(options, message):
    options = {"mask": jnp.asarray(MASK)} | options
    with pytest.raises(ValueError, match=message):
        measure.atman(fn, jnp.asarray(X), jnp.asarray(TARGET), **options)
