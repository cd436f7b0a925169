import jax
import jax.numpy as jnp
import numpy as np
import pytest

from attn_jax.train import mask_loss

LOGITS = jax.random.normal(jax.random.key(0), (3, 5, 7))
MASK = jax.random.uniform(jax.random.key(1), (3, 5, 7)) < 0.4


def test_loss_and_dice_are_those_worked_out_pixel_by_pixel():
    objective, metrics = mask_loss(LOGITS, MASK)
    entropy = soft = marked = soft_sum = both = 0.0
    truth = np.asarray(MASK)
    for logit, is_object in zip(np.asarray(LOGITS, float).ravel(), truth.ravel(), strict=True):
        chance = 1 / (1 + np.exp(-logit))
        entropy -= np.log(chance if is_object else 1 - chance)
        soft += chance * is_object
        soft_sum += chance
        marked += logit > 0
        both += (logit > 0) and is_object
    dice = (2 * soft + 1) / (soft_sum + truth.sum() + 1)
    assert float(objective) == pytest.approx(entropy / 105 + 1 - dice, abs=1e-5)
    total, count = metrics["loss"]
    assert float(total / count) == pytest.approx(entropy / 105, abs=1e-5)
    assert [int(number) for number in metrics["dice"]] == [2 * both, marked + truth.sum()]


def test_an_image_without_weight_does_not_count():
    weight = jnp.array([1.0, 1.0, 0.0])
    objective, metrics = mask_loss(LOGITS.at[2].set(99.0), MASK, weight)
    expected, others = mask_loss(LOGITS[:2], MASK[:2])
    np.testing.assert_allclose(objective, expected, atol=1e-6)
    for name, pair in others.items():
        np.testing.assert_allclose(metrics[name], pair, rtol=1e-6)


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"outputs \(3, 5, 7\) and the mask \(3, 7, 5\)"):
        mask_loss.__wrapped__(LOGITS, MASK.swapaxes(1, 2))
