"""Direct attribution: its sum rule, and shares that are known or computed by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from models import (
    CURRENT,
    FIRST,
    FORGETTING,
    INDUCTION,
    SUCCESSOR,
    induction_weights,
    model,
    random_weights,
)

from attn_jax.circuits import direct_logit_attribution, logit_difference
from attn_jax.hooks import HookError, capture, intervene, patch, tap

TOKENS = jnp.array([[FIRST, 3, 7, 1, 3], [FIRST, 2, 2, 5, 8]])


def last_logit(logits):
    return logits[:, -1, 4].sum()


def test_the_shares_of_an_induction_circuit():
    """The text is A B C A, so that induction predicts B, where A is 3 and B is 7."""
    fn, tokens = model(induction_weights()), TOKENS[:1]
    expected = {3: np.zeros((2, 4)), 7: np.zeros((2, 4)), 4: np.zeros((2, 4))}
    expected[3][0, CURRENT], expected[3][1, FORGETTING] = 0.5, -2 / 5
    expected[7][1, INDUCTION], expected[7][1, FORGETTING] = 2, -1 / 5
    expected[4][1, SUCCESSOR] = 1
    for token, shares in expected.items():
        attribution = direct_logit_attribution(fn, tokens, lambda x, token=token: x[0, -1, token])
        np.testing.assert_allclose(attribution.heads.values, shares, atol=1e-6)
        np.testing.assert_allclose(attribution.embeddings.values, [0], atol=1e-6)
        assert attribution.mlps.values.shape == (0,)
        assert attribution.heads.axes == ("layer", "head")


@pytest.mark.parametrize("mlp_dim", [None, 6])
@pytest.mark.parametrize("normalizes", [False, True])
def test_the_shares_add_up_to_the_metric(mlp_dim, normalizes):
    fn = model(random_weights(mlp_dim=mlp_dim), normalizes=normalizes)
    metric = logit_difference(3, 5)
    attribution = direct_logit_attribution(fn, TOKENS, metric)
    tables = (attribution.heads, attribution.mlps, attribution.embeddings)
    total = sum(table.values.sum() for table in tables) + attribution.bias
    np.testing.assert_allclose(total, metric(fn(TOKENS)), atol=1e-4)
    np.testing.assert_allclose(attribution.metric, metric(fn(TOKENS)), rtol=1e-5)
    np.testing.assert_allclose(attribution.remainder, 0, atol=1e-4)
    np.testing.assert_allclose(attribution.bias, 0, atol=1e-5)


def test_the_shares_by_hand():
    """Each head's output, divided by the final denominator and projected."""
    weights = random_weights(mlp_dim=6)
    fn = model(weights, normalizes=True)
    _, values = capture(fn, ["*.head_output", "*.mlp", "embedding", "norm.denominator"])(TOKENS)
    direction = weights.unembedding[:, 4]
    scale = np.asarray(values["norm.denominator"])[:, :, 0]
    attribution = direct_logit_attribution(
        fn, TOKENS, lambda x: x[:, :, 4].sum(), keep=("batch", "position")
    )
    for i in range(2):
        heads = np.asarray(values[f"layers.{i}.attention.head_output"]) @ direction
        expected = np.moveaxis(heads / scale[:, :, None], -1, 0)
        np.testing.assert_allclose(attribution.heads.values[i], expected, atol=1e-5)
        mlp = np.asarray(values[f"layers.{i}.mlp"]) @ direction / scale
        np.testing.assert_allclose(attribution.mlps.values[i], mlp, atol=1e-5)
    assert attribution.heads.axes == ("layer", "head", "batch", "position")
    embedding = np.asarray(values["embedding"]) @ direction / scale
    np.testing.assert_allclose(attribution.embeddings.values[0], embedding, atol=1e-5)


@pytest.mark.parametrize("keep", [("batch",), ("position",)])
def test_axes_that_are_kept_sum_to_the_same(keep):
    fn = model(random_weights())
    total = direct_logit_attribution(fn, TOKENS, last_logit).heads.values
    kept = direct_logit_attribution(fn, TOKENS, last_logit, keep=keep).heads
    assert kept.axes == ("layer", "head", *keep)
    np.testing.assert_allclose(kept.values.sum(-1), total, atol=1e-5)
    if keep == ("position",):
        np.testing.assert_allclose(kept.values[..., :-1], 0, atol=1e-6)


def test_the_share_is_the_effect_of_removal_without_other_parts():
    """With one layer and no normalization, a head's share is what its ablation takes away."""
    fn = model(random_weights(layers=1))
    shares = direct_logit_attribution(fn, TOKENS, last_logit).heads.values
    for head in range(3):
        removal = {"layers.0.attention.context": patch(0.0, heads=head)}
        without = intervene(fn, removal)(TOKENS)
        np.testing.assert_allclose(
            shares[0, head], last_logit(fn(TOKENS)) - last_logit(without), atol=1e-5
        )


def test_under_jit():
    fn = model(random_weights(), normalizes=True)

    def call(tokens):
        return direct_logit_attribution(fn, tokens, logit_difference(3, 5))

    eager, compiled = call(TOKENS), jax.jit(call)(TOKENS)
    np.testing.assert_allclose(eager.heads.values, compiled.heads.values, atol=1e-5)


@pytest.mark.parametrize("last", [jax.nn.gelu, jax.nn.standardize])
def test_a_part_without_a_hook_point_is_noticed(last):
    fn = model(random_weights())
    with pytest.raises(HookError, match=r"the shares of the parts add up to .* has no hook"):
        direct_logit_attribution(lambda x: last(fn(x)), TOKENS, lambda x: x[:, :, 2].sum())


def test_a_metric_that_is_not_linear():
    fn = model(random_weights())
    with pytest.raises(HookError, match="the metric is not linear"):
        direct_logit_attribution(fn, TOKENS, lambda x: jnp.square(x).sum())


def test_a_metric_of_another_shape():
    fn = model(random_weights())
    with pytest.raises(ValueError, match=r"shape \[2\], and a number is needed"):
        direct_logit_attribution(fn, TOKENS, lambda x: x[:, -1, 0])


def test_a_model_without_contexts():
    with pytest.raises(HookError, match=r"direct_logit_attribution needs .*\*\.context"):
        direct_logit_attribution(lambda x: tap("logits", x * 1.0), TOKENS, jnp.sum)
